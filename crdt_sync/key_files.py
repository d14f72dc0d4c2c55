"""Private keys as files that their owner alone may read."""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from crdt_sync.errors import IdentityRefused, KeyUnusable
from crdt_sync.files import created, sync_folder
from crdt_sync.identity.keys import KEY_BYTES, KeyPair

_FILE_BYTES_MAX = 4096  # a key takes 120


def make_key(path: Path) -> KeyPair:
    """A new key, in a new file that nobody else can read at any time. Raises `KeyUnusable` where there is one."""
    pair = KeyPair(secrets.token_bytes(KEY_BYTES))
    try:
        with created(path) as file:
            file.write(pair.pem)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)
    except FileExistsError:
        raise KeyUnusable(f"there is a key in {path} already", "Keep it, or give the new one another path.") from None
    except OSError as error:
        raise KeyUnusable(f"the key {path} cannot be written: {error}", "Check its folder.") from error
    return pair


def read_key(path: Path) -> KeyPair:
    """The key in a file. Raises `KeyUnusable`."""
    try:
        with path.open("rb") as file:
            return KeyPair.from_pem(file.read(_FILE_BYTES_MAX))
    except OSError as error:
        raise KeyUnusable(
            f"the key {path} cannot be read: {error}",
            "Check the path and who may read it, or restore it from a backup.",
        ) from error
    except IdentityRefused as error:
        raise KeyUnusable(f"{path}: {error.message}", "Restore the file from a backup.") from error


def open_to_others(path: Path) -> bool:
    """Whether other users of this machine can read or write the key. It works all the same, and whoever reads it tells
    its owner: secrets that are mounted into containers are often so, and no one else is there to read them.
    """
    if os.name != "posix":
        return False
    with suppress(OSError):
        return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)
    return False
