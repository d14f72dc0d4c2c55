"""Silent corruption, planted into a store: every checksum is right, and the record is wrong all the same."""

from crdt_sync.records import Document
from crdt_sync.records.updates.state_vector import decode
from crdt_sync.records.updates.varint import append_uint
from crdt_sync.storage.port import Store
from crdt_sync.storage.values import Batch, Change


def other_content(store: Store, record: str, old: bytes, new: bytes) -> None:
    """The same operations and deletions with another text in them, of the same length."""
    assert len(old) == len(new)
    stored = store.load(record)
    whole = Document.load(stored.updates).diff()
    assert old in whole
    _store(store, record, whole.replace(old, new))


def other_deletions(store: Store, record: str, *, digest_too: bool) -> None:
    """One operation more is deleted; `digest_too`: the stored digest says so as well."""
    document = Document.load(store.load(record).updates)
    (writer, *_) = sorted(decode(document.state_vector()))
    deletion = bytearray(b"\x00\x01")
    append_uint(deletion, writer)
    deletion += b"\x01\x00\x01"
    document.apply(bytes(deletion))
    _store(store, record, document.diff())
    if digest_too:
        store.commit([Batch(digests={record: None})])


def nonsense(store: Store, record: str, *, log_too: bool = False) -> None:
    """Bytes that are no record at all; `log_too`: the last entry of its log as well."""
    _store(store, record, b"\xff\xff\xff", (b"\xff\xff\xff",) if log_too else ())


def missing(store: Store, record: str) -> None:
    """The record is gone, and nothing tells that it ever was here."""
    store.quarantine(record)


def unannounced(store: Store, record: str, whole: bytes) -> None:
    """A record that no partner is owed."""
    document = Document.load([whole])
    change = Change(
        record,
        (whole,),
        store.replica,
        "",
        0,
        document.state_vector(),
        whole,
        b'{"fields":{},"conflicts":[],"deleted":false}',
    )
    store.commit([Batch(changes=(change,))])


def _store(store: Store, record: str, whole: bytes, logged: tuple[bytes, ...] = ()) -> None:
    head = store.record_head(record)
    assert head is not None
    store.commit([Batch(changes=(Change(record, logged, store.replica, "", 0, head.state_vector, whole),))])
