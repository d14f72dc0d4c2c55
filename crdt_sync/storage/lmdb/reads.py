"""Reads inside one transaction. Every value is checked against its seal before it is decoded."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from itertools import islice, takewhile

from crdt_sync.errors import LogCompacted, StoreCorrupt
from crdt_sync.ids import RECORD_LENGTH_MAX
from crdt_sync.limits import BEHIND_COUNTED_MAX
from crdt_sync.storage.behind import reckon
from crdt_sync.storage.keys import KEY_BYTES_MAX
from crdt_sync.storage.lmdb import codec
from crdt_sync.storage.lmdb.codec import CHECKSUM_BYTES, DOCS, FEED, INDEX, LOG, META, VIEWS, HeadRow, State, seq_key
from crdt_sync.storage.lmdb.encrypted import encrypted
from crdt_sync.storage.lmdb.identity import STATE_KEY
from crdt_sync.storage.lmdb.tables import Table, Tables, Transaction
from crdt_sync.storage.values import ChangedDigests, FeedEntry, LogEntry, OutboxEntry, Peer, Remains, Stored


def read_state(transaction: Transaction, tables: Tables) -> State:
    """The state as stored. Raises `StoreCorrupt`."""
    return codec.state(STATE_KEY, transaction.get(STATE_KEY, b"", db=tables.store))


def walk(transaction: Transaction, table: Table, start: bytes, after: bool = False) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) from `start` on, or from the key behind it."""
    with transaction.cursor(db=table) as cursor:
        if cursor.set_range(start):
            if after and cursor.key() == start and not cursor.next():
                return
            yield from cursor.iternext(keys=True, values=True)


def page(
    transaction: Transaction, table: Table, after: str, limit: int, prefix: str = ""
) -> Iterator[tuple[bytes, bytes]]:
    """At most `limit` (record, value) with that prefix, behind `after`."""
    start, wanted = (after, True) if after >= prefix else (prefix, False)
    start_key = start.encode("utf-8", "surrogatepass")[:KEY_BYTES_MAX]
    prefix_key = prefix.encode("utf-8", "surrogatepass")
    rows = encrypted(transaction)
    if rows is not None:
        return rows.in_order(table, start_key, wanted, max(limit, 0), prefix_key)
    found = walk(transaction, table, start_key, wanted)
    wanted_page = islice(found, max(limit, 0))
    return takewhile(lambda row: row[0].startswith(prefix_key), wanted_page) if prefix else wanted_page


def names(transaction: Transaction, table: Table, after: str, limit: int, prefix: str = "") -> list[str]:
    """A page of record ids that are keys of `table`."""
    return [key.decode("ascii") for key, _ in page(transaction, table, after, limit, prefix)]


def record_key(record: str) -> bytes:
    """A record id as a key; one that no record can have becomes a key that no record has."""
    return record.encode("ascii") if record.isascii() and 0 < len(record) <= RECORD_LENGTH_MAX else b"\x00"


def head(transaction: Transaction, tables: Tables, record: str) -> HeadRow | None:
    """The row of a record, or None."""
    key = record_key(record)
    value = transaction.get(key, db=tables.heads)
    return None if value is None else codec.head_row(key, value)


def log_body(transaction: Transaction, tables: Tables, seq: int, record: str | None = None) -> bytes | None:
    """The checked body of a log entry, or None if it is not there. `record`: whose tail it belongs to."""
    key = seq_key(seq)
    value = transaction.get(key, db=tables.log)
    return None if value is None else LOG.open(key, value, record)


def stored(transaction: Transaction, tables: Tables, record: str) -> Stored:
    """Snapshot and tail. Raises `StoreCorrupt` with the record if any of it is damaged or missing."""
    row = head(transaction, tables, record)
    if row is None:
        return Stored(None, ())
    updates: list[bytes] = []
    seq = row.seq
    for _ in range(row.tail):
        body = log_body(transaction, tables, seq, record)
        if body is None:
            raise codec.corrupt("log", seq_key(seq), record, "is missing")
        updates.append(codec.log_update(body))
        seq = codec.log_previous(body)
    if row.snapshot_seq:
        updates.append(_snapshot(transaction, tables, record, row))
    updates.reverse()
    return Stored(row.head(), tuple(updates))


