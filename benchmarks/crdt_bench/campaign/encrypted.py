"""Stores of the campaign that are encrypted: a directory with a key in it, in which a store is made or opened."""

from pathlib import Path

from crdt_sync.storage.encryption import key_box

_KEY = bytes(range(32))


def prepare(directory: Path, *, encrypted: bool = True) -> Path:
    """Have the store in this directory, which need not be there yet, be an encrypted one."""
    if encrypted:
        directory.mkdir(parents=True, exist_ok=True)
        wrapping = directory.parent / "wrapping-key"
        if not wrapping.exists():
            key_box.make_key_file(wrapping)
        key_box.write(directory, key_box.by_key_file(_KEY, wrapping))
    return directory
