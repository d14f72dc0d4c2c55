"""An operator looks at what devices that were shut out had not sent, applies it, or drops it.

Rules:

1. What was handed in is hostile until it was judged: by a worker of its own, on trial, as what the user of that device
   writes now, by the policy in force. Nothing else is applied.
2. What names somebody else as its author is not applied: whoever wrote it has a device that sends it.
3. What is applied goes the way of a push, through the same worker, gate, quotas and audit log as that of a session.
"""

import asyncio
import secrets
from bisect import bisect_right
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from crdt_relay.administration import Administration
from crdt_relay.review import HandedIn, Waiting
from crdt_sync import limits
from crdt_sync.errors import UsageError
from crdt_sync.identity.statements import Versions
from crdt_sync.ids import whole_record
from crdt_sync.policy.in_force import InForce
from crdt_sync.protocol import codec
from crdt_sync.protocol.entries import PushEntry
from crdt_sync.protocol.handing_in import pushes
from crdt_sync.protocol.messages import DONE, Ack, Bye, Hello, Message, Terms
from crdt_sync.protocol.principal import Principal
from crdt_sync.protocol.terms import terms_of
from crdt_sync.protocol.versions import NEWEST
from crdt_sync.runtime.guests import Guest
from crdt_sync.runtime.hosting.engine import Engine
from crdt_sync.runtime.hosting.link import DeviceLink
from crdt_sync.runtime.transports.channel import ChannelClosed
from crdt_sync.runtime.transports.memory import MemoryChannel, memory_pair
from crdt_sync.runtime.worker.pool import IntegrationPool
from crdt_sync.runtime.worker.ruling import standing_at
from crdt_sync.runtime.worker.values import Item, Result
from crdt_sync.storage.port import Store
from crdt_sync.verdicts import Verdict, VerdictCode, refused

_PAGE_RECORDS = 200  # of one answer
_PAGE_BYTES = 1 << 20  # of updates in it, stored ones and others, unless one record has more: three times that is sent
_NEVER_TOLD = "the relay is stopping"


@dataclass(frozen=True, slots=True)
class Judged:
    """What would become of an update, and what it touches."""

    waiting: Waiting
    verdict: Verdict

    @property
    def fields(self) -> Sequence[str]:
        """Which fields it touches, as far as it could be read."""
        return () if self.verdict.touched is None else self.verdict.touched.fields

    def as_dict(self) -> dict[str, Any]:
        """For JSON, without any value."""
        code = self.verdict.code
        return {
            "number": self.waiting.number,
            "record": self.waiting.record,
            "fields": list(self.fields),
            "verdict": code.value,
            "reason": "" if code is VerdictCode.ACCEPTED else self.verdict.reason,
            "new": self.verdict.new,
        }


