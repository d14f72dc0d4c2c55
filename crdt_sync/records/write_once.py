"""Writers that write once: equal content written on devices that know nothing of each other is one operation.

What an import writes must not double when another device imports the same file. So it is written under a writer id
that follows from the operations themselves: they are made on a copy under a placeholder, hashed with everything that
says where they stand, and made again under the id that the hash gives. An id is never written under a second time,
and two updates with one id are the same bytes: there is no equivocation.
"""

import hashlib
from collections.abc import Callable, Mapping

from crdt_sync.ids import WRITER_BITS
from crdt_sync.records.document import Document
from crdt_sync.records.lineages.holding import known_to

_PLACEHOLDER = 1
_ATTEMPTS_MAX = 1 << 20


def write_once(document: Document, write: Callable[[Document], object]) -> None:
    """Bring into `document` what `write` writes into a copy of it; it is called twice and must do the same each time.

    Whatever `write` raises leaves the document unchanged. What only deletes needs no id.
    """
    vector = document.state_vector()
    known = known_to(document)
    whole = (document.diff(),) if known else ()
    draft = Document.load(whole, _unused(known))
    write(draft)
    operations = _operations(draft, vector)
    if operations == _NONE:
        document.apply(draft.diff(vector))
        return
    final = Document.load(whole, _writer(operations, known))
    write(final)
    document.apply(final.diff(vector))


_NONE = b"\x00"


def _operations(document: Document, since: bytes) -> bytes:
    """The operations after a state vector, without the delete set, which is that of the whole record."""
    deletes = len(document.diff(document.raw_state_vector())) - 1  # no writers, then the delete set
    update = document.diff(since)
    return update[: len(update) - deletes]


def _writer(operations: bytes, known: Mapping[int, int]) -> int:
    """The id that follows from the operations; the next one where something was written under it already."""
    for attempt in range(_ATTEMPTS_MAX):
        material = attempt.to_bytes(4, "big") + operations
        digest = hashlib.blake2b(material, digest_size=8, person=b"crdt-sync once").digest()
        writer = int.from_bytes(digest, "big") >> (64 - WRITER_BITS)
        if writer > _PLACEHOLDER and writer not in known:
            return writer
    raise AssertionError("no writer id is free")


def _unused(known: Mapping[int, int]) -> int:
    return next(writer for writer in range(_PLACEHOLDER, _ATTEMPTS_MAX) if writer not in known)
