"""The key of an encrypted store, wrapped, in the file `store-key` beside its data.

The store's key is 32 random bytes, made once. It is kept wrapped by another key: one that a passphrase gives (scrypt),
one in a file, or one in the system's keyring. Wrapping it anew, as after a change of the passphrase, rewrites nothing
else. Without this file nothing in the store can be read any more, by anybody.
"""

import json
import os
import secrets
import unicodedata
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Literal

from crdt_sync.errors import KeyUnusable, StoreKeyWrong, UsageError
from crdt_sync.files import created, destroy, replaced, sync_folder
from crdt_sync.limits import PASSPHRASE_LENGTH_MAX, SCRYPT_COST, SCRYPT_COST_MAX
from crdt_sync.storage.encryption.cipher import KEY_BYTES, key_id

NAME = "store-key"
CHANGING_NAME = "store-key.changing"  # while a store is being encrypted or decrypted
VERSION = 1
_FILE_BYTES_MAX = 64 * 1024
_SALT_BYTES = 16
_NONCE_BYTES = 12
_SCRYPT_BLOCKS = 8

By = Literal["passphrase", "file", "keyring"]


@dataclass(frozen=True, slots=True)
class Box:
    """A wrapped key: `id` of what is in it, what it is wrapped `by`, and `where` that is (a path, or a name)."""

    id: str
    by: By
    nonce: str
    wrapped: str
    where: str = ""
    salt: str = ""
    cost: int = 0

    def key(self, wrapping: bytes) -> bytes:
        """The store's key. Raises `StoreKeyWrong` where this is not what it was wrapped by."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - needed where a store is encrypted
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        try:
            key = AESGCM(wrapping).decrypt(_bytes(self.nonce), _bytes(self.wrapped), _said(self))
        except (InvalidTag, ValueError):
            key = b""
        if len(key) != KEY_BYTES or key_id(key).hex() != self.id:
            raise StoreKeyWrong(_WRONG[self.by][0], _WRONG[self.by][1])
        return key


_WRONG = {
    "passphrase": ("the passphrase is not that of this store", "Try again. Nothing was changed."),
    "file": ("the key file is not that of this store", "Name the right one. Nothing was changed."),
    "keyring": ("the key in the system's keyring is not that of this store", "Unlock it by what else you have."),
}


def wrapped(key: bytes, by: By, wrapping: bytes, *, where: str = "", salt: bytes = b"", cost: int = 0) -> Box:
    """A new box for a key."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

    nonce = secrets.token_bytes(_NONCE_BYTES)
    box = Box(key_id(key).hex(), by, nonce.hex(), "", where, salt.hex(), cost)
    return replace(box, wrapped=AESGCM(wrapping).encrypt(nonce, key, _said(box)).hex())


