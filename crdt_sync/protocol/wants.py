"""Asking a partner for what we lack of records."""

from collections.abc import Iterable, Sequence

from crdt_sync import limits
from crdt_sync.protocol.messages import Want, WantEntry
from crdt_sync.protocol.source import NOT_HELD, DialerSource


def want(source: DialerSource, page: int, records: Sequence[str]) -> Want:
    """What we lack of these records; see `want_beyond`."""
    return want_beyond(page, ((record, source.state_vector(record)) for record in records))


def want_beyond(page: int, held: Iterable[tuple[str, bytes]]) -> Want:
    """What is beyond these state vectors of records. Where they outgrow a frame, it asks for whole records."""
    entries: list[WantEntry] = []
    size = 0
    for record, state_vector in held:
        size += len(state_vector)
        entries.append(WantEntry(record, state_vector if size < limits.FRAME_BYTES_MAX // 2 else NOT_HELD))
    return Want(page, tuple(entries))
