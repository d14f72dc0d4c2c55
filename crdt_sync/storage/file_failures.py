"""What the operating system refuses of a store's files beside its data, as errors of ours.

Each has another way out: room is freed, a medium is mounted for writing, a user is given access.
"""

import errno
import ssl
from typing import Final

from crdt_sync.errors import StoreError, StoreFailed, StoreForbidden, StoreFull

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
FREE_SPACE: Final = "Free some space on the disk, or raise the quota; nothing stored so far is lost."
READ_ONLY: Final = "Mount it so that it can be written to, or name a store elsewhere."
GIVE_ACCESS: Final = "Run as the user who owns the store, or give this user access."
_FAILING: Final = frozenset({errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE})


def failed(error: OSError | ValueError, what: str, otherwise: str = GIVE_ACCESS) -> StoreError:
    """The error to raise, `from` the one given: `what` was not done. `otherwise` is the next step where it is the file
    that stands in the way, rather than the disk.
    """
    number = error.errno if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else None
    message = f"{what}: {getattr(error, 'strerror', None) or error}"
    if number in FULL:
        return StoreFull(message, FREE_SPACE)
    if number == errno.EROFS:
        return StoreForbidden(message, READ_ONLY)
    if number in _FAILING:
        return StoreFailed(message, "Try again; if it stays so, check the disk and the limits of this process.")
    return StoreForbidden(message, otherwise)
