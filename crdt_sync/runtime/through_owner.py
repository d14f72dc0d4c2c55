"""Syncs and audits that the program which owns the store makes for another one: its sessions are the owner's."""

import asyncio
from dataclasses import fields
from pathlib import Path

from crdt_sync.errors import NotServed, OwnerGone, UsageError
from crdt_sync.limits import OWNER_DIFFERENCES_MAX
from crdt_sync.protocol.entries import CheckedEntry, Standing
from crdt_sync.protocol.messages import Receipt
from crdt_sync.replica import Holding
from crdt_sync.replica.owner.asking import Owner
from crdt_sync.replica.owner.message import Message
from crdt_sync.runtime.address import Address
from crdt_sync.runtime.audits import Audit, Comparison, Difference, Mended
from crdt_sync.runtime.progress import Progress

SYNC = "sync"
AUDIT = "audit"


async def sync_through(owner: Owner, address: Address) -> Progress:
    """Have the owner exchange everything with a partner once. Raises what it raises there."""
    answer = await _asked(owner, SYNC, *_message(address))
    if not isinstance(answer, tuple) or len(answer) != len(fields(Progress)):
        raise _another_answer()
    return Progress(*answer)


async def audit_through(owner: Owner, address: Address, what: str) -> Mended:
    """Have the owner audit with a partner; before and after are one where nothing is healed. Raises what it raises."""
    match await _asked(owner, AUDIT, what, *_message(address)):
        case (tuple(before), tuple(after)):
            return Mended(_audit(before), _audit(after))
    raise _another_answer()


async def _asked(owner: Owner, *request: object) -> object:
    """Raises what the owner raises, `NotServed` where it does not sync itself: it has not the means at hand."""
    try:
        return await asyncio.to_thread(owner.ask, *request)
    except NotServed:
        about = owner.about
        raise NotServed(
            f"process {about.process} ({about.called}) owns the store, and does not sync",
            "End that program first, or have it call sync(replica, ...) itself.",
        ) from None


def packed(found: Mended) -> Message:
    """The answer to an audit. What does not fit into it is counted, as beyond `AUDIT_DIFFERENCES_MAX`."""
    return (_packed_audit(found.before), _packed_audit(found.after))


def _packed_audit(found: Audit) -> Message:
    ours, theirs = found.comparison.ours, found.comparison.theirs
    named = tuple(
        (known.here.record, *(_packed_entry(known.here)), *(_packed_entry(known.there)))
        for known in found.differences[:OWNER_DIFFERENCES_MAX]
    )
    more = found.more + len(found.differences) - len(named)
    changing = found.changing[:OWNER_DIFFERENCES_MAX]
    return (
        (ours.head, ours.count, ours.root),
        (theirs.number, theirs.head, theirs.count, theirs.root),
        found.comparison.equal,
        found.content,
        named,
        changing,
        more + len(found.changing) - len(changing),
    )


def _packed_entry(entry: CheckedEntry) -> Message:
    return (entry.state, entry.content, int(entry.standing))


def _audit(message: Message) -> Audit:
    """The audit of a `_packed_audit`."""
    match message:
        case (
            (int(head), int(count), bytes(root)),
            tuple(theirs),
            bool(equal),
            bool(content),
            tuple(named),
            tuple(changing),
            int(more),
        ):
            if len(theirs) != len(fields(Receipt)):
                raise _another_answer()
            comparison = Comparison(Holding(head, count, root), Receipt(*theirs), equal)
            moving = tuple(str(record) for record in changing)
            return Audit(comparison, content, tuple(map(_difference, named)), moving, more)
    raise _another_answer()


def _difference(message: object) -> Difference:
    match message:
        case (str(record), bytes(a), bytes(b), int(here), bytes(c), bytes(d), int(there)):
            ours, theirs = CheckedEntry(record, a, b, Standing(here)), CheckedEntry(record, c, d, Standing(there))
            return Difference(record, ours, theirs)
    raise _another_answer()


def _another_answer() -> OwnerGone:
    return OwnerGone("the program that owns the store gave another answer", "Update both to the same version.")


def _message(address: Address) -> Message:
    interval = None if address.ping_interval_s is None else int(address.ping_interval_s * 1e6)
    authorities = None if address.authorities is None else str(address.authorities.absolute())
    memory = None if address.memory is None else str(address.memory.absolute())
    kind = (address.direct, address.adopt, interval, address.transport, memory)
    insists = (True,) if address.insist else ()  # a program of an earlier version knows nothing of it
    return (address.url, address.token, authorities, *kind, *insists)


def address_of(request: Message) -> Address:
    """Whom a program wants to sync with. Raises `UsageError`."""
    match request:
        case (
            str(url),
            str(token),
            (str() | None) as authorities,
            bool(direct),
            bool(adopt),
            (int() | None) as interval,
            str(transport),
            (str() | None) as memory,
            *insists,
        ):
            path = None if authorities is None else Path(authorities)
            seconds = None if interval is None else interval / 1e6
            return Address(
                url,
                token,
                path,
                direct=direct,
                adopt=adopt,
                ping_interval_s=seconds,
                transport=transport,
                memory=None if memory is None else Path(memory),
                insist=insists == [True],
            )
    raise UsageError("a sync was asked for in another form", "Update both programs to the same version.")
