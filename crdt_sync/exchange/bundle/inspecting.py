"""Looks into a bundle without a replica."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from crdt_sync.exchange.bundle.applying import opened
from crdt_sync.exchange.bundle.header import End, Header
from crdt_sync.exchange.bundle.reader import BundleReader


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a bundle says of itself, and the bytes of the file. All its checksums match.

    `opened` tells whether what it holds was checked as well; without the token of a protected one that cannot be.
    """

    header: Header
    end: End
    size: int
    opened: bool


def inspect(
    path: Path, *, token: str | None = None, progress: Callable[[str, int, int], object] | None = None
) -> Inspection:
    """Verify a bundle as far as the token allows. Raises `InvalidBundle`."""
    with opened(path) as stream:
        reader = BundleReader(stream, path.name, token)
        size = path.stat().st_size
        end = reader.verify(None if progress is None else lambda read: progress("verifying", read, size))
        return Inspection(reader.header, end, size, not reader.closed)


def list_records(path: Path, *, token: str | None = None) -> Iterator[tuple[str, int]]:
    """(record, bytes of its update) of everything in a bundle. Raises `InvalidBundle` before the first."""
    with opened(path) as stream:
        reader = BundleReader(stream, path.name, token)
        reader.verify()
        for entries in reader.chunks():
            for entry in entries:
                yield entry.record, len(entry.update)