def by_passphrase(key: bytes, passphrase: str, cost: int = SCRYPT_COST) -> Box:
    """A box that this passphrase opens. Raises `UsageError` for an empty one."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return wrapped(key, "passphrase", from_passphrase(passphrase, salt, cost), salt=salt, cost=cost)


def by_key_file(key: bytes, path: Path) -> Box:
    """A box that the key in a file opens. Raises `KeyUnusable`."""
    return wrapped(key, "file", from_file(path), where=str(path.expanduser().absolute()))


def open_by_passphrase(box: Box, passphrase: str) -> bytes:
    """The key. Raises `StoreKeyWrong`."""
    if box.by != "passphrase":
        raise StoreKeyWrong("no passphrase opens this store", f"Its key is kept by other means: {box.by}.")
    return box.key(from_passphrase(passphrase, _bytes(box.salt), box.cost))


def from_passphrase(passphrase: str, salt: bytes, cost: int) -> bytes:
    """The wrapping key that a passphrase gives: 128 * 8 * `cost` bytes of memory, half a second."""
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt  # noqa: PLC0415

    text = unicodedata.normalize("NFC", passphrase)
    if not 0 < len(text) <= PASSPHRASE_LENGTH_MAX:
        raise UsageError(f"a passphrase has 1 to {PASSPHRASE_LENGTH_MAX} characters", "Choose several words.")
    return Scrypt(salt=salt, length=KEY_BYTES, n=cost, r=_SCRYPT_BLOCKS, p=1).derive(
        text.encode("utf-8", "surrogatepass")
    )


def make_key_file(path: Path) -> None:
    """A new file with a key that wraps, which nobody else can read. Raises `KeyUnusable`."""
    try:
        with created(path) as file:
            file.write(secrets.token_bytes(KEY_BYTES).hex().encode("ascii") + b"\n")
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.absolute().parent)
    except FileExistsError:
        raise KeyUnusable(f"there is a file {path} already", "Name it as the key, or give another path.") from None
    except OSError as error:
        raise KeyUnusable(f"the key {path} cannot be written: {error}", "Check its folder.") from error


def from_file(path: Path) -> bytes:
    """The wrapping key in a file: 64 hexadecimal digits. Raises `KeyUnusable`."""
    try:
        with path.expanduser().open("rb") as file:
            text = file.read(_FILE_BYTES_MAX).strip()
        key = bytes.fromhex(text.decode("ascii"))
    except OSError as error:
        raise KeyUnusable(
            f"the key {path} cannot be read: {error.strerror}", "Check the path and who may read it."
        ) from error
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise KeyUnusable(f"{path} holds no key", "Restore the file from a backup, or name another one.")
    return blake2b(key=key, digest_size=KEY_BYTES, person=b"crdt-sync wrap").digest()


def write(folder: Path, box: Box, name: str = NAME) -> None:
    """Keep a box beside a store; the one before goes, whole. Raises `KeyUnusable`."""
    try:
        with replaced(folder / name) as file:
            file.write(json.dumps({"crdt-sync store key": VERSION, **asdict(box)}, indent=1).encode() + b"\n")
    except OSError as error:
        raise KeyUnusable(f"{folder / name} cannot be written: {error.strerror}", "Check the disk.") from error


def exists(folder: Path) -> bool:
    """Whether a box is kept beside a store."""
    return (folder / NAME).exists()


def read(folder: Path, name: str = NAME) -> Box:
    """The box beside a store. Raises `KeyUnusable`."""
    path = folder / name
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(_FILE_BYTES_MAX))
        return _box(found)
    except FileNotFoundError:
        raise KeyUnusable(
            f"the key of the store is gone: there is no {path}",
            "Put the file back from a backup of the store. Where it was wiped, nothing can be read any more.",
        ) from None
    except OSError as error:
        raise KeyUnusable(f"{path} cannot be read: {error.strerror}", "Check who may read it.") from error
    except (ValueError, TypeError, KeyError):
        raise KeyUnusable(f"{path} holds no key of a store", "Put the file back from a backup of the store.") from None


def _box(found: object) -> Box:
    if not isinstance(found, dict) or found.pop("crdt-sync store key", None) != VERSION:
        raise ValueError("another form")
    box = Box(**found)
    texts = (box.id, box.by, box.nonce, box.wrapped, box.where, box.salt)
    costs = {0} if box.by != "passphrase" else {1 << bits for bits in range(1, SCRYPT_COST_MAX.bit_length())}
    if not all(isinstance(text, str) for text in texts) or box.by not in _WRONG or box.cost not in costs:
        raise ValueError("other values")
    for text in (box.id, box.nonce, box.wrapped, box.salt):
        _bytes(text)
    return box


def copy_key(folder: Path, to: Path) -> None:
    """Have the copy of a store keep the same key; where the store has no box, it has none. Raises `KeyUnusable`."""
    if exists(folder):
        write(to, read(folder))


def destroy_key(folder: Path) -> bool:
    """Destroy the box beside a store, for good; whether there was one. Raises `OSError`."""
    found = [folder / name for name in (NAME, CHANGING_NAME) if (folder / name).exists()]
    for path in found:
        destroy(path)
    return bool(found)


def _said(box: Box) -> bytes:
    """What else must be as it was when the key was wrapped."""
    return f"crdt-sync store key {VERSION} {box.id} {box.by} {box.salt} {box.cost}".encode()


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text)
