"""Looks into a bundle without a replica."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from crdt_sync.exchange.bundle.applying import opened
from crdt_sync.exchange.bundle.envelope import Envelope
from crdt_sync.exchange.bundle.header import End, Header
from crdt_sync.exchange.bundle.opening import opened_by
from crdt_sync.exchange.bundle.reader import BundleReader
from crdt_sync.membership.member import Membership


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a bundle says of itself, and the bytes of the file. All its checksums match.

    `opened` tells whether what it holds was checked as well; without the token of a protected one that cannot be. A
    sealed one has an `envelope`; whether who signed it was to be believed is for `apply` to say.
    """

    header: Header
    end: End
    size: int
    opened: bool
    envelope: Envelope | None = None


def inspect(
    path: Path,
    *,
    token: str | None = None,
    member: Membership | None = None,
    progress: Callable[[str, int, int], object] | None = None,
) -> Inspection:
    """Verify a bundle as far as the token, or the key of a member, allows. Raises `InvalidBundle`."""
    with opened(path) as stream:
        reader = BundleReader(stream, path.name, token, lambda envelope: opened_by(member, envelope, path.name))
        size = path.stat().st_size
        end = reader.verify(None if progress is None else lambda read: progress("verifying", read, size))
        return Inspection(reader.header, end, size, not reader.closed, reader.envelope)


def list_records(
    path: Path, *, token: str | None = None, member: Membership | None = None
) -> Iterator[tuple[str, int]]:
    """(record, bytes of its update) of everything in a bundle. Raises `InvalidBundle` before the first."""
    with opened(path) as stream:
        reader = BundleReader(stream, path.name, token, lambda envelope: opened_by(member, envelope, path.name))
        reader.verify()
        for entries in reader.chunks():
            for entry in entries:
                yield entry.record, len(entry.update)
