"""The registry of a space: the store's, and its twin in memory."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from crdt_relay.registry import StoreRegistry
from crdt_sync.errors import StoreCorrupt
from crdt_sync.identity.enrolling import Invite
from crdt_sync.identity.registry import Device, Kept, MemoryRegistry, Registry
from crdt_sync.storage import Batch, LmdbStore, MemoryStores, Store

NOW = 1_790_000_000_000_000
ANNA = Invite(b"a" * 32, "anna", NOW + 5)
BEN = Invite(b"b" * 32, "ben", NOW + 3)
PHONE, LAPTOP = b"p" * 16, b"l" * 16


class Opened:
    """A registry under test, and the same after a restart."""

    def __init__(self, opened: Callable[[], Registry]) -> None:
        self.opened = opened
        self.registry = opened()

    def again(self) -> Registry:
        self.registry = self.opened()
        return self.registry


@pytest.fixture(params=["memory", "store in memory", "store"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    if request.param == "memory":
        memory = MemoryRegistry(NOW)
        yield Opened(lambda: memory)
        return
    store: Store = (
        LmdbStore.open(tmp_path / "store", create=True, map_bytes=1 << 26)
        if request.param == "store"
        else MemoryStores(Random(1)).open(tmp_path, create=True)
    )
    yield Opened(lambda: StoreRegistry(store, lambda: NOW))
    store.close()


def test_a_new_one_knows_nothing(kept) -> None:
    registry = kept.registry
    assert (registry.said(), registry.invites(), registry.devices()) == (None, [], [])
    assert (registry.find(ANNA.lookup), registry.owner(PHONE), registry.device(PHONE)) == (None, None, None)
    assert registry.use(ANNA.lookup, PHONE) is None
    registry.withdraw(ANNA.lookup)


def test_what_was_said_is_kept_as_a_whole(kept) -> None:
    for said in (Kept(b"k" * 32, (b"one", b"two")), Kept(b"k" * 32, ()), Kept(b"k" * 32, (b"x" * 1_100_000,))):
        kept.registry.keep(said)
        assert kept.again().said() == said


def test_invites_are_listed_by_their_end_and_can_be_withdrawn(kept) -> None:
    kept.registry.add(ANNA)
    kept.registry.add(BEN)
    assert kept.again().invites() == [BEN, ANNA]
    kept.registry.withdraw(BEN.lookup)
    assert kept.again().invites() == [ANNA]
    assert kept.registry.find(BEN.lookup) is None


def test_the_first_device_has_the_invite_and_is_its_users(kept) -> None:
    kept.registry.add(ANNA)
    assert kept.registry.use(ANNA.lookup, PHONE) == replace(ANNA, device=PHONE)
    assert kept.registry.use(ANNA.lookup, LAPTOP) == replace(ANNA, device=PHONE)
    registry = kept.again()
    assert registry.find(ANNA.lookup) == replace(ANNA, device=PHONE)
    assert registry.devices() == [Device(PHONE, "anna", NOW)]
    assert (registry.owner(PHONE), registry.owner(LAPTOP)) == ("anna", None)


def test_a_device_that_opens_another_invite_stays_who_it_is(kept) -> None:
    kept.registry.note(Device(PHONE, "anna", 7, "anna-phone"))
    kept.registry.add(ANNA)
    kept.registry.use(ANNA.lookup, PHONE)
    assert kept.again().device(PHONE) == Device(PHONE, "anna", 7, "anna-phone")


def test_a_device_stays_when_its_invite_is_withdrawn(kept) -> None:
    kept.registry.add(ANNA)
    kept.registry.use(ANNA.lookup, PHONE)
    kept.registry.withdraw(ANNA.lookup)
    assert kept.again().owner(PHONE) == "anna"


def test_what_is_noted_of_a_device_takes_the_place_of_what_was(kept) -> None:
    kept.registry.note(Device(LAPTOP, "ben", 9))
    kept.registry.note(Device(PHONE, "anna", 7))
    kept.registry.note(Device(PHONE, "anna", 7, "安娜的手机", NOW))
    assert kept.again().devices() == [Device(PHONE, "anna", 7, "安娜的手机", NOW), Device(LAPTOP, "ben", 9)]


def test_of_many_devices_that_come_at_once_one_has_the_invite(kept) -> None:
    kept.registry.add(ANNA)
    devices = [bytes([number]) * 16 for number in range(8)]
    got: list[bytes | None] = []
    barrier = threading.Barrier(len(devices))

    def come(device: bytes) -> None:
        barrier.wait()
        invite = kept.registry.use(ANNA.lookup, device)
        got.append(invite.device if invite is not None else None)

    threads = [threading.Thread(target=come, args=(device,)) for device in devices]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(got)) == 1
    assert [device.id for device in kept.registry.devices()] == [got[0]]


@pytest.mark.parametrize("key", ["identity/said", f"identity/invite/{'00' * 32}", f"identity/device/{'00' * 16}"])
@pytest.mark.parametrize("raw", [b"", b"\x80", b"\x01", b"\xff\xff"])
def test_what_cannot_be_read_is_no_registry_at_all(key, raw) -> None:
    store = MemoryStores(Random(1)).open(Path("x"), create=True)
    store.commit([Batch(meta={key: raw})])
    with pytest.raises(StoreCorrupt):
        StoreRegistry(store, lambda: NOW)