def _snapshot(transaction: Transaction, tables: Tables, record: str, row: HeadRow) -> bytes:
    if row.snapshot_in_log:
        body = log_body(transaction, tables, row.snapshot_seq, record)
        if body is None:
            raise codec.corrupt("log", seq_key(row.snapshot_seq), record, "is missing")
        return codec.log_update(body)
    key = record.encode("ascii")
    value = transaction.get(key, db=tables.docs)
    if value is None:
        raise codec.corrupt("docs", key, record, "is missing")
    return DOCS.open(key, value, record)


def feed(transaction: Transaction, tables: Tables, after: int, limit: int) -> list[FeedEntry]:
    """The feed behind `after`. A record whose head is damaged stays in it: what is asked of it tells."""
    entries = []
    for key, value in islice(walk(transaction, tables.feed, seq_key(max(after, 0) + 1)), max(limit, 0)):
        record_key = FEED.open(key, value)
        record, seq = record_key.decode("ascii"), int.from_bytes(key, "big")
        try:
            row = head(transaction, tables, record)
        except StoreCorrupt:
            entries.append(FeedEntry(seq, record, b""))
            continue
        if row is None or row.seq != seq:
            raise codec.corrupt("feed", key, None, f"does not match the head of {record}")
        entries.append(FeedEntry(seq, record, row.state_vector))
    return entries


def changed_digests(
    transaction: Transaction, tables: Tables, after: int, limit: int, also: Sequence[str]
) -> ChangedDigests | None:
    """Digests of what changed after `after`."""
    rows = list(islice(walk(transaction, tables.feed, seq_key(max(after, 0) + 1)), limit + 1))
    if len(rows) > limit:
        return None
    keys = [FEED.open(key, value) for key, value in rows] + [record_key(record) for record in also]
    heads = ((key, transaction.get(key, db=tables.heads)) for key in keys)
    digests = dict(codec.head_digests((key, value) for key, value in heads if value is not None))
    state = read_state(transaction, tables)
    return ChangedDigests(state.seq, state.root, digests)


def behind(transaction: Transaction, tables: Tables, after: int) -> tuple[int, int]:
    """How much changed after `after`."""
    after = max(after, 0)
    changed = list(islice(walk(transaction, tables.feed, seq_key(after + 1)), BEHIND_COUNTED_MAX + 1))
    records = len(changed)
    if records > BEHIND_COUNTED_MAX:
        records = min(read_state(transaction, tables).seq - after, transaction.stat(tables.heads)["entries"])
    names = (FEED.open(key, value).decode("ascii") for key, value in changed)
    return reckon(records, (_bytes_behind(transaction, tables, name, after) for name in names))


def _bytes_behind(transaction: Transaction, tables: Tables, record: str, after: int) -> int:
    row = head(transaction, tables, record)
    if row is None:
        raise codec.corrupt("heads", record_key(record), record, "is missing")
    if row.snapshot_seq > after:
        return len(_snapshot(transaction, tables, record, row)) + row.tail_bytes
    if after == 0 or row.tail == 1:  # the newest of it lies behind `after`, or it would not be asked for
        return row.tail_bytes
    size = 0
    seq = row.seq
    for _ in range(row.tail):
        if seq <= after:
            break
        body = log_body(transaction, tables, seq, record)
        if body is None:
            raise codec.corrupt("log", seq_key(seq), record, "is missing")
        size += len(codec.log_update(body))
        seq = codec.log_previous(body)
    return size


def log(transaction: Transaction, tables: Tables, after: int, limit: int, bytes_max: int) -> list[LogEntry]:
    """The log from `after + 1` on without a gap."""
    entries: list[LogEntry] = []
    size = 0
    expected = max(after, 0) + 1
    for key, value in islice(walk(transaction, tables.log, seq_key(expected)), max(limit, 0)):
        if int.from_bytes(key, "big") != expected:
            break
        entry = codec.log_entry(expected, LOG.open(key, value))
        size += len(entry.update)
        if entries and size > bytes_max:
            break
        entries.append(entry)
        expected += 1
    if not entries and limit > 0 and expected <= read_state(transaction, tables).seq:
        raise LogCompacted(f"the log no longer holds entry {expected}", "Read the feed instead.")
    return entries


