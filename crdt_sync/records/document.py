"""One record as a CRDT document, and the only module that drives pycrdt's documents.

It uses the layer below `pycrdt.Doc`, which that class wraps in Python: reading a record of 20 fields takes 30 µs
instead of 90 there, and its JSON gives integers as integers. The exact release is pinned for the digests anyway.

Bytes given to a `Document` must have been verified or come from this process. Bytes of another party go through
`integrate.Integrator`, in a process that may be killed.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from crdt_sync.records import yrs
from crdt_sync.records.member_keys import member_of
from crdt_sync.records.roots import (
    ARRAY_PREFIXES,
    DELETED_ROOT,
    LINEAGE_ROOT,
    MAP_PREFIXES,
    TEXT_PREFIX,
    Contents,
    is_reserved,
)
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.records.updates.delete_set import (
    Ranges,
    covered,
    encode_delete_set,
    merged,
    range_covered,
    read_deletes,
    without,
)
from crdt_sync.records.updates.halves import made_whole, mended
from crdt_sync.records.updates.lists import Lists
from crdt_sync.records.updates.objects import in_order
from crdt_sync.records.updates.update import Item, Scan, scan
from crdt_sync.records.updates.varint import append_uint

if TYPE_CHECKING:
    from crdt_sync.records.yrs import Array, Map, Text
    from crdt_sync.records.yrs import Transaction as YrsTransaction

DIGEST_BYTES = 16
DIGEST_VERSION = b"\x01"  # mixed into every digest: a change of the rule is a new version, never a silent mismatch
_GUID = ""  # pycrdt would draw a random one for each document
_parsed = json.JSONDecoder(
    object_pairs_hook=lambda members: dict(sorted(members))  # yrs gives them in no order
).raw_decode  # half the time of `json.loads`; yrs puts no space around its JSON


class Document:
    """A loaded record. `writer` is the Yjs client id for edits; without one the document is only read."""

    __slots__ = ("_doc", "writer")

    def __init__(self, writer: int | None = None) -> None:
        self.writer = writer
        self._doc = yrs.Doc(writer or 0, None, _GUID)

    @classmethod
    def load(cls, updates: Iterable[bytes], writer: int | None = None) -> Self:
        """A document that holds `updates`, applied in order. What earlier versions stored of broken text is mended."""
        return cls.load_whole(mended(tuple(updates)), writer)

    @classmethod
    def load_whole(cls, updates: Iterable[bytes], writer: int | None = None) -> Self:
        """`load` for bytes that a document wrote, or that were mended."""
        document = cls(writer)
        for update in updates:
            document.apply(update)
        return document

    @contextmanager
    def transaction(self) -> "Iterator[YrsTransaction]":
        """A transaction of the document below, for the modules of this package. It cannot be nested or rolled back."""
        transaction = self._doc.create_transaction()
        try:
            yield transaction
        finally:
            transaction.commit()
            transaction.drop()

    def array(self, transaction: "YrsTransaction", root: str) -> "Array":
        """The root array of that name, within a transaction."""
        return self._doc.get_or_insert_array(transaction, root)

    def map(self, transaction: "YrsTransaction", root: str) -> "Map":
        """The root map of that name, within a transaction."""
        return self._doc.get_or_insert_map(transaction, root)

    def text(self, transaction: "YrsTransaction", root: str) -> "Text":
        """The root text of that name, within a transaction."""
        return self._doc.get_or_insert_text(transaction, root)

    def apply(self, update: bytes) -> None:
        """Integrate verified bytes.

        On `ValueError` the document is unchanged. Any other exception, which includes pycrdt's `PanicException`
        (a `BaseException`), leaves it undefined: throw it away.
        """
        transaction = self._doc.create_transaction()
        try:
            self._doc.apply_update(transaction, update)
            transaction.commit()
        finally:
            transaction.drop()

    def join(self, update: bytes) -> None:
        """Integrate what another document that began as this one has beyond it; see `apply`."""
        for step in self.steps(update, scan(update)):
            self.apply(step)

    def steps(self, update: bytes, found: Scan) -> list[bytes]:
        """`update`, whose scan is `found`, as updates to be integrated one after the other.

        Where it puts something inside what it deletes, what is here of that is deleted first: that may be a surrogate
        pair, and yrs, which deletes last, would cut text there and lose what follows. A pair of its own is mended.
        """
        own = list(made_whole([update], self.deletes))  # what is deleted here is no pair
        deletes = merged(found.deletes)
        if not deletes or not any(_inside(item, deletes) for item in found.items):
            return own
        vector = vectors.decode(self.raw_state_vector())
        here: Ranges = {}
        for writer, ranges in deletes.items():
            end = vector.get(writer, 0)
            here[writer] = [(clock, min(length, end - clock)) for clock, length in ranges if clock < end]
        fresh = without(merged(here), self.deletes())
        return [b"\x00" + encode_delete_set(fresh), *own] if fresh else own

    def state_vector(self) -> bytes:
        """The canonical state vector."""
        return vectors.normalise(self.raw_state_vector())

    def diff(self, state_vector: bytes = vectors.EMPTY) -> bytes:
        """One update with everything that a holder of `state_vector` lacks; the delete set is always whole.

        Raises `UpdateRefused` ('malformed') for bytes that are no state vector.
        """
        if state_vector != vectors.EMPTY:
            vectors.decode(state_vector)
        transaction = self._doc.create_transaction()
        try:
            return self._doc.get_update(transaction, state_vector)
        finally:
            transaction.drop()

    def deletions(self) -> bytes:
        """An update with the delete set and nothing else, to be kept for `diff_of_edit`."""
        transaction = self._doc.create_transaction()
        try:
            return self._doc.get_update(transaction, self._doc.get_state(transaction))
        finally:
            transaction.drop()

    def diff_of_edit(self, state_vector: bytes, deletions: bytes) -> bytes:
        """What was done since the document had this state vector and these `deletions`, and nothing deleted earlier;
        all that was ever deleted where they are empty.

        Only for a holder of all of that: a state vector alone does not tell what was deleted. An update that said again
        what an earlier one deleted would outlive that one in a damaged store, and delete what nothing there replaces.
        """
        whole = self.diff(state_vector)
        if not deletions:
            return whole
        now = self.deletions()
        structs = whole[: len(whole) - len(now) + 1]  # `now` is a zero, for no structs, and the same delete set
        fresh = without(merged(read_deletes(now)), merged(read_deletes(deletions)))
        lineage = self.lineage_writer()
        mark: Ranges = {lineage: [(0, 1)]} if lineage else {}  # each update of a lineage names it, see `lineage`
        return structs + encode_delete_set(merged(fresh, mark))

    def lineage_writer(self) -> int:
        """Who wrote the first update of a record that was renewed, see `lineage`; 0 where it never was."""
        with self.transaction() as transaction:
            if LINEAGE_ROOT not in self.root_names(transaction):
                return 0
            array = self.array(transaction, LINEAGE_ROOT)
            return self.first_of_item(array, transaction, 0)[0] if array.len(transaction) else 0

    @staticmethod
    def first_of_item(shared: "Array | Text", transaction: "YrsTransaction", index: int) -> tuple[int, int]:
        """Writer and clock of the first operation of an item of a list, which must begin at `index`.

        An index counts as yrs does: the values of an array, the bytes of a text in UTF-8.
        """
        here = shared.sticky_index(transaction, index, 0)  # type: ignore[union-attr]  # not in pycrdt's stubs
        item = json.loads(here.to_json_string())["item"]
        return item["client"], item["clock"]

    @property
    def size(self) -> int:
        """Bytes of the whole integrated state."""
        return len(self.diff())

    def content_bytes(self) -> int:
        """Bytes of the values, texts, set members and timelines that it holds, whatever else that takes to store."""
        contents = self.contents()
        return sum(_content_bytes(root, raw) for root, raw in contents.items() if not is_reserved(root))

    def digest(self) -> bytes:
        """Digest A: equal exactly when two replicas hold the same operations and the same deletions.

        Hashes the canonical state vector and the merged, sorted delete ranges. The bytes that yrs itself
        writes differ between replicas that agree.
        """
        material = bytearray(self.state_vector())
        deletes = self.deletes()
        for writer in sorted(deletes):
            ranges = deletes[writer]
            append_uint(material, writer)
            append_uint(material, len(ranges))
            for clock, length in ranges:
                append_uint(material, clock)
                append_uint(material, length)
        return hashlib.blake2b(DIGEST_VERSION + material, digest_size=DIGEST_BYTES, person=b"crdt-sync A").digest()

    def content_digest(self) -> bytes:
        """Digest B: covers the content as well, for audits. Slower: the record is loaded once more."""
        content = in_order(Document.load_whole((self.diff(),)).diff())
        return hashlib.blake2b(DIGEST_VERSION + content, digest_size=DIGEST_BYTES, person=b"crdt-sync B").digest()

    def deletes(self) -> Ranges:
        """What is deleted: writer to merged, sorted `(clock, length)` ranges."""
        return merged(read_deletes(self.deletions()))

    def is_missing(self, update: bytes) -> bool:
        """Whether part of an applied update waits for operations that are not here. yrs says nothing by itself."""
        raw = self.raw_state_vector()
        rest = yrs.get_update(update, raw)
        if rest[0] != 0:
            return True
        if len(rest) == 2:
            return False
        vector = vectors.decode(raw)
        return any(
            clock + length > vector.get(writer, 0)
            for writer, ranges in read_deletes(rest).items()
            for clock, length in ranges
        )

    def lacks(self, update: bytes) -> bool:
        """Whether an update holds an operation or a deletion that is not here. Raises what `apply` raises."""
        rest = yrs.get_update(update, self.raw_state_vector())
        if rest[0] != 0:
            return True
        return len(rest) > 2 and not covered(read_deletes(rest), self.deletes())

    def removed_members(self) -> dict[str, set[str]]:
        """Set field to the members that were in it once and are not now, in canonical form."""
        removed: dict[str, set[str]] = {}
        there: dict[str, set[str]] = {}
        for item in scan(self.diff()).items:
            if item.key is not None and item.root is not None and item.root.startswith("s."):
                found = removed if item.deleted else there
                found.setdefault(item.root[2:], set()).add(member_of(item.key))
        return {field: left for field, gone in removed.items() if (left := gone - there.get(field, set()))}

    def written_once(self) -> set[str]:
        """The fields of one value that hold what was written into them first, and never held anything else."""
        live: dict[str, int] = {}
        changed: set[str] = set()
        for item in scan(self.diff()).items:
            if item.root is not None and item.root.startswith("c.") and not is_reserved(item.root):
                live[item.root[2:]] = live.get(item.root[2:], 0) + 1
                if item.deleted:
                    changed.add(item.root[2:])
        return {field for field, count in live.items() if count == 1} - changed

    def typed_texts(self) -> set[str]:
        """The texts of which something that is shown is by no import: by no writer of a text of a source of that field.

        As far as it is known: an import writes a text of its source, see `source_texts`, unless that is too long.
        """
        items = scan(self.diff()).items
        lists = Lists(items)
        shown: dict[str, set[int]] = {}
        said: dict[str, set[int]] = {}
        for item in items:
            root = lists.name((item.writer, item.clock)).root
            if root.startswith(f"{TEXT_PREFIX}_"):
                said.setdefault(root.rpartition(".")[2], set()).add(item.writer)
            elif item.text and root.startswith(TEXT_PREFIX):
                shown.setdefault(root[2:], set()).add(item.writer)
        return {field for field, writers in shown.items() if field in said and not writers <= said[field]}

    def roots_count(self) -> int:
        """How many root types the record has."""
        with self.transaction() as transaction:
            return len(self._doc.roots(transaction))

    def has_text(self) -> bool:
        """Whether the record has a text root."""
        with self.transaction() as transaction:
            return any(root.startswith(TEXT_PREFIX) for root in self._doc.roots(transaction))

    def root_names(self, transaction: "YrsTransaction") -> list[str]:
        """The names of the root types, in no order."""
        return list(self._doc.roots(transaction))

    def raw_state_vector(self, within: "YrsTransaction | None" = None) -> bytes:
        """The state vector in the arbitrary order that yrs writes it in: to be decoded, never compared."""
        if within is not None:
            return self._doc.get_state(within)
        transaction = self._doc.create_transaction()
        try:
            return self._doc.get_state(transaction)
        finally:
            transaction.drop()

    def contents(self) -> Contents:
        """Root name to its content as JSON has it, or its text."""
        return self.contents_at()[0]

    def contents_at(self) -> tuple[Contents, bytes]:
        """The same, and the state vector that it is of, see `raw_state_vector`."""
        contents: Contents = {}
        transaction = self._doc.create_transaction()
        try:
            for root in self._doc.roots(transaction):
                contents[root] = self.content(transaction, root)
            return contents, self._doc.get_state(transaction)
        finally:
            transaction.drop()

    def content(self, transaction: "YrsTransaction", root: str) -> object:
        """What one root holds as JSON has it, or its text."""
        prefix = root[:2]
        if prefix in ARRAY_PREFIXES:
            return _parsed(self._doc.get_or_insert_array(transaction, root).to_json(transaction))[0]
        if prefix in MAP_PREFIXES:
            return _parsed(self._doc.get_or_insert_map(transaction, root).to_json(transaction))[0]
        if prefix == TEXT_PREFIX:
            return self._doc.get_or_insert_text(transaction, root).get_string(transaction)
        return None  # a root of a layout to come: kept and passed on, not read


def _inside(item: Item, deletes: Ranges) -> bool:
    """Whether an origin of an item lies inside a range of `deletes`."""
    left, right = item.left, item.right
    return (left is not None and range_covered(deletes.get(left[0], []), left[1], 2)) or (
        right is not None and right[1] > 0 and range_covered(deletes.get(right[0], []), right[1] - 1, 2)
    )


def _content_bytes(root: str, raw: object) -> int:
    """Of one root. Counters and deletions count as nothing: they do not grow."""
    if isinstance(raw, str):
        return len(raw.encode())
    if root[:2] in ARRAY_PREFIXES and root != DELETED_ROOT and isinstance(raw, list):
        return sum(_value_bytes(entry[0]) for entry in raw if isinstance(entry, list) and entry)
    if root.startswith("s.") and isinstance(raw, dict):
        return sum(map(_value_bytes, raw.values()))
    return 0


def _value_bytes(value: object) -> int:
    return 0 if value is None else len(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))
