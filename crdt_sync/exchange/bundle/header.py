"""What a bundle says of itself: who made it, when, of what, for whom, and how it is protected."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from crdt_sync.ids import EPOCH_BYTES, REPLICA_BYTES, SPACE_BYTES
from crdt_sync.limits import ACTOR_LENGTH_MAX, BUNDLE_CHUNKS_MAX, BUNDLE_KNOWN_MAX, LIVES_MAX
from crdt_sync.protocol.checks import check_bytes, check_integer, check_length, check_text
from crdt_sync.strict_cbor import dumps, loads

ID_BYTES = 16
SALT_BYTES = 16
CHECK_BYTES = 16
_DEPTH_MAX = 4
_HEADER_ITEMS_MAX = 32 + 4 * BUNDLE_KNOWN_MAX + 3 * LIVES_MAX
_END_ITEMS_MAX = 8


class Reading(NamedTuple):
    """How far the source has read the feed of another replica, in that life of it."""

    replica: bytes
    epoch: bytes
    cursor: int


class Addressee(NamedTuple):
    """Whom a bundle is made for. That it has what was left out rests on its log up to `head`, in that life of it."""

    replica: bytes
    epoch: bytes
    head: int


class PastLife(NamedTuple):
    """A life of the source before this one, and the last sequence number that it has in common with it."""

    epoch: bytes
    end: int


class Protection(NamedTuple):
    """What the keys were made with, and a value by which a wrong token is told from damage."""

    salt: bytes
    check: bytes


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a bundle. One that exists is valid.

    The bundle holds everything of the source's feed from `base` to `head`, in its life `epoch`, which followed on
    `lives`, oldest first; where a `partner` is named, without what that partner is known to have. `created` is in
    microseconds since 1970, by the source's corrected clock; `known` is what the source has read of others' feeds;
    `space` is the one that the source had joined, None where it had joined none, or in a bundle of format 1.
    """

    bundle: bytes
    source: bytes
    name: str
    epoch: bytes
    lives: tuple[PastLife, ...]
    created: int
    base: int
    head: int
    partner: Addressee | None
    known: tuple[Reading, ...]
    protection: Protection | None
    space: bytes | None = None

    def __post_init__(self) -> None:
        check_bytes("header.bundle", self.bundle, ID_BYTES, ID_BYTES)
        check_bytes("header.source", self.source, REPLICA_BYTES, REPLICA_BYTES)
        if not any(self.bundle) or not any(self.source):
            raise ValueError("header: an id of zeros")
        check_text("header.name", self.name, ACTOR_LENGTH_MAX)
        check_bytes("header.epoch", self.epoch, EPOCH_BYTES, EPOCH_BYTES)
        check_length("header.lives", self.lives, LIVES_MAX)
        for life in self.lives:
            check_bytes("header.lives.epoch", life.epoch, EPOCH_BYTES, EPOCH_BYTES)
            check_integer("header.lives.end", life.end)
        check_integer("header.created", self.created)
        check_integer("header.head", self.head)
        check_integer("header.base", self.base, 0, self.head)
        if self.partner is not None:
            _check_life("header.partner", self.partner)
            check_integer("header.partner.head", self.partner.head)
        check_length("header.known", self.known, BUNDLE_KNOWN_MAX)
        for reading in self.known:
            _check_life("header.known", reading)
            check_integer("header.known.cursor", reading.cursor)
        if self.protection is not None:
            check_bytes("header.protection.salt", self.protection.salt, SALT_BYTES, SALT_BYTES)
            check_bytes("header.protection.check", self.protection.check, CHECK_BYTES, CHECK_BYTES)
        if self.space is not None:
            check_bytes("header.space", self.space, SPACE_BYTES, SPACE_BYTES)

    @property
    def version(self) -> int:
        """The format of a bundle with this header."""
        return 1 if self.space is None else 2

    def encode(self) -> bytes:
        """The body of the header frame."""
        return dumps(
            (
                self.bundle,
                self.source,
                self.name,
                self.epoch,
                self.lives,
                self.created,
                self.base,
                self.head,
                self.partner,
                self.known,
                self.protection,
                *(() if self.space is None else (self.space,)),
            )
        )


@dataclass(frozen=True, slots=True)
class End:
    """What the bundle holds: chunks, updates of records, and the bytes of these updates, unpacked."""

    chunks: int
    updates: int
    size: int

    def __post_init__(self) -> None:
        check_integer("end.chunks", self.chunks, 0, BUNDLE_CHUNKS_MAX)
        check_integer("end.updates", self.updates)
        check_integer("end.size", self.size)

    def encode(self) -> bytes:
        """The body of the end frame."""
        return dumps((self.chunks, self.updates, self.size))


def decode_header(body: bytes, version: int) -> Header:
    """The header in the body of its frame, in that format of bundles. Raises `ValueError`."""
    items = loads(body, items_max=_HEADER_ITEMS_MAX, depth_max=_DEPTH_MAX)
    fields = _array("header", items, 11 if version == 1 else 12)
    bundle, source, name, epoch, lives, created, base, head, partner, known, protection, *space = fields
    return Header(
        bundle,
        source,
        name,
        epoch,
        tuple(PastLife(*_array("header.lives", row, 2)) for row in _array("header.lives", lives)),
        created,
        base,
        head,
        None if partner is None else Addressee(*_array("header.partner", partner, 3)),
        tuple(Reading(*_array("header.known", row, 3)) for row in _array("header.known", known)),
        None if protection is None else Protection(*_array("header.protection", protection, 2)),
        *space,
    )


def decode_end(body: bytes) -> End:
    """The end in the body of its frame. Raises `ValueError`."""
    return End(*_array("end", loads(body, items_max=_END_ITEMS_MAX, depth_max=_DEPTH_MAX), 3))


def _array(field: str, value: object, length: int | None = None) -> tuple[Any, ...]:
    if type(value) is not tuple or (length is not None and len(value) != length):
        raise ValueError(f"{field} is not an array of the right length")
    return value


def _check_life(field: str, life: Addressee | Reading) -> None:
    check_bytes(f"{field}.replica", life.replica, REPLICA_BYTES, REPLICA_BYTES)
    check_bytes(f"{field}.epoch", life.epoch, EPOCH_BYTES, EPOCH_BYTES)
