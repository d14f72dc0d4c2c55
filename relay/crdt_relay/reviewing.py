"""An operator looks at what devices that were shut out had not sent, applies it, or drops it.

Rules:

1. What was handed in is hostile until it was judged: by a worker of its own, on trial, as what the user of that device
   writes now, by the policy in force. Nothing else is applied.
2. What names somebody else as its author is not applied: whoever wrote it has a device that sends it.
3. What is applied goes the way of a push, through the same worker, gate, quotas and audit log as that of a session.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from crdt_relay.administration import Administration
from crdt_relay.review import HandedIn, Waiting
from crdt_sync import limits
from crdt_sync.errors import UsageError
from crdt_sync.identity.statements import Versions
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
from crdt_sync.runtime.worker.values import Item
from crdt_sync.storage.port import Store
from crdt_sync.verdicts import Verdict, VerdictCode, refused

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
                return await self._shown(device, records)
            case {"act": "apply", "device": str(device)}:
                return await self._apply(device, records)
            case {"act": "drop", "device": str(device)}:
                return await self._drop(device, records)
        raise UsageError("the relay does not know that request", "Use the same version as the relay.")

    async def _listed(self, handed: HandedIn) -> dict[str, Any]:
        found = await self._judged(handed, self._people.review.waiting(handed.device))
        return self._told(handed, found)

    async def _shown(self, named: str, records: Collection[str]) -> dict[str, Any]:
        handed, chosen = self._chosen(named, records)
        found = await self._judged(handed, chosen)
        after = await self._snapshots(chosen)
        updates = [
            {
                **each.as_dict(),
                "before": [update.hex() for update in self._store.load(each.waiting.record).updates],
                "after": after[each.waiting.number],
            }
            for each in found
        ]
        return {**self._told(handed, found), "updates": updates}

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

    async def _judged(self, handed: HandedIn, waiting: Sequence[Waiting]) -> list[Judged]:
        """What would become of these, one after the other in the order of their records."""
        authority = self._people.authority
        in_force = None if authority is None else authority.in_force()
        return [
            Judged(each, _by_itself(verdict, handed.user))
            async for each, verdict, _ in self._tried(waiting, handed.user, in_force)
        ]

    async def _snapshots(self, waiting: Sequence[Waiting]) -> dict[int, str | None]:
        """What the record of each would be with it, in hexadecimal, were all allowed; None where it is no update."""
        tried = self._tried(waiting, "", None)
        return {each.number: None if whole is None else whole.hex() async for each, _, whole in tried}

    async def _tried(
        self, waiting: Sequence[Waiting], user: str, in_force: InForce | None
    ) -> AsyncIterator[tuple[Waiting, Verdict, bytes | None]]:
        """Each integrated on trial, on what is stored and those before it: a section needs its record."""
        trial: dict[str, list[bytes]] = {}

        def load(record: str) -> Sequence[bytes]:
            return (*self._store.load(record).updates, *trial.get(record, ()))

        async with _pool(load, lambda record: standing_at(self._store, record)) as pool:
            for each in sorted(waiting, key=lambda each: (each.record, each.number)):
                users = () if in_force is None else (user,)
                item = Item(each.record, (each.update,), want_snapshot=True, users=users)
                stamp_max = self._wall_clock() + limits.STAMP_AHEAD_US_MAX
                (result,) = await pool.integrate([item], stamp_max, in_force)
                (verdict,) = result.verdicts
                good = verdict.code is VerdictCode.ACCEPTED
                if good:
                    trial.setdefault(each.record, []).append(each.update)
                pool.forget_all()
                yield each, verdict, result.snapshot if good else None


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