class Reviewing:
    """See the module. `engine` is None where the relay does not run: nothing can be applied then."""

    def __init__(
        self, store: Store, people: Administration, wall_clock: Callable[[], int], engine: Engine | None = None
    ) -> None:
        self._store = store
        self._people = people
        self._wall_clock = wall_clock
        self._engine = engine

    async def do(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out what `crdt-relay review` asks for. Raises `CrdtSyncError`."""
        records = request.get("records") or ()
        match dict(request):
            case {"act": "list"}:
                return {"handed_in": [await self._listed(each) for each in self._people.review.all()]}
            case {"act": "show", "device": str(device)}:
                return await self._shown(device, records, str(request.get("after", "")))
            case {"act": "apply", "device": str(device)}:
                return await self._apply(device, records)
            case {"act": "drop", "device": str(device)}:
                return await self._drop(device, records)
        raise UsageError("the relay does not know that request", "Use the same version as the relay.")

    async def _listed(self, handed: HandedIn) -> dict[str, Any]:
        found = await self._judged(handed, self._people.review.waiting(handed.device))
        return self._told(handed, found)

    async def _shown(self, named: str, records: Collection[str], after: str) -> dict[str, Any]:
        """What becomes of the records behind `after`, as many as a page takes; `next` is where to go on, "" at the end.

        Of each, in hexadecimal: `before`, the updates that are stored; `after`, what applying leaves; `if_all`, where
        something is refused, what it would be were all allowed. None where nothing is left of it to be shown.
        """
        handed, chosen = self._chosen(named, records)
        wanted = sorted({each.record for each in chosen})
        page = self._page(wanted[bisect_right(wanted, after) :], chosen)
        needed = {*page, *map(whole_record, page)}  # a section is judged by its record
        waiting = [each for each in self._people.review.waiting(handed.device) if each.record in needed]
        judged, left = await self._trial(waiting, handed.user, self._in_force())
        found = [each for each in judged if each.waiting.record in page]
        refused_in = {each.waiting.record for each in found if each.verdict.code is not VerdictCode.ACCEPTED}
        _, everything = await self._trial([each for each in waiting if each.record in refused_in], "", None)
        return {
            **self._told(handed, found),
            "records": len(wanted),
            "shown": [
                {
                    "record": record,
                    "before": [update.hex() for update in self._store.load(record).updates],
                    "after": left.get(record),
                    "if_all": everything.get(record),
                }
                for record in page
            ],
            "next": page[-1] if page and page[-1] != wanted[-1] else "",
        }

    def _page(self, records: Sequence[str], waiting: Sequence[Waiting]) -> list[str]:
        """The first of these records, one at least where there is one."""
        size, page, sizes = 0, list[str](), Counter[str]()
        for each in waiting:
            sizes[each.record] += len(each.update)
        for record in records[:_PAGE_RECORDS]:
            size += sizes[record] + sum(map(len, self._store.load(record).updates))
            if page and size > _PAGE_BYTES:
                break
            page.append(record)
        return page

    async def _apply(self, named: str, records: Collection[str]) -> dict[str, Any]:
        if self._engine is None:
            raise UsageError("the relay does not run, which applies edits as it does others", "crdt-relay serve")
        handed, chosen = self._chosen(named, records)
        found = await self._judged(handed, chosen)
        good = [each.waiting for each in found if each.verdict.code is VerdictCode.ACCEPTED]
        space = self._store.space.id
        verdicts = await applied(self._engine, Principal(handed.device, space, handed.user), good, self._wall_clock)
        decided = dict(zip((each.number for each in good), verdicts, strict=True))
        found = [Judged(each.waiting, decided.get(each.waiting.number, each.verdict)) for each in found]
        done = [each.waiting.number for each in found if each.verdict.code is VerdictCode.ACCEPTED]
        await self._people.review.forget(handed.device, done)
        return {**self._told(handed, found), "applied": len(done), "left": len(found) - len(done)}

    async def _drop(self, named: str, records: Collection[str]) -> dict[str, Any]:
        handed, chosen = self._chosen(named, records)
        await self._people.review.forget(handed.device, [each.number for each in chosen])
        return {"device": handed.device.hex(), "dropped": len(chosen)}

    def _chosen(self, named: str, records: Collection[str]) -> tuple[HandedIn, list[Waiting]]:
        """What waits of a device, or of it what is of these records. Raises `UsageError` where that is nothing."""
        device = self._people.named(named)
        handed, waiting = self._people.review.of(device.id), self._people.review.waiting(device.id)
        if handed is None or not waiting:
            raise UsageError(
                f"nothing of {device.name or device.id.hex()} waits for review", "See what does: crdt-relay review list"
            )
        for record in records:
            if not any(each.record == record for each in waiting):
                raise UsageError(
                    f"nothing of the record {record[:120]!r} waits for review",
                    f"See what does: crdt-relay review show {device.id.hex()[:12]}",
                )
        return handed, [each for each in waiting if not records or each.record in records]

    def _told(self, handed: HandedIn, found: Sequence[Judged]) -> dict[str, Any]:
        device = self._people.registry.device(handed.device)
        return {
            "device": handed.device.hex(),
            "name": "" if device is None else device.name,
            "user": handed.user,
            "at": handed.at,
            "bytes": sum(len(each.waiting.update) for each in found),
            "records": len({each.waiting.record for each in found}),
            "updates": [each.as_dict() for each in found],
        }

    def _in_force(self) -> InForce | None:
        authority = self._people.authority
        return None if authority is None else authority.in_force()

    async def _judged(self, handed: HandedIn, waiting: Sequence[Waiting]) -> list[Judged]:
        """What would become of these, one after the other in the order of their records."""
        judged, _ = await self._trial(waiting, handed.user, self._in_force(), values=False)
        return judged

    async def _trial(
        self, waiting: Sequence[Waiting], user: str, in_force: InForce | None, *, values: bool = True
    ) -> tuple[list[Judged], dict[str, str]]:
        """Each integrated on trial, on what is stored and those before it: a section needs its record. With `values`,
        also what each record is in the end, in hexadecimal, where anything was accepted. No `user`: whoever wrote it.
        """
        trial: dict[str, list[bytes]] = {}
        judged: list[Judged] = []
        left: dict[str, str] = {}

        def load(record: str) -> Sequence[bytes]:
            return (*self._store.load(record).updates, *trial.get(record, ()))

        async with _pool(load, lambda record: standing_at(self._store, record)) as pool:

            async def tried(each: Waiting, *, want_snapshot: bool = False) -> Result:
                users = () if in_force is None else (user,)
                item = Item(each.record, (each.update,), want_snapshot=want_snapshot, users=users)
                (result,) = await pool.integrate([item], self._wall_clock() + limits.STAMP_AHEAD_US_MAX, in_force)
                return result

            in_order = sorted(waiting, key=lambda each: (each.record, each.number))
            for record, updates in groupby(in_order, key=lambda each: each.record):
                last: Waiting | None = None
                for each in updates:
                    (verdict,) = (await tried(each)).verdicts
                    own = _by_itself(verdict, user) if user else verdict
                    judged.append(Judged(each, own))
                    if own.code is VerdictCode.ACCEPTED:
                        trial.setdefault(record, []).append(each.update)
                        last = each
                    elif verdict.code is VerdictCode.ACCEPTED:
                        pool.forget_all()  # the worker has taken it in
                if values and last is not None:
                    whole = (await tried(last, want_snapshot=True)).snapshot
                    left |= {} if whole is None else {record: whole.hex()}
                pool.forget_all()
        return judged, left


def named(records: Collection[str]) -> str:
    """Which records a request is of, as the audit log tells it."""
    return ",".join(map(str, records)) or "all"


async def applied(
    engine: Engine, principal: Principal, waiting: Sequence[Waiting], wall_clock: Callable[[], int]
) -> list[Verdict]:
    """Push these as `principal`, in a session within this process; what became of each, in order."""
    if not waiting:
        return []
    ours, theirs = memory_pair()
    guest = Guest(lambda _: principal, known=Versions())
    reading = asyncio.create_task(DeviceLink(theirs, engine, guest=guest).read())
    verdicts: list[Verdict] = []
    try:
        hello = Hello((NEWEST,), secrets.token_bytes(16), "", wall_clock(), None, follow=False, count=0, agent="review")
        ours.send(codec.encode(hello))
        await _heard(ours, Terms)
        ours.send(codec.encode(terms_of(engine.store.space, secrets.token_bytes(16)), NEWEST))
        for push in pushes(PushEntry(each.record, each.update) for each in waiting):
            ours.send(codec.encode(push, NEWEST))
            due = len(verdicts) + len(push.entries)
            while len(verdicts) < due:
                ack = await _heard(ours, Ack)
                assert isinstance(ack, Ack)
                verdicts += ack.verdicts
        ours.send(codec.encode(Bye(DONE, "", None)))
    except ChannelClosed:
        verdicts += [refused(VerdictCode.RETRY, _NEVER_TOLD)] * (len(waiting) - len(verdicts))
    finally:
        await ours.close()
        await reading
    return verdicts


async def _heard(channel: MemoryChannel, kind: type[Message]) -> Message:
    """The next message of that kind. Raises `UsageError` where the session is refused, `ChannelClosed`."""
    while True:
        message = codec.decode(await channel.receive(), version=NEWEST)
        if isinstance(message, kind):
            return message
        if isinstance(message, Bye):
            raise UsageError(f"this cannot be applied now: {message.message}", "Try again in a moment.")


def _by_itself(verdict: Verdict, user: str) -> Verdict:
    """The verdict on what may name nobody else."""
    others = () if verdict.touched is None else verdict.touched.authors
    if verdict.code is not VerdictCode.ACCEPTED or not others:
        return verdict
    reason = f"names {', '.join(map(repr, others))} as its author, and the device is {user!r}'s"
    return refused(VerdictCode.FORBIDDEN, reason, verdict.touched)


@asynccontextmanager
async def _pool(load: Callable[[str], Sequence[bytes]], seq: Callable[[str], int]) -> AsyncIterator[IntegrationPool]:
    pool = IntegrationPool(load, keep_spare=False, seq=seq)
    try:
        yield pool
    finally:
        await pool.close()
