"""Links that carry 2, 10 and 50 kB a second: what a device has gets through, and after a cut it goes on.

By websocket and over HTTP.
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from crdt_bench.campaign.tally import Tally
from crdt_bench.campaign.throttle import Throttle
from crdt_relay.server import Relay
from crdt_relay.settings import load
from crdt_sync import Address, Replica, bundled_schema, limits
from crdt_sync.bundles import apply_bundle, create_bundle
from crdt_sync.errors import CrdtSyncError, RemoteError
from crdt_sync.records import parse_schema
from crdt_sync.runtime import sync_once

_RATES = (50_000, 10_000, 2_000)  # bytes a second, in each direction
_OVERHEAD_MAX = 1.25  # bytes on the wire over those of the records that they carry
_SESSION_BYTES_MAX = 16_000  # of a session beside what it carries
_SCHEMAS = (
    bundled_schema("customers"),
    parse_schema(
        """collection = "papers"
version = 1
[fields.title]
[fields.first]
kind = "text"
[fields.second]
kind = "text"
""",
        "papers",
    ),
)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much there is to carry."""

    text_bytes: int = 500 * limits.KIB  # that each of two devices writes into each of two texts of one record
    records: int = 5_000


class Trial:
    """One relay, and a slow way to it. `rate` is in bytes a second, of each direction of each connection."""

    def __init__(self, folder: Path, rate: float, sizes: Sizes, transport: str) -> None:
        self.rate = rate
        self.transport = transport
        self.sizes = sizes
        self._folder = folder
        self._opened = AsyncExitStack()
        self.seconds = 0.0  # that syncs took

    async def __aenter__(self) -> "Trial":
        self.relay = await Relay.start(
            load({"data": self._folder / "relay", "port": 0, "metrics": False, "log_level": "error"}), keep_spare=False
        )
        self._opened.push_async_callback(self.relay.stop)
        self.link = await self._opened.enter_async_context(Throttle(self.relay.port, self.rate))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._opened.aclose()

    def device(self, name: str) -> Replica:
        """A new device, closed in the end."""
        return self._opened.enter_context(Replica.create(self._folder / name, name, _SCHEMAS))

    def filled_by_two(self) -> Replica:
        """A device with one record that two devices filled at the same time: no record is larger."""
        ann, bob = self.device("ann"), self.device("bob")
        with ann.edit("papers") as paper:
            paper["title"] = "of two"
        self._carry(ann, bob)
        for device, letter in ((ann, "a"), (bob, "b")):
            with device.edit(paper.record) as editor:
                for field in ("first", "second"):
                    editor.text(field).insert(0, letter * self.sizes.text_bytes)
        self._carry(bob, ann)
        return ann

    def _carry(self, here: Replica, there: Replica) -> None:
        bundle = self._folder / f"{here.name}.bundle"
        create_bundle(here, bundle, force=True)
        apply_bundle(there, bundle)

    def with_many(self) -> Replica:
        """A device with so many records that were never pushed."""
        ann = self.device("ann")
        with ann.batch():
            for number in range(self.sizes.records):
                with ann.edit("customers") as customer:
                    customer.update({"name": f"customer {number}", "phone": f"+49 30 {number}", "city": "Köln"})
        return ann

    async def sync(self, device: Replica) -> None:
        """Over the slow link. Raises `RemoteError`."""
        begun = time.monotonic()
        try:
            await sync_once(device, Address(f"ws://127.0.0.1:{self.link.port}", transport=self.transport))
        finally:
            self.seconds += time.monotonic() - begun


async def record_up(trial: Trial) -> str:
    """The largest record goes to a relay that has nothing."""
    ann = await asyncio.to_thread(trial.filled_by_two)
    await trial.sync(ann)
    return _lacking(trial, ann)


async def record_down(trial: Trial) -> str:
    """The largest record comes to a device that has nothing."""
    ann = await asyncio.to_thread(trial.filled_by_two)
    await sync_once(ann, Address(trial.relay.url))
    cem = trial.device("cem")
    await trial.sync(cem)
    return "" if cem.receipt().root == ann.receipt().root else "the device holds another record"


async def first_push(trial: Trial) -> str:
    """All records of a device that was never in sync go to a relay that has nothing."""
    ann = await asyncio.to_thread(trial.with_many)
    await trial.sync(ann)
    return _lacking(trial, ann)


