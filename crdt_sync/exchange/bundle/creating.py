"""Writes a bundle of a replica."""

import secrets
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from crdt_sync.errors import BundleNotWritten, StoreCorrupt, StoreFailed, StoreFull, UsageError
from crdt_sync.exchange.atomic import atomic_file
from crdt_sync.exchange.bundle.contents import Contents, everything, feed_of, in_parts, lacking
from crdt_sync.exchange.bundle.header import ID_BYTES, SALT_BYTES, End, Header, PastLife, Reading
from crdt_sync.exchange.bundle.partner import find_partner
from crdt_sync.exchange.bundle.protection import Key
from crdt_sync.exchange.bundle.recipients import Recipients
from crdt_sync.exchange.bundle.sealing import Sealing
from crdt_sync.exchange.bundle.writer import BundleWriter
from crdt_sync.ids import is_reserved, section_of
from crdt_sync.limits import BUNDLE_KNOWN_MAX
from crdt_sync.replica import Replica
from crdt_sync.replica.carried import carried
from crdt_sync.replica.heard import heard
from crdt_sync.storage.port import Log

_PROGRESS_EVERY = 256  # updates


@dataclass(frozen=True, slots=True)
class Created:
    """What was written: the header, what it held, and the bytes of the file.

    `through` names who told of the partner, where that is all that is known of it: what that one has of this device is
    taken to have come by way of the partner, which finds out where it did not. `reserved` of the updates are of no
    customer: they say how collections are defined, and what was imported. `left_out` names records that are damaged
    here, and how: the bundle says that it tells the history only up to the first of them, so that a later one brings
    them. `recipients` are those to whom it is sealed; `withheld` counts records that not all of them may hold, or that
    the user of this device may not bundle; sections are not counted.
    """

    header: Header
    end: End
    size: int
    through: str = ""
    reserved: int = 0
    left_out: Mapping[str, str] = field(default_factory=dict)
    recipients: Recipients | None = None
    withheld: int = 0


def create(
    replica: Replica,
    path: Path,
    *,
    partner: str | None = None,
    to: str | None = None,
    token: str | None = None,
    force: bool = False,
    progress: Callable[[int, int], object] | None = None,
) -> Created:
    """Write what `partner` is not known to have, or everything, to `path`, which appears whole or not at all.

    It begins a life of the store, because whoever reads it tells how far it has read.

    `partner` is a name, a URL or the beginning of a replica id. With a `token` only its holders can read or make such a
    bundle. `progress` hears how many records were written, of at most how many. Nothing counts as delivered by this.

    In a space with people it is sealed `to` somebody, see `recipients`, and holds what all of them may hold, whole.

    Raises `BundleNotWritten`, `BundleForbidden`, `UsageError` for a partner or somebody who is not known, `StoreError`.
    """
    if path.exists() and not force:
        raise BundleNotWritten(f"{str(path)!r} is there already", "Choose another name, or replace it with --force.")
    store = replica.store
    sealing = _sealing(replica, to, partner)
    if sealing is None:
        with suppress(StoreFull, StoreFailed):  # in the last life then: what this bundle tells is believed less far
            store.begin_life()
    found = None if partner is None else find_partner(store, partner)
    key = sealing.key if sealing else Key.of_token(token, secrets.token_bytes(SALT_BYTES)) if token else None
    left_out: dict[str, str] = {}
    while True:
        contents = everything(store) if found is None else lacking(store, found)
        head = min([contents.head, *(seq - 1 for seq in _places(store, left_out))])
        header = sealing.header(replica, head) if sealing else _header(replica, replace(contents, head=head), key)
        known_damage = len(left_out)
        with atomic_file(path, BundleNotWritten) as stream:
            writer = BundleWriter(stream, header, key, sealing.seal(header) if sealing else None)
            reserved = withheld = 0
            number = 0
            for part in iter((contents.records,)) if sealing is None else in_parts(store):
                for record, known in part:
                    if progress is not None and number % _PROGRESS_EVERY == 0:
                        progress(number, contents.records_max)
                    number += 1
                    if sealing is not None and not sealing.allows(replica, record):
                        withheld += not (is_reserved(record) or section_of(record))
                        continue
                    try:
                        diff = replica.context.diff(record, known)
                    except StoreCorrupt as corrupt:
                        replica.context.note_damage(record, corrupt.message)
                        left_out[record] = corrupt.message
                        continue
                    if diff is not None:
                        writer.add(record, diff.update)
                        reserved += is_reserved(record)
                writer.part()
            end = writer.finish()
            size = stream.tell()
            if len(left_out) == known_damage:
                replica.report("bundle", to or "", end.updates - reserved)  # before the file appears
        if len(left_out) == known_damage:  # else its header claims what is not in it: it is written once more
            through = found.through if found is not None else ""
            whom = sealing.recipients if sealing else None
            return Created(header, end, size, through, reserved, left_out, whom, withheld)


def _sealing(replica: Replica, to: str | None, partner: str | None) -> Sealing | None:
    """How the bundle is sealed; None where this device is in no space with people. Raises as `create` does."""
    member = replica.membership
    if to is None:
        if member is not None:
            raise UsageError(
                "in a space with people a bundle is sealed to somebody",
                "Say to whom: --to user:NAME, --to role:NAME or --to device:ID.",
            )
        return None
    if member is None:
        raise UsageError(
            "this device is in no space with people, so it can seal nothing to anybody",
            "Leave out --to; a token protects the bundle. Or join: ask who runs the space for an invite.",
        )
    if partner is not None:
        raise UsageError("a sealed bundle holds all that may be held", "Leave out --for, or --to.")
    return Sealing.begin(replica, member, to)


def _places(store: Log, records: Collection[str]) -> Iterator[int]:
    """Where these records changed last."""
    return (entry.seq for entry in feed_of(store, 0) if entry.record in records) if records else iter(())


def _header(replica: Replica, contents: Contents, key: Key | None) -> Header:
    return Header(
        bundle=secrets.token_bytes(ID_BYTES),
        source=replica.id,
        name=replica.name,
        epoch=replica.store.epoch,
        lives=tuple(PastLife(life.id, life.end) for life in replica.store.known_lives if life.end is not None),
        created=replica.clock.now(),
        base=contents.base,
        head=contents.head,
        partner=contents.partner,
        known=_known(replica, contents),
        protection=key.protection if key else None,
        space=replica.store.space.id if replica.store.space.joined else None,
    )


def _known(replica: Replica, contents: Contents) -> tuple[Reading, ...]:
    """How far others' feeds were read: the partner's first, then those heard of last."""
    wanted = contents.partner.replica if contents.partner else b""
    said = [
        (entry.created, Reading(entry.replica, entry.epoch, entry.cursor)) for entry in carried(replica.store).values()
    ]
    said += [
        (peer.last_seen, Reading(peer.replica, peer.epoch, peer.cursor))
        for peer in replica.store.peers()
        if any(peer.epoch)
    ]
    said += [(row.at, Reading(row.replica, row.epoch, row.cursor)) for row in heard(replica.store)]
    said.sort(key=lambda entry: (entry[1].replica == wanted, entry[0]), reverse=True)
    return tuple([reading for _, reading in said if reading.cursor > 0][:BUNDLE_KNOWN_MAX])
