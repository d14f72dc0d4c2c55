"""What can be made of stored bytes, where these may be damaged, or older than the checks of today."""

from collections.abc import Callable
from typing import TypeVar

from crdt_sync.errors import StoreCorrupt, StoreError

T = TypeVar("T")


def readable(read: Callable[[], T]) -> T | None:
    """What `read` returns; None where the bytes are damaged, or are no record: also those that make the library panic.

    Raises `StoreError` for what has nothing to do with the bytes.
    """
    try:
        return read()
    except StoreCorrupt:
        return None
    except (StoreError, KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException:  # pycrdt's PanicException is no Exception
        return None