def history(transaction: Transaction, tables: Tables, record: str) -> list[LogEntry]:
    """Updates of a record back to where compaction has been."""
    row = head(transaction, tables, record)
    entries: list[LogEntry] = []
    seq = 0 if row is None else row.seq
    while seq:
        body = log_body(transaction, tables, seq)
        if body is None:
            break
        entries.append(codec.log_entry(seq, body))
        seq = codec.log_previous(body)
    entries.reverse()
    return entries


def view(transaction: Transaction, tables: Tables, record: str) -> bytes | None:
    """The view of a record."""
    key = record_key(record)
    value = transaction.get(key, db=tables.views)
    return None if value is None else VIEWS.open(key, value)


def views(transaction: Transaction, tables: Tables, after: str, limit: int, prefix: str) -> list[tuple[str, bytes]]:
    """A page of views."""
    found = page(transaction, tables.views, after, limit, prefix)
    return [(key.decode("ascii"), VIEWS.open(key, value)) for key, value in found]


def digests(transaction: Transaction, tables: Tables, after: str, limit: int) -> list[tuple[str, bytes | None]]:
    """A page of digests."""
    return codec.head_digests(page(transaction, tables.heads, after, limit))


def kept_index(transaction: Transaction, tables: Tables) -> list[bytes]:
    """The pages of the caller's index, or none if one is damaged."""
    try:
        return [INDEX.open(key, value) for key, value in walk(transaction, tables.index, b"\x00")]
    except StoreCorrupt:
        return []


def peer(transaction: Transaction, tables: Tables, replica: bytes) -> Peer | None:
    """One partner."""
    value = transaction.get(replica, db=tables.peers)
    return None if value is None else codec.peer(replica, value)


def peers(transaction: Transaction, tables: Tables) -> list[Peer]:
    """All partners."""
    return [codec.peer(key, value) for key, value in walk(transaction, tables.peers, b"\x00")]


def outbox(transaction: Transaction, tables: Tables, replica: bytes, after: str, limit: int) -> list[OutboxEntry]:
    """A page of one outbox."""
    entries = []
    start = (replica + after.encode("utf-8", "surrogatepass"))[:KEY_BYTES_MAX]
    rows = encrypted(transaction)
    if rows is not None:
        found = rows.in_order(tables.outbox, start, True, max(limit, 0), replica)
    else:
        found = walk(transaction, tables.outbox, start, True)
    for key, value in islice(found, max(limit, 0)):
        if not key.startswith(replica):
            break
        entries.append(codec.outbox_entry(key, value))
    return entries


def outbox_entry(transaction: Transaction, tables: Tables, replica: bytes, record: str) -> OutboxEntry | None:
    """One entry of one outbox."""
    key = replica + record_key(record)
    value = transaction.get(key, db=tables.outbox)
    return None if value is None else codec.outbox_entry(key, value)


def outbox_count(transaction: Transaction, tables: Tables, replica: bytes) -> tuple[int, int]:
    """(all, refused) of one outbox."""
    value = transaction.get(replica, db=tables.outbox_counts)
    return (0, 0) if value is None else codec.counts(replica, value)


def meta(transaction: Transaction, tables: Tables, name: str) -> bytes | None:
    """A value of the caller."""
    key = name.encode("utf-8")
    value = transaction.get(key, db=tables.meta)
    return None if value is None else META.open(key, value)


def judged_log(transaction: Transaction, tables: Tables) -> Iterator[tuple[int, bytes, bool]]:
    """(seq, value, sound) of every log entry; sound: it matches its seal, and what was written after it links to it."""
    try:
        state = read_state(transaction, tables)
    except StoreCorrupt:
        state = None
    before: tuple[int, bytes, bool] | None = None
    for key, value in walk(transaction, tables.log, seq_key(1)):
        if len(key) != 8:
            continue  # none of ours: damage of LMDB's own pages
        seq, intact = int.from_bytes(key, "big"), LOG.matches(key, value)
        if before is not None:
            linked = not intact or seq != before[0] + 1 or codec.log_link(value[CHECKSUM_BYTES:]) == before[1][:16]
            yield before[0], before[1], before[2] and linked
        before = seq, value, intact
    if before is not None:
        linked = state is None or before[0] != state.seq or before[1][:16] == state.link
        yield before[0], before[1], before[2] and linked


