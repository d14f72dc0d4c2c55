"""Damage to a store on disk, behind its back."""

import shutil
from pathlib import Path

import lmdb

from crdt_bench.campaign.bit_flips import stored_values


def flip_bit(store: Path, table: bytes, key: bytes, place: int | None = None) -> None:
    """Flip one bit of a stored value: of the byte at `place`, or in its middle."""
    with lmdb.open(str(store), max_dbs=32) as environment, environment.begin(write=True) as transaction:
        handle = environment.open_db(table, txn=transaction)
        value = bytearray(transaction.get(key, db=handle) or b"")
        value[len(value) // 2 if place is None else place] ^= 1
        transaction.put(key, bytes(value), db=handle)


def flipped(whole: Path, path: Path, table: bytes, key: bytes, place: int) -> Path:
    """A copy of a store, in `path`, with one bit of a value flipped."""
    copied(whole, path)
    flip_bit(path, table, key, place)
    return path


def copied(whole: Path, path: Path) -> Path:
    """A copy of a closed store, in `path`."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    shutil.copyfile(whole / "data.mdb", path / "data.mdb")
    return path


def rows(path: Path) -> list[tuple[bytes, bytes, int]]:
    """Every value that is not empty: database, key, length."""
    return [(table, key, len(value)) for table, key, value in stored_values(path)]
