"""Syncing in the background, from plain code: stored, caught up, heard of, and in one another's sight."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from crdt_relay import settings
from crdt_relay.server import Relay
from crdt_sync import Address, Replica, bundled_schema, compare, keep_syncing, sync
from crdt_sync.errors import StoreClosed, Timeout, Unauthorized, Unreachable, UsageError
from crdt_sync.replica.told import Told, note_told
from crdt_sync.storage.values import Batch, Peer

pytestmark = pytest.mark.usefixtures("local_workers")

TOKEN = "a-token-of-enough-length"


class RelayThread:
    """A relay on a free port, or on the one given, in a thread with a loop of its own."""

    def __init__(self, data: Path, port: int = 0) -> None:
        self._data = data
        self._wanted_port = port
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(30)
        self.url = f"ws://127.0.0.1:{self.port}"

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        flags = {"data": str(self._data), "port": self._wanted_port, "token": TOKEN, "metrics": False}
        self.relay = self._loop.run_until_complete(Relay.start(settings.load(flags, None), keep_spare=False))
        self.port = self.relay.port
        self._ready.set()
        self._loop.run_forever()

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self.relay.stop(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[RelayThread]:
    thread = RelayThread(tmp_path / "relay")
    yield thread
    thread.stop()


@pytest.fixture
def devices(tmp_path: Path) -> Iterator[tuple[Replica, Replica]]:
    schema = bundled_schema("customers")
    with (
        Replica.create(tmp_path / "ann", "ann", [schema]) as ann,
        Replica.create(tmp_path / "bob", "bob", [schema]) as bob,
    ):
        yield ann, bob


def add(replica: Replica, name: str) -> str:
    with replica.edit("customers") as customer:
        customer["name"] = name
    return customer.record


def wait_for(replica: Replica, record: str, field: str, value: object) -> None:
    """Block until the record shows the value, woken by the replica's events."""
    changed = threading.Event()
    unsubscribe = replica.subscribe(lambda _: changed.set())
    try:
        for _ in range(200):
            if replica.store.view(record) is not None and replica.get(record).get(field) == value:
                return
            assert changed.wait(30), f"{record} never showed {value!r}"
            changed.clear()
    finally:
        unsubscribe()
    raise AssertionError(f"{record} never showed {value!r}")


def test_an_edit_is_stored_on_the_relay_and_arrives_at_the_other_device(relay, devices) -> None:
    ann, bob = devices
    address = Address(relay.url, TOKEN)
    with keep_syncing(ann, address) as from_ann, keep_syncing(bob, address) as to_bob:
        to_bob.wait_caught_up(30)
        record = add(ann, "Müller")
        from_ann.wait_stored(record, 30)
        assert ann.record_status(record).state == "stored"
        wait_for(bob, record, "name", "Müller")
        with bob.edit(record) as customer:
            customer["city"] = "Köln"
        wait_for(ann, record, "city", "Köln")
    assert compare(ann, address).equal


def test_others_are_seen_to_have_a_record_open_until_they_leave(relay, devices) -> None:
    ann, bob = devices
    address = Address(relay.url, TOKEN)
    record = add(ann, "Müller")
    seen = threading.Event()
    with keep_syncing(ann, address) as from_ann:
        from_ann.wait_stored(record, 30)
        with keep_syncing(bob, address) as to_bob:
            to_bob.wait_caught_up(30)
            from_ann.presence.open([record])
            poll(lambda: to_bob.presence.who(record) == ["ann"], seen)
            from_ann.presence.open([])
            poll(lambda: to_bob.presence.who(record) == [], seen)


def poll(reached, waiting: threading.Event) -> None:
    """Presence has no event of its own: look again every few milliseconds, within a bound."""
    for _ in range(3000):
        if reached():
            return
        waiting.wait(0.01)
    raise AssertionError("presence never arrived")


def test_what_was_edited_offline_goes_with_the_next_session(relay, devices) -> None:
    ann, bob = devices
    address = Address(relay.url, TOKEN)
    records = [add(ann, f"Customer {number}") for number in range(30)]
    assert ann.record_status(records[0]).state == "local"
    progress = sync(ann, address)
    assert (progress.pushed, progress.refused) == (30, 0)
    assert sync(ann, address).pushed == 0
    sync(bob, address)
    assert sorted(view["name"] for view in bob.list("customers")) == sorted(f"Customer {n}" for n in range(30))


def test_a_wrong_token_ends_the_syncing_for_good_and_says_so(relay, devices) -> None:
    ann, _ = devices
    with pytest.raises(Unauthorized):
        sync(ann, Address(relay.url, "another-token-altogether"))
    with keep_syncing(ann, Address(relay.url, "another-token-altogether")) as syncing, pytest.raises(Unauthorized):
        syncing.wait_caught_up(30)


def test_a_relay_that_is_not_there_is_reported_once_and_tried_again_in_the_background(devices) -> None:
    ann, _ = devices
    nowhere = Address("ws://127.0.0.1:9")
    with pytest.raises(Unreachable, match="cannot reach"):
        sync(ann, nowhere)
    record = add(ann, "Müller")
    with keep_syncing(ann, nowhere) as syncing, pytest.raises(Timeout):
        syncing.wait_stored(record, 0.05)
    assert ann.get(record)["name"] == "Müller"


def test_a_device_catches_up_with_a_relay_that_came_back_on_its_old_data(tmp_path, devices) -> None:
    ann, _ = devices
    first = RelayThread(tmp_path / "data")
    record = add(ann, "Müller")
    sync(ann, Address(first.url, TOKEN))
    first.stop()
    with ann.edit(record) as customer:
        customer["city"] = "Köln"
    second = RelayThread(tmp_path / "data")
    try:
        assert compare(ann, Address(second.url, TOKEN)).equal
    finally:
        second.stop()


@pytest.mark.parametrize("url", ["http://relay", "relay:8765", "ws://"])
def test_an_address_that_is_none_is_refused_before_anything_is_tried(devices, url) -> None:
    with pytest.raises(UsageError):
        sync(devices[0], Address(url))


def test_a_closed_replica_says_so(tmp_path) -> None:
    replica = Replica.create(tmp_path / "ann", "ann", [bundled_schema("customers")])
    replica.close()
    with pytest.raises(StoreClosed):
        replica.count()


def test_waiting_until_a_record_is_stored_waits_for_this_partner_and_not_for_any(tmp_path: Path) -> None:
    with Replica.create(tmp_path / "ann", "ann", [bundled_schema("customers")]) as ann:
        with ann.edit("customers") as customer:
            customer["name"] = "Müller"
        other = Peer(b"o" * 16, b"e" * 16, 0, 1, "ws://other:8765")
        ann.store.commit([Batch(peers=(other,), meta=note_told(other.replica, Told(other.epoch, 0, 1)))])
        assert ann.record_status(customer.record).state == "stored"
        with keep_syncing(ann, Address("ws://127.0.0.1:9")) as syncing, pytest.raises(Timeout):
            syncing.wait_stored(customer.record, timeout_s=0.05)
