"""Finding the key of an encrypted store without asking anybody.

In this order: what `unlock` keeps until the user logs out; what opened the store by then: a key file, the system's
keyring; a passphrase in the environment.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

from crdt_sync.errors import KeyUnusable, StoreLocked
from crdt_sync.files import destroy, replaced
from crdt_sync.storage.encryption import key_box, keyrings
from crdt_sync.storage.encryption.cipher import KEY_BYTES, key_id

PASSPHRASE_VARIABLE = "CRDT_SYNC_PASSPHRASE"
KEY_FILE_VARIABLE = "CRDT_SYNC_KEY_FILE"
_RUNTIME_VARIABLE = "XDG_RUNTIME_DIR"


def found_key(store: Path) -> bytes:
    """The key of the encrypted store in a directory.

    Raises `StoreLocked` where it is not at hand, `StoreKeyWrong`, and `KeyUnusable` where it is gone.
    """
    box = key_box.read(store)
    kept = remembered(box.id)
    if kept is not None:
        return kept
    named = os.environ.get(KEY_FILE_VARIABLE) or (box.where if box.by == "file" else "")
    passphrase = os.environ.get(PASSPHRASE_VARIABLE)
    match box.by:
        case "file" if named:
            return box.key(key_box.from_file(Path(named)))
        case "keyring":
            return box.key(keyrings.read(box.where))
        case "passphrase" if passphrase:
            return key_box.open_by_passphrase(box, passphrase)
    raise StoreLocked(
        f"the store {store} is encrypted, and locked",
        f"Run 'crdt-sync store unlock', or give its passphrase in {PASSPHRASE_VARIABLE}. If that is lost, nothing "
        "opens it: 'crdt-sync store wipe' makes room to begin anew, and loses what was not synced.",
    )


def remember(key: bytes) -> None:
    """Keep a key until the user logs out, in memory that no disk sees. Raises `KeyUnusable` where there is none."""
    folder = _folder(make=True)
    if folder is None:
        raise KeyUnusable(
            "this system has no folder in memory for this user alone ($XDG_RUNTIME_DIR)",
            f"Give the passphrase in {PASSPHRASE_VARIABLE}, or keep the key in the keyring or in a file: "
            "'crdt-sync store passwd'.",
        )
    try:
        with replaced(folder / key_id(key).hex()) as file:
            file.write(key)
    except OSError as error:
        raise KeyUnusable(f"the key cannot be kept in {folder}: {error.strerror}", "Check that folder.") from error


def remembered(box_id: str) -> bytes | None:
    """The key that `remember` keeps."""
    folder = _folder()
    if folder is not None:
        with suppress(OSError):
            key = (folder / box_id).read_bytes()
            if len(key) == KEY_BYTES and key_id(key).hex() == box_id:
                return key
    return None


def forget(box_id: str) -> bool:
    """Keep that key no more; whether it was kept. Raises `OSError`."""
    folder = _folder()
    if folder is None or not (folder / box_id).exists():
        return False
    destroy(folder / box_id)
    return True


def _folder(make: bool = False) -> Path | None:
    """Where keys are kept: in a folder that is this user's alone."""
    around = os.environ.get(_RUNTIME_VARIABLE)
    if not around or os.name != "posix":
        return None
    folder = Path(around) / "crdt-sync"
    with suppress(OSError):
        if make:
            folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not stat.S_IMODE(found.st_mode) & 0o077:
            return folder
    return None