def damaged(transaction: Transaction, tables: Tables) -> list[str]:
    """Records that cannot be rebuilt from sound bytes, and those of which the log tells and no head does."""
    found: set[str] = set()
    unsound: set[int] = set()
    for seq, value, sound in judged_log(transaction, tables):
        if not sound:
            unsound.add(seq)
            continue
        record = codec.log_entry(seq, value[CHECKSUM_BYTES:]).record
        key = record_key(record)
        if transaction.get(key, db=tables.heads) is None and transaction.get(key, db=tables.quarantine) is None:
            found.add(record)
    for key, value in walk(transaction, tables.heads, b"\x00"):
        record = key.decode("ascii", "replace")
        try:
            row = codec.head_row(key, value)
            stored(transaction, tables, record)
        except StoreCorrupt:
            found.add(record)
        else:
            if unsound and not unsound.isdisjoint(_needed(transaction, tables, record, row)):
                found.add(record)
    return sorted(found)


def _needed(transaction: Transaction, tables: Tables, record: str, row: HeadRow) -> list[int]:
    """The log entries that a record which can be loaded is made of."""
    needed = [row.snapshot_seq] if row.snapshot_in_log else []
    seq = row.seq
    for _ in range(row.tail):
        needed.append(seq)
        seq = codec.log_previous(log_body(transaction, tables, seq, record) or b"")
    return needed


def remains(transaction: Transaction, tables: Tables, records: Collection[str]) -> dict[str, Remains]:
    """What is sound of these records, in one walk over the log."""
    entries: dict[str, list[LogEntry]] = {record: [] for record in records}
    unsound: dict[str, list[bytes]] = {record: [] for record in records}
    broken = False
    for seq, value, sound in judged_log(transaction, tables):
        broken = broken or not sound
        if sound:
            entry = codec.log_entry(seq, LOG.open(seq_key(seq), value))
            if entry.record in entries:
                entries[entry.record].append(entry)
        elif whose := codec.log_record(value[CHECKSUM_BYTES:]):
            unsound.get(whose, []).append(LOG.legible(value))
    return {
        record: _remains(transaction, tables, record, entries[record], unsound[record], broken) for record in records
    }


def _remains(
    transaction: Transaction,
    tables: Tables,
    record: str,
    entries: Sequence[LogEntry],
    unsound: Sequence[bytes],
    broken: bool,
) -> Remains:
    key = record_key(record)
    row = None
    with suppress(StoreCorrupt):
        row = head(transaction, tables, record)
    snapshot, damaged_snapshot = _judged(codec.DOCS, key, transaction.get(key, db=tables.docs))
    view, damaged_view = _judged(VIEWS, key, transaction.get(key, db=tables.views))
    missing = row is not None and row.snapshot_seq and not row.snapshot_in_log and snapshot is None
    return Remains(
        None if row is None else row.head(),
        None if row is None else row.digest,
        snapshot,
        view,
        tuple(entries),
        broken or bool(missing) or damaged_snapshot is not None,
        (*unsound, *([] if damaged_snapshot is None else [damaged_snapshot])),
        damaged_view,
    )


def _judged(seal: codec.PackingSeal, key: bytes, value: bytes | None) -> tuple[bytes | None, bytes | None]:
    """The body where it is sound, and what is legible of it where it is not; None where there is none."""
    if value is None:
        return None, None
    try:
        return seal.open(key, value), None
    except StoreCorrupt:
        return None, seal.legible(value)


def meta_keys(transaction: Transaction, tables: Tables, prefix: str) -> list[str]:
    """The keys of the caller's values that begin with `prefix`."""
    start = prefix.encode("utf-8")
    hidden = encrypted(transaction)
    if hidden is not None:
        all_of_them = hidden.in_order(tables.meta, start, False, transaction.stat(tables.meta)["entries"], start)
        return [key.decode("utf-8", "replace") for key, _ in all_of_them]
    rows = takewhile(lambda row: row[0].startswith(start), walk(transaction, tables.meta, start or b"\x00"))
    return [key.decode("utf-8", "replace") for key, _ in rows]
