"""The key of a relay's encrypted store, which a key file opens."""

import secrets
from pathlib import Path

from crdt_sync.errors import StoreFormat
from crdt_sync.storage.encryption import key_box
from crdt_sync.storage.encryption.cipher import KEY_BYTES
from crdt_sync.storage.lmdb import directory


def store_key(data: Path, key_file: Path) -> bytes:
    """The key of the encrypted store in `data`; a new one, kept there wrapped, where no store is there yet.

    Raises `KeyUnusable`, `StoreKeyWrong`, and `StoreFormat` where the store is not encrypted.
    """
    if key_box.exists(data):
        return key_box.read(data).key(key_box.from_file(key_file))
    if directory.exists(data):
        raise StoreFormat(
            f"a key file is named, and the store in {data} is not encrypted",
            f"Stop the relay, and encrypt it: crdt-relay encrypt {key_file}",
        )
    return prepare(data, key_file)


def prepare(data: Path, key_file: Path) -> bytes:
    """Have the store that is to be made in `data` be encrypted. Raises `KeyUnusable`, `StoreError`."""
    key = secrets.token_bytes(KEY_BYTES)
    box = key_box.by_key_file(key, key_file)
    directory.make(data)
    key_box.write(data, box)
    return key
