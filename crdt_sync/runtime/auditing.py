"""Audits with a partner: do both hold the same, which records differ, what does each side's log say, and repair.

Rules:

1. A record is named only when both sides were at rest with it: nothing of it was pending here, its last sequence
   number here was the same before and after, and the partner's answer came behind every update up to the state that
   it speaks of. What never comes to rest is told apart, as changing.
2. A repair never throws away what only one side has. First each side mends what its own complete log contradicts,
   then both exchange their whole records, which merge; only a record of which both hold the same operations with
   another content is replaced, and never one that its own log agrees with.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from crdt_sync.limits import CHECK_RECORDS_MAX
from crdt_sync.protocol.entries import CheckedEntry, Standing
from crdt_sync.replica import Holding, Replica
from crdt_sync.replica.audit import check, seqs
from crdt_sync.replica.owner.message import Message
from crdt_sync.runtime.address import Address
from crdt_sync.runtime.audits import Audit, Comparison, Difference, Mended
from crdt_sync.runtime.conversation import Conversation
from crdt_sync.runtime.plain import run_plain
from crdt_sync.runtime.progress import Progress
from crdt_sync.runtime.through_owner import address_of, audit_through, packed

_COMPARE, _AUDIT, _CONTENT, _HEAL, _HEAL_CONTENT = "compare", "audit", "content", "heal", "heal content"
_ROUNDS_MAX = 5  # while others keep writing: exchange and look again
_T = TypeVar("_T")


Converse = Callable[..., Conversation]
"""Makes a conversation from a replica, an address, and who hears of its progress."""


async def compare_once(replica: Replica, address: Address, converse: Converse = Conversation) -> Comparison:
    """Exchange everything, then compare receipts. Raises `RemoteError`, `StoreError`.

    While others keep writing, receipts are of different moments; then both sides exchange and compare again.
    Where another program owns the store, that one does it, and so with all audits.
    """
    if (owner := replica.owner) is not None:
        return (await audit_through(owner, address, _COMPARE)).after.comparison
    return await _talk(replica, address, lambda conversation: _Auditor(replica, conversation).compare(), None, converse)


async def audit_once(
    replica: Replica,
    address: Address,
    *,
    content: bool,
    on_progress: Callable[[Progress], None] | None = None,
    converse: Converse = Conversation,
) -> Audit:
    """Exchange everything, compare receipts, and name what differs; with `content`, compare all contents as well.

    Raises `RemoteError`, `StoreError`.
    """
    if (owner := replica.owner) is not None:
        return (await audit_through(owner, address, _CONTENT if content else _AUDIT)).after
    return await _talk(
        replica,
        address,
        lambda conversation: _Auditor(replica, conversation).audit(content=content),
        on_progress,
        converse,
    )


async def heal_once(
    replica: Replica,
    address: Address,
    *,
    content: bool,
    on_progress: Callable[[Progress], None] | None = None,
    converse: Converse = Conversation,
) -> Mended:
    """Audit, heal with the partner what differs, and audit again. Raises `RemoteError`, `StoreError`.

    Values that are damaged here (their checksum says so) are a matter of `Replica.repair`, which comes first.
    """
    if (owner := replica.owner) is not None:
        return await audit_through(owner, address, _HEAL_CONTENT if content else _HEAL)

    async def work(conversation: Conversation) -> Mended:
        auditor = _Auditor(replica, conversation)
        before = await auditor.audit(content=content)
        await auditor.heal([difference.record for difference in before.differences])
        after = await auditor.audit(content=content) if before.differences or before.more else before
        return Mended(before, after)

    return await _talk(replica, address, work, on_progress, converse)


async def _talk(
    replica: Replica,
    address: Address,
    work: Callable[[Conversation], Awaitable[_T]],
    on_progress: Callable[[Progress], None] | None,
    converse: Converse,
) -> _T:
    found: list[_T] = []

    async def until(conversation: Conversation) -> None:
        found.append(await work(conversation))

    await converse(replica, address, on_progress).run(until)
    return found[0]


@dataclass(slots=True)
class _Looked:
    """What was seen of records at rest, on both sides."""

    differences: list[Difference] = field(default_factory=list)
    changing: list[str] = field(default_factory=list)


class _Auditor:
    """The work of an audit inside one conversation."""

    def __init__(self, replica: Replica, conversation: Conversation) -> None:
        self._replica = replica
        self._conversation = conversation

    async def compare(self) -> Comparison:
        """Receipts of both, when nothing was left to exchange."""
        for _ in range(_ROUNDS_MAX):
            await self._conversation.settled()
            theirs = await self._conversation.receipt()
            await self._conversation.settled()
            ours, complete = await asyncio.to_thread(self._receipt_here)
            equal = (ours.count, ours.root) == (theirs.count, theirs.root) and complete
            if equal or self._conversation.cursor == theirs.head:
                break
        return Comparison(ours, theirs, equal)

    def _receipt_here(self) -> tuple[Holding, bool]:
        """Our receipt, and whether every record was counted in with its digest, both of one moment.

        What is damaged here has no digest: that both sides lack one says nothing of what they hold.
        """
        self._replica.refresh_digests()  # most of them, while others may edit
        with self._replica.context.lock:
            return self._replica.receipt(), not self._replica.store.root().stale

    async def audit(self, *, content: bool) -> Audit:
        """See `audit_once`."""
        comparison = await self.compare()
        named: set[str] = set()
        more = 0
        if content:
            found = await self._conversation.audit(content=True)
            named.update(found.named)
            more = found.more
        if not comparison.equal:
            found = await self._conversation.audit(content=False)
            named.update(found.named)
            more = max(more, found.more)
        looked = await self._look(sorted(named))
        if named and not comparison.equal:  # what was under way is settled, and wrong digests are dropped
            comparison = await self.compare()
        return Audit(comparison, content, tuple(looked.differences), tuple(looked.changing), more)

    async def heal(self, records: Sequence[str]) -> None:
        """Make both sides hold the same of these records, as far as the rules of this module allow."""
        there: list[CheckedEntry] = []
        here: list[CheckedEntry] = []
        for part in _parts(records):
            there += await self._conversation.check(part, mend=True)
            here += await self._check_here(part, mend=True)
        damaged = {entry.record for entry in (*here, *there) if entry.standing is Standing.UNREADABLE}
        await self._conversation.exchange_whole([record for record in records if record not in damaged])
        looked = await self._look(records)
        theirs = [difference.record for difference in looked.differences if _is_theirs_better(difference)]
        await self._conversation.exchange_whole(theirs, replace=True)

    async def _look(self, records: Sequence[str]) -> _Looked:
        looked = _Looked()
        rest = list(records)
        for _ in range(_ROUNDS_MAX):
            if not rest:
                break
            moving: list[str] = []
            for part in _parts(rest):
                moving += await self._look_at(part, looked)
            rest = moving
        looked.changing = rest
        looked.differences.sort(key=lambda difference: difference.record)
        return looked

    async def _look_at(self, records: Sequence[str], looked: _Looked) -> list[str]:
        """Compare these records; returns those that were not at rest."""
        await self._conversation.settled()
        before = await asyncio.to_thread(seqs, self._replica.store, records)
        theirs = await self._conversation.check(records)
        await self._conversation.settled()
        ours = await self._check_here(records, mend=False)
        after = await asyncio.to_thread(seqs, self._replica.store, records)
        moving: list[str] = []
        for here, there in zip(ours, theirs, strict=True):
            record = here.record
            if before[record] != after[record] or there.standing is Standing.CHANGING or self._pending(record):
                moving.append(record)
            elif not _same(here, there):
                looked.differences.append(Difference(record, here, there))
        return moving

    async def _check_here(self, records: Sequence[str], *, mend: bool) -> list[CheckedEntry]:
        return await asyncio.to_thread(lambda: [check(self._replica.context, record, mend=mend) for record in records])

    def _pending(self, record: str) -> bool:
        entry = self._replica.store.outbox_entry(self._conversation.partner, record)
        return entry is not None and entry.refusal is None


def _same(here: CheckedEntry, there: CheckedEntry) -> bool:
    if here.standing is Standing.ABSENT or there.standing is Standing.ABSENT:
        return here.standing is there.standing
    return Standing.UNREADABLE not in {here.standing, there.standing} and here[1:3] == there[1:3]


def _is_theirs_better(difference: Difference) -> bool:
    """Whether the partner's record may take the place of ours, if it has all operations of ours."""
    if difference.kind == "damaged":
        return difference.here.standing is Standing.UNREADABLE and difference.there.standing <= Standing.INCOMPLETE
    return difference.kind == "content" and difference.here.standing is not Standing.AGREES


def _parts(records: Sequence[str]) -> list[Sequence[str]]:
    return [records[start : start + CHECK_RECORDS_MAX] for start in range(0, len(records), CHECK_RECORDS_MAX)]


def compare(replica: Replica, address: Address) -> Comparison:
    """`compare_once` for plain code. Raises as that does, and `UsageError` inside a running event loop."""
    return run_plain(lambda: compare_once(replica, address), "compare_once(replica, address)")


def serve(replica: Replica, request: Message) -> Message:
    """What another program asks for: an audit of some kind."""
    what, *whom = request
    address = address_of(tuple(whom))
    if what == _COMPARE:
        found = Audit(asyncio.run(compare_once(replica, address)), content=False)
        return packed(Mended(found, found))
    content = what in {_CONTENT, _HEAL_CONTENT}
    if what in {_HEAL, _HEAL_CONTENT}:
        return packed(asyncio.run(heal_once(replica, address, content=content)))
    found = asyncio.run(audit_once(replica, address, content=content))
    return packed(Mended(found, found))
