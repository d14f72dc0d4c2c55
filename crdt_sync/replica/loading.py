"""Documents of what a store holds, also where that is no record: one error says so, whatever the library raised."""

from collections.abc import Iterable, Sequence

from crdt_sync.errors import RecordUnreadable, StoreError
from crdt_sync.records import Document
from crdt_sync.records.updates.halves import mended
from crdt_sync.storage.port import Records


def loaded(record: str, updates: Iterable[bytes], writer: int | None = None) -> Document:
    """The document of a record's stored bytes. Raises `RecordUnreadable` where none can be built."""
    return loaded_whole(record, whole(record, updates), writer)


def whole(record: str, updates: Iterable[bytes]) -> Sequence[bytes]:
    """The stored bytes for `loaded_whole`: see `mended`. Raises `RecordUnreadable`."""
    given = tuple(updates)
    try:
        return mended(given)
    except (StoreError, KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # pycrdt's PanicException is no Exception
        raise RecordUnreadable(record, error) from None


def loaded_whole(record: str, updates: Iterable[bytes], writer: int | None = None) -> Document:
    """`loaded` for bytes that were made whole. Raises `RecordUnreadable`."""
    try:
        return Document.load_whole(updates, writer)
    except (StoreError, KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # pycrdt's PanicException is no Exception
        raise RecordUnreadable(record, error) from None


def stored_document(store: Records, record: str, writer: int | None = None) -> Document:
    """The document of a record as the store has it, empty where it has none.

    Raises `StoreCorrupt` where the bytes are damaged, `RecordUnreadable` where they are intact and no record.
    """
    return loaded(record, store.load(record).updates, writer)
