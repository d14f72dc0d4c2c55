"""A store gives its records to no relay that has nothing to do with the ones it knows, unless it is told to."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crdt_sync import Address, Replica, bundled_schema, compare, keep_syncing, sync, sync_once
from crdt_sync.errors import ForeignRelay, ForeignSpace, StoreFull
from crdt_sync.protocol.acceptor import Acceptor
from crdt_sync.protocol.messages import Hello
from crdt_sync.replica.relays import check_relay, note_dialed
from crdt_sync.runtime.listening import listening
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch, Change, Peer
from tests.runtime.test_syncing import TOKEN, RelayThread

pytestmark = pytest.mark.usefixtures("local_workers")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., RelayThread]]:
    running: list[RelayThread] = []

    def start(name: str, port: int = 0) -> RelayThread:
        running.append(RelayThread(tmp_path / name, port))
        return running[-1]

    yield start
    for relay in running:
        relay.stop()


@pytest.fixture
def ann(tmp_path: Path) -> Iterator[Replica]:
    with Replica.create(tmp_path / "ann", "ann", [bundled_schema("customers")]) as replica:
        with replica.edit("customers") as customer:
            customer["name"] = "Müller"
        yield replica


def with_records(store: MemoryStore) -> None:
    store.commit([Batch(changes=(Change("customers/1", (b"\0\0",), b"o" * 16, "", 0, b"\0", b"\0\0", b"{}"),))])


def address(relay: RelayThread, *, adopt: bool = False) -> Address:
    return Address(relay.url, TOKEN, adopt=adopt)


def test_another_companys_relay_is_given_nothing(ann, start, monkeypatch):
    ours, theirs = start("ours"), start("theirs")
    assert sync(ann, address(ours)).pushed == 1
    told: list[bytes] = []
    receive = Acceptor.receive

    def heard(acceptor: Acceptor, frame: bytes, now: int) -> None:
        told.append(frame)
        receive(acceptor, frame, now)

    monkeypatch.setattr(Acceptor, "receive", heard)
    (record,) = [view.record for view in ann.list("customers")]
    for attempt in (sync, compare):
        with pytest.raises(ForeignRelay) as raised:
            attempt(ann, address(theirs))
        assert (raised.value.url, raised.value.known, raised.value.records) == (theirs.url, (ours.url,), 1)
    with keep_syncing(ann, address(theirs)) as syncing, pytest.raises(ForeignRelay):
        syncing.wait_caught_up(10)
    assert theirs.relay.store.count() == 0
    assert told
    assert not any(record.encode() in frame for frame in told)
    assert [partner.url for partner in ann.partners()] == [ours.url]
    assert sync(ann, address(ours)).pushed == 0  # and all is as before


def test_what_is_said_once_is_remembered(ann, start):
    ours, theirs = start("ours"), start("theirs")
    sync(ann, address(ours))
    assert sync(ann, address(theirs, adopt=True)).pushed == 1
    assert theirs.relay.store.count() == 1
    for relay in (ours, theirs):
        assert compare(ann, address(relay)).equal


def test_a_relay_that_lost_its_disk_is_filled_again_unasked(ann, start, tmp_path):
    lost = start("ours")
    sync(ann, address(lost))
    lost.stop()
    shutil.rmtree(tmp_path / "ours")
    empty = start("empty", lost.port)
    try:
        assert sync(ann, address(empty)).pushed == 1
    finally:
        lost.stop = lambda: None  # it is stopped


def test_a_relay_at_another_address_is_the_same_relay(ann, start):
    first = start("ours")
    sync(ann, address(first))
    assert sync(ann, Address(first.url.replace("127.0.0.1", "localhost"), TOKEN)).pushed == 0


def test_a_device_that_met_only_devices_has_its_first_relay_unasked(ann, start, tmp_path):
    async def meet(other: Replica) -> None:
        async with listening(other, "127.0.0.1", 0, TOKEN, None) as listener:
            await sync_once(ann, Address(listener.url, TOKEN, direct=True))

    relay = start("ours")
    with Replica.create(tmp_path / "bob", "bob", [bundled_schema("customers")]) as bob:
        asyncio.run(meet(bob))
        assert sync(ann, address(relay)).pushed == 1
        with Replica.create(tmp_path / "eve", "eve", [bundled_schema("customers")]) as eve:
            asyncio.run(meet(eve))  # nor is a device that proved the token a foreign relay
            assert eve.store.count() == 1


def test_a_relay_that_took_something_before_it_sent_anything_is_known():
    store = MemoryStore()
    with_records(store)
    store.commit([Batch(meta=note_dialed(store, b"a" * 16, "ws://a", is_device=False))])
    with pytest.raises(ForeignRelay):
        check_relay(store, b"b" * 16, "ws://b")


def test_relays_that_only_an_earlier_version_met_are_known():
    store = MemoryStore()
    with_records(store)
    check_relay(store, b"b" * 16, "ws://b")  # the first
    store.commit([Batch(peers=(Peer(b"a" * 16, store.epoch, 3, 1, "ws://a"),))])
    check_relay(store, b"a" * 16, "ws://elsewhere")
    check_relay(store, b"b" * 16, "ws://a")
    with pytest.raises(ForeignRelay):
        check_relay(store, b"b" * 16, "ws://b")


def test_a_store_without_records_has_nothing_to_give_away():
    store = MemoryStore()
    store.commit([Batch(peers=(Peer(b"a" * 16, store.epoch, 3, 1, "ws://a"),))])
    check_relay(store, b"b" * 16, "ws://b")


def test_a_relay_of_another_space_is_given_nothing_and_takes_all_once_it_is_meant(ann, start, tmp_path):
    ours, theirs = start("ours"), start("theirs")
    with Replica.create(tmp_path / "eve", "eve", [bundled_schema("customers")]) as eve:
        with eve.edit("customers") as customer:
            customer["name"] = "Somebody else's"
        assert sync(eve, address(theirs)).pushed == 1
    sync(ann, address(ours))
    for attempt in (sync, compare):
        with pytest.raises(ForeignSpace):
            attempt(ann, address(theirs))
    assert theirs.relay.store.count() == ann.store.count() == 1
    assert sync(ann, address(theirs, adopt=True)).pushed == 1
    assert theirs.relay.store.count() == ann.store.count() == 2
    assert ann.store.space == theirs.relay.store.space
    assert sync(ann, address(theirs)).pushed == 0


def test_another_relay_of_our_space_is_nobody_strange(ann, start):
    ours, second = start("ours"), start("second")
    sync(ann, address(ours))
    second.relay.store.join(ann.store.space.id)
    assert sync(ann, address(second)).pushed == 1


def test_a_relay_that_was_reached_elsewhere_meanwhile_is_asked_where_we_stopped(ann, start, monkeypatch):
    relay = start("ours")
    elsewhere = Address(relay.url.replace("127.0.0.1", "localhost"), TOKEN)
    sync(ann, address(relay))
    sync(ann, elsewhere)
    resumes: list[object] = []
    hello = Acceptor._on_hello

    def heard(acceptor: Acceptor, message: Hello, now: int) -> None:
        resumes.append(message.resume)
        hello(acceptor, message, now)

    monkeypatch.setattr(Acceptor, "_on_hello", heard)
    for one in (address(relay), elsewhere, address(relay)):
        sync(ann, one)
    assert None not in resumes
    assert len(ann.partners()) == 1


def test_a_device_whose_disk_is_full_gives_its_edits_away_and_joins_later(ann, start, monkeypatch):
    relay = start("ours")

    def full(space: bytes, *, leave: bool = False) -> None:
        raise StoreFull("no space left", "Free some.")

    with monkeypatch.context() as patched:
        patched.setattr(ann.store, "join", full)
        assert sync(ann, address(relay)).pushed == 1
        assert not ann.store.space.joined
    sync(ann, address(relay))
    assert ann.store.space == relay.relay.store.space
    assert ann.store.space.joined
