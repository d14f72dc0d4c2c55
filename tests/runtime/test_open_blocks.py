"""Sessions go on while a program has an edit block open, and their event loop never waits for the disk."""

import asyncio
import random
import threading

import pytest

from crdt_sync import Address, Replica, bundled_schema, keep_syncing, sync, sync_once
from crdt_sync.storage.memory import MemoryStore
from tests.runtime.test_syncing import TOKEN, add, devices, relay, wait_for

pytestmark = pytest.mark.usefixtures("local_workers")

__all__ = ["devices", "relay"]


@pytest.mark.parametrize("block", ["edit", "batch"])
def test_a_session_integrates_and_pushes_while_a_block_is_open(relay, devices, block) -> None:
    ann, bob = devices
    address = Address(relay.url, TOKEN)
    record, other = add(ann, "Müller"), add(ann, "Other")
    sync(ann, address)
    sync(bob, address)
    with keep_syncing(ann, address) as from_ann:
        with ann.edit(record) if block == "edit" else ann.batch() as customer:
            if customer is not None:
                customer["phone"] = "1"
            with bob.edit(record) as theirs:
                theirs["city"] = "Köln"
            sync(bob, address)
            wait_for(ann, record, "city", "Köln")
            edit_beside(ann, other)
            from_ann.wait_stored(other, 30)
        from_ann.wait_stored(record, 30)
    assert dict(ann.get(record)) == {"name": "Müller", "city": "Köln"} | ({"phone": "1"} if block == "edit" else {})


def edit_beside(replica: Replica, record: str) -> None:
    """By another thread."""

    def edit() -> None:
        with replica.edit(record) as customer:
            customer["city"] = "Bonn"

    thread = threading.Thread(target=edit)
    thread.start()
    thread.join(30)
    assert replica.get(record)["city"] == "Bonn"


class OffTheLoop(MemoryStore):
    """A store that nobody commits to on the event loop."""

    commits = 0

    def commit(self, batches):
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        self.commits += 1
        return super().commit(batches)


def test_nothing_is_committed_on_the_event_loop_of_a_session(relay, devices) -> None:
    _, bob = devices
    add(bob, "Müller")
    sync(bob, Address(relay.url, TOKEN))
    rng = random.Random(1)
    store = OffTheLoop(rng=rng)
    ann = Replica.over(store, rng=rng)
    ann.name = "ann"
    ann.add_schema(bundled_schema("customers"))
    add(ann, "Other")
    before = store.commits
    asyncio.run(sync_once(ann, Address(relay.url, TOKEN)))
    assert ann.count() == 2
    assert store.commits >= before + 3  # who answered, what came, what was acknowledged
