"""How values look on disk: a 16-byte checksum over database, key and body, then the body.

LMDB has no checksums of its own, and Yjs takes a flipped bit for content, so nothing is decoded before its seal
was checked. The key is part of what is sealed: a value that turns up under another key does not match either.
Layouts are in docs/storage.md. The bodies of some databases may be packed: see `PackingSeal`.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b

import cbor2

from crdt_sync.errors import StoreCorrupt
from crdt_sync.limits import PACKED_BYTES_MIN
from crdt_sync.storage.keys import ROOT_MODULUS
from crdt_sync.storage.lmdb.packing import legible, pack, unpack
from crdt_sync.storage.values import Head, LogEntry, OutboxEntry, Peer, Root

CHECKSUM_BYTES = 16
ROOT_EMPTY = Root(0, 0, 0)
LINK_FIRST = bytes(CHECKSUM_BYTES)  # what the first log entry is linked to

_LOG = struct.Struct(">16sQq16sBH")  # link, previous seq of the record, received_at, origin, record and actor length
_HEAD = struct.Struct(">QQIQB")
_STATE = struct.Struct(">QQ16sQQ32s")
_COUNTS = struct.Struct(">QQ")
_LINEAGE = struct.Struct(">Q")
_HAS_DIGEST = 1
_SNAPSHOT_IN_LOG = 2
_HAS_LINEAGE = 4
_SCATTERED = 8


class Seal:
    """Seals and opens the values of one database."""

    def __init__(self, database: str) -> None:
        self.database = database
        self._hasher = blake2b(digest_size=CHECKSUM_BYTES, person=database.encode("ascii"))

    def checksum(self, key: bytes, body: bytes) -> bytes:
        """The 16-byte checksum. No key holds a NUL before its fixed part, so joining is unambiguous."""
        hasher = self._hasher.copy()
        hasher.update(b"%b\x00%b" % (key, body))
        return hasher.digest()

    def close(self, key: bytes, body: bytes) -> bytes:
        """The value to store under `key`."""
        hasher = self._hasher.copy()  # as in `checksum`: of each record that a commit touches
        hasher.update(b"%b\x00%b" % (key, body))
        return hasher.digest() + body

    def matches(self, key: bytes, value: bytes) -> bool:
        """Whether `value` is what was stored under `key`."""
        return self.checksum(key, value[CHECKSUM_BYTES:]) == value[:CHECKSUM_BYTES]

    def open(self, key: bytes, value: bytes, record: str | None = None) -> bytes:
        """The body. Raises `StoreCorrupt`; `record` says whose primary data this is."""
        body = value[CHECKSUM_BYTES:]
        if self.checksum(key, body) != value[:CHECKSUM_BYTES]:
            raise corrupt(self.database, key, record)
        return body

    def open_all(self, rows: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
        """`open` for each (key, value) of a database of records, with less of Python between the hashes."""
        copy = self._hasher.copy
        for key, value in rows:
            body = value[CHECKSUM_BYTES:]
            hasher = copy()
            hasher.update(b"%b\x00%b" % (key, body))
            if hasher.digest() != value[:CHECKSUM_BYTES]:
                raise corrupt(self.database, key, key.decode("ascii", "replace"))
            yield key, body


class PackingSeal(Seal):
    """The seal of a database whose bodies may be packed. The checksum of one that is stands there backwards.

    So a value tells how to read it, with nothing added to those that are stored plain, and no damage makes one kind
    pass for the other. `plain` says how many bytes at the beginning of a body are never packed.
    """

    def __init__(self, database: str, plain: Callable[[bytes], int] = lambda _: 0) -> None:
        super().__init__(database)
        self._plain = plain

    def close(self, key: bytes, body: bytes, packs: bool = False) -> bytes:
        """The value to store under `key`; with `packs` packed where that pays."""
        if packs and len(body) >= PACKED_BYTES_MIN:
            start = self._plain(body)
            packed = pack(body[start:])
            if packed is not None:
                body = body[:start] + packed
                return self.checksum(key, body)[::-1] + body
        return self.checksum(key, body) + body

    def matches(self, key: bytes, value: bytes) -> bool:
        """Whether `value` is what was stored under `key`, and can be read."""
        try:
            self.open(key, value)
        except StoreCorrupt:
            return False
        return True

    def open(self, key: bytes, value: bytes, record: str | None = None) -> bytes:
        """The body, unpacked. Raises `StoreCorrupt`."""
        body, found = value[CHECKSUM_BYTES:], value[:CHECKSUM_BYTES]
        checksum = self.checksum(key, body)
        if checksum == found:
            return body
        if checksum[::-1] != found:
            raise corrupt(self.database, key, record)
        try:
            start = self._plain(body)
            return body[:start] + unpack(body[start:])
        except (ValueError, struct.error):
            raise corrupt(self.database, key, record, "cannot be unpacked") from None

    def legible(self, value: bytes) -> bytes:
        """What can be read of the body of a damaged value, which may have been packed."""
        body = value[CHECKSUM_BYTES:]
        try:
            start = self._plain(body)
        except struct.error:
            return body
        return body[:start] + legible(body[start:])


_HINT = (
    "Run 'crdt-sync verify --repair' on a device, or 'crdt-relay verify --repair' on a stopped relay.\n"
    "Keep a copy of the directory until all is well again: what is intact in it is not lost."
)


def corrupt(database: str, key: bytes, record: str | None = None, problem: str = "") -> StoreCorrupt:
    """The error for a value that cannot be trusted."""
    what = problem or "does not match its checksum"
    of = f", of {record}," if record is not None and key_text(key) != record else ""
    return StoreCorrupt(f"entry {key_text(key)} of {database!r}{of} {what}", _HINT, record)


_KEY_BYTES_SHOWN = 40  # a replica id and the start of a record's; a damaged page may pass anything off as a key


def key_text(key: bytes) -> str:
    """A key for people: text, a sequence number, or hexadecimal."""
    if len(key) == 8:
        return str(int.from_bytes(key, "big"))
    if key.isascii() and key.decode("ascii").isprintable():
        return key.decode("ascii")
    return key.hex() if len(key) <= _KEY_BYTES_SHOWN else f"{key[:_KEY_BYTES_SHOWN].hex()}…"


def seq_key(seq: int) -> bytes:
    """A sequence number as a key that sorts by number."""
    return seq.to_bytes(8, "big")


def _before_update(body: bytes) -> int:
    _, _, _, _, record_length, actor_length = _LOG.unpack_from(body)
    return int(_LOG.size + record_length + actor_length)


LOG = PackingSeal("log", _before_update)
HEADS = Seal("heads")
DOCS = PackingSeal("docs")
FEED = Seal("feed")
VIEWS = PackingSeal("views")
PEERS = Seal("peers")
OUTBOX = Seal("outbox")
OUTBOX_COUNTS = Seal("outbox_counts")
INDEX = Seal("index")
DAMAGED = Seal("damaged")
META = Seal("meta")
STORE = Seal("store")


def log_body(
    link: bytes, previous: int, received_at: int, origin: bytes, record: bytes, actor: bytes, update: bytes
) -> bytes:
    """The body of one log entry; `link` is the checksum of the entry before it."""
    fixed = _LOG.pack(link, previous, received_at, origin, len(record), len(actor))
    return b"".join((fixed, record, actor, update))


def log_entry(seq: int, body: bytes) -> LogEntry:
    """Decode the body of one log entry."""
    _, previous, received_at, origin, record_length, actor_length = _LOG.unpack_from(body)
    actor_start = _LOG.size + record_length
    update_start = actor_start + actor_length
    record = body[_LOG.size : actor_start].decode("ascii")
    actor = body[actor_start:update_start].decode("utf-8")
    return LogEntry(seq, record, body[update_start:], origin, actor, received_at, previous)


def log_link(body: bytes) -> bytes:
    """The checksum of the entry before."""
    return body[:CHECKSUM_BYTES]


def log_previous(body: bytes) -> int:
    """The seq of the entry before of the same record, 0 for its first."""
    return int.from_bytes(body[CHECKSUM_BYTES : CHECKSUM_BYTES + 8], "big")


def log_record(body: bytes) -> str | None:
    """Whose entry this seems to be, damaged as it is; None where that cannot be told."""
    if len(body) < _LOG.size:
        return None
    length = _LOG.unpack_from(body)[4]
    return body[_LOG.size : _LOG.size + length].decode("ascii", "replace")


def log_update(body: bytes) -> bytes:
    """Just the update of a log entry."""
    return body[_before_update(body) :]


@dataclass(slots=True)
class HeadRow:
    """The row of `heads`: `Head`, the digest if it is valid, and where the snapshot is.

    `scattered`: the log may hold entries of the record that its newest does not lead back to.
    """

    seq: int
    state_vector: bytes
    snapshot_seq: int
    tail: int
    tail_bytes: int
    digest: bytes | None
    snapshot_in_log: bool
    lineage: int = 0
    scattered: bool = False

    def head(self) -> Head:
        """What the port shows of it."""
        return Head(self.seq, self.state_vector, self.snapshot_seq, self.tail, self.tail_bytes, self.lineage)

    def value(self, key: bytes) -> bytes:
        """The sealed value."""
        flags = (_HAS_DIGEST if self.digest else 0) | (_SNAPSHOT_IN_LOG if self.snapshot_in_log else 0)
        flags |= (_HAS_LINEAGE if self.lineage else 0) | (_SCATTERED if self.scattered else 0)
        fixed = _HEAD.pack(self.seq, self.snapshot_seq, self.tail, self.tail_bytes, flags)
        lineage = _LINEAGE.pack(self.lineage) if self.lineage else b""
        return HEADS.close(key, b"".join((fixed, self.digest or b"", lineage, self.state_vector)))


def head_row(key: bytes, value: bytes) -> HeadRow:
    """Open a row of `heads`. Raises `StoreCorrupt` with the record."""
    body = value[CHECKSUM_BYTES:]
    if HEADS.checksum(key, body) != value[:CHECKSUM_BYTES]:
        raise corrupt(HEADS.database, key, key.decode("ascii", "replace"))
    seq, snapshot_seq, tail, tail_bytes, flags = _HEAD.unpack_from(body)
    start = _HEAD.size + (16 if flags & _HAS_DIGEST else 0)
    digest = body[_HEAD.size : start] or None
    in_log = bool(flags & _SNAPSHOT_IN_LOG)
    lineage = 0
    if flags & _HAS_LINEAGE:
        (lineage,) = _LINEAGE.unpack_from(body, start)
        start += _LINEAGE.size
    return HeadRow(seq, body[start:], snapshot_seq, tail, tail_bytes, digest, in_log, lineage, bool(flags & _SCATTERED))


def head_digests(rows: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, bytes | None]]:
    """The record and digest of rows of `heads`, at half the cost of `head_row`. Raises `StoreCorrupt`."""
    start, end = _HEAD.size, _HEAD.size + 16
    return [
        (key.decode("ascii"), body[start:end] if body[start - 1] & _HAS_DIGEST else None)
        for key, body in HEADS.open_all(rows)
    ]


@dataclass(frozen=True, slots=True)
class State:
    """What changes with every commit: last seq, how far compaction went, end of the chain, aggregates."""

    seq: int = 0
    compacted: int = 0
    link: bytes = LINK_FIRST
    root: Root = ROOT_EMPTY

    def value(self, key: bytes) -> bytes:
        """The sealed value."""
        root = self.root
        total = (root.sum % ROOT_MODULUS).to_bytes(32, "big")
        return STORE.close(key, _STATE.pack(self.seq, self.compacted, self.link, root.count, root.stale, total))


def state(key: bytes, value: bytes) -> State:
    """Open the state."""
    seq, compacted, link, count, stale, total = _STATE.unpack(STORE.open(key, value))
    return State(seq, compacted, link, Root(count, int.from_bytes(total, "big"), stale))


def peer_value(peer: Peer) -> bytes:
    """A sealed peer."""
    row = [peer.epoch, peer.cursor, peer.head, peer.last_seen, peer.url, *(peer.marks or ())]
    return PEERS.close(peer.replica, cbor2.dumps(row))


def peer(key: bytes, value: bytes) -> Peer:
    """Open a peer."""
    epoch, cursor, head, last_seen, url, *marks = cbor2.loads(PEERS.open(key, value))
    return Peer(key, epoch, cursor, last_seen, url, head, (marks[0], marks[1]) if marks else None)


def outbox_key(replica: bytes, record: str) -> bytes:
    """The 16 bytes of the peer, then the record."""
    return replica + record.encode("ascii")


def outbox_value(key: bytes, entry: OutboxEntry) -> bytes:
    """A sealed outbox entry; its first byte says whether it was refused."""
    flag = b"\x00" if entry.refusal is None else b"\x01"
    fields = [entry.edit, entry.refusal, entry.acknowledged, entry.reason]
    return OUTBOX.close(key, flag + cbor2.dumps(fields))


def outbox_refused(value: bytes) -> bool:
    """Whether a sealed outbox entry was refused, without opening it."""
    return value[CHECKSUM_BYTES : CHECKSUM_BYTES + 1] == b"\x01"


def outbox_entry(key: bytes, value: bytes) -> OutboxEntry:
    """Open an outbox entry."""
    edit, refusal, acknowledged, reason = cbor2.loads(OUTBOX.open(key, value)[1:])
    return OutboxEntry(key[16:].decode("ascii"), acknowledged, edit, refusal, reason)


def counts_value(key: bytes, total: int, refused: int) -> bytes:
    """Sealed counts of one outbox."""
    return OUTBOX_COUNTS.close(key, _COUNTS.pack(total, refused))


def counts(key: bytes, value: bytes) -> tuple[int, int]:
    """Open the counts of one outbox."""
    total, refused = _COUNTS.unpack(OUTBOX_COUNTS.open(key, value))
    return total, refused