async def after_a_cut(trial: Trial) -> str:
    """The same, with the link cut when half of them are stored: those are not sent again."""
    ann = await asyncio.to_thread(trial.with_many)
    content = _bytes_of(ann)
    syncing = asyncio.create_task(trial.sync(ann))
    while (stored := trial.relay.store.count()) < ann.count() / 2 and not syncing.done():
        await asyncio.sleep(0.01)
    if stored == ann.count():
        return "all was stored at once: a cut before would have cost all of it"
    sent = trial.link.up
    trial.link.cut()
    if trial.transport == "websocket":
        with suppress(RemoteError):
            await syncing
            return "the link was cut, and the device noticed nothing"
        syncing = asyncio.create_task(trial.sync(ann))
    waiting, _ = ann.store.outbox_count(trial.relay.store.replica)
    await syncing  # over HTTP the session goes on by new connections
    left, sent = content * (1 - stored / ann.count()), trial.link.up - sent
    # What was stored when the link was cut, and not answered yet, is sent again; no more than that was under way.
    unanswered = max(0.0, content * waiting / ann.count() - left)
    window = _OVERHEAD_MAX * trial.rate * limits.ANSWER_US_TARGET / 1_000_000
    if unanswered > window or sent > _OVERHEAD_MAX * (left + unanswered) + _SESSION_BYTES_MAX:
        return f"{sent:,} bytes were sent for the {left:,.0f} that were left: what was stored is sent again"
    return _lacking(trial, ann)


def _lacking(trial: Trial, device: Replica) -> str:
    there = trial.relay.store
    heads = [(device.store.record_head(record), there.record_head(record)) for record in _records(device)]
    lacking = sum(one is None or other is None or one.state_vector != other.state_vector for one, other in heads)
    return f"the relay lacks {lacking} records" if lacking else ""


def _records(device: Replica) -> Sequence[str]:
    return device.store.records("", device.store.count())


def _bytes_of(device: Replica) -> int:
    """Of all that it has to push."""
    store = device.store
    return sum(len(record) + sum(map(len, store.load(record).updates)) for record in _records(device))


Case = Callable[[Trial], Awaitable[str]]
CASES: dict[str, Case] = {
    "record of 2 MiB up": record_up,
    "record of 2 MiB down": record_down,
    "first push of 5,000 records": first_push,
    "first push, cut half-way": after_a_cut,
}
_TRIALS = tuple((rate, name) for rate in _RATES for name in CASES)
COUNT = len(_TRIALS)


def run(seed: int, count: int) -> Tally:
    """`count` trials from the `seed`-th on, all at the same time, as they do nothing but wait."""
    return _run("slow links", "websocket", seed, count)


def run_over_http(seed: int, count: int) -> Tally:
    """The same over HTTP, on as many connections as it takes."""
    return _run("slow links over HTTP", "http", seed, count)


def _run(title: str, transport: str, seed: int, count: int) -> Tally:
    tally = Tally(title, "trials", seed)
    chosen = [_TRIALS[number % COUNT] for number in range(seed, seed + count)]
    asyncio.run(_together(chosen, transport, tally))
    return tally


async def _together(chosen: list[tuple[int, str]], transport: str, tally: Tally) -> None:
    await asyncio.gather(*(tried(name, rate, Sizes(), tally, transport) for rate, name in chosen))


async def tried(name: str, rate: float, sizes: Sizes, tally: Tally, transport: str = "websocket") -> None:
    """Carry one case out, and note its outcome and what it took."""
    what = f"{name} at {rate / 1000:g} kB/s"
    with tempfile.TemporaryDirectory() as folder:
        async with Trial(Path(folder), rate, sizes, transport) as trial:
            try:
                problem = await CASES[name](trial)
            except CrdtSyncError as error:
                problem = f"{type(error).__name__}: {error}"
            seconds, moved = trial.seconds, max(trial.link.up, trial.link.down)
    tally.ran += 1
    tally.outcomes["failed" if problem else "through"] += 1
    tally.figures.append(f"  {what}: {seconds:,.0f} s for {moved:,} bytes, which alone take {moved / rate:,.0f} s")
    if problem:
        tally.found(f"{what}: {problem}")
