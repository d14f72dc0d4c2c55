"""A device in a process of its own, which carries out what its parent tells it and says how long it took."""

import asyncio
import threading
import time
from itertools import islice
from pathlib import Path
from typing import Any

import crdt_bench.usage
from crdt_bench.child import Child, hear, say
from crdt_sync import Address, Replica
from crdt_sync.replica import Event
from crdt_sync.runtime import keep_syncing
from crdt_sync.runtime.conversation import Conversation


def serve(path: str) -> None:
    """Child: open the replica in `path` and obey.

    ["sync", url]                exchange everything once: seconds until all was stored on both sides, and in all
                                 (here and below a transport may follow)
    ["edit", records, value]     change one field of that many records
    ["scan"]                     read every record: seconds
    ["usage"]                    resident and private bytes of this process
    ["write", url, rate, edits]  stay in sync and make new records at that rate: when each edit began, by record
    ["watch", url, edits]        stay in sync until that many records arrived: when each did
    """
    started = time.perf_counter()
    with Replica.open(Path(path)) as replica:
        say(time.perf_counter() - started)
        while (order := hear()) is not None:
            say(_ORDERS[order[0]](replica, *order[1:]))


def open_device(path: Path) -> tuple[Child, float]:
    """A device's process, and the seconds that opening its replica took."""
    child = Child("crdt_bench.device:serve", path=str(path))
    return child, float(child.hear())


def _sync(replica: Replica, url: str, transport: str = "auto") -> dict[str, float]:
    return asyncio.run(_sync_once(replica, Address(url, transport=transport)))


async def _sync_once(replica: Replica, address: Address) -> dict[str, float]:
    started, processor = time.perf_counter(), time.process_time()
    settled = 0.0

    async def until(conversation: Conversation) -> None:
        nonlocal settled
        await conversation.settled()
        settled = time.perf_counter() - started

    conversation = Conversation(replica, address)
    await conversation.run(until)
    return {
        "settled_s": settled,
        "total_s": time.perf_counter() - started,
        "processor_s": time.process_time() - processor,
        "received": conversation.progress.received,
        "records": replica.count(),
    }


def _edit(replica: Replica, records: int, value: str) -> int:
    with replica.batch():
        for view in islice(replica.list(), records):
            with replica.edit(view.record) as editor:
                if editor.conflict("phone") is None:
                    editor["phone"] = value
                else:
                    editor.resolve("phone", value)
    return records


def _scan(replica: Replica) -> float:
    started = time.perf_counter()
    for view in replica.list():
        assert view["name"]
    return time.perf_counter() - started


def _usage(_: Replica) -> list[int]:
    usage = crdt_bench.usage.usage_of_process()
    return [usage.resident_bytes, usage.private_bytes]


def _write(replica: Replica, url: str, rate: float, edits: int, transport: str = "auto") -> dict[str, float]:
    begun: dict[str, float] = {}
    with keep_syncing(replica, Address(url, transport=transport)) as syncing:
        syncing.wait_caught_up(60)
        started = time.perf_counter()
        for number in range(edits):
            due = started + number / rate
            if (delay := due - time.perf_counter()) > 0:
                time.sleep(delay)
            with replica.edit("customers") as editor:
                editor["name"] = f"Customer {number}"
            begun[editor.record] = due
        syncing.wait_stored(editor.record, 60)
    return begun


def _watch(replica: Replica, url: str, edits: int, transport: str = "auto") -> dict[str, float]:
    arrived: dict[str, float] = {}
    complete = threading.Event()

    def heard(events: Any) -> None:
        now = time.perf_counter()
        for event in events:
            assert isinstance(event, Event)
            if event.kind == "received":
                arrived[event.record] = now
        if len(arrived) >= edits:
            complete.set()

    replica.subscribe(heard)
    with keep_syncing(replica, Address(url, transport=transport)) as syncing:
        syncing.wait_caught_up(60)
        say("watching")
        complete.wait(120)
    return arrived


_ORDERS: dict[str, Any] = {
    "sync": _sync,
    "edit": _edit,
    "scan": _scan,
    "usage": _usage,
    "write": _write,
    "watch": _watch,
}
