"""Logs to look at."""

from collections.abc import Iterable

from crdt_sync.audit_log.chain import LINK_FIRST, chained
from crdt_sync.audit_log.entry import Act, Entry, administered, encode
from crdt_sync.verdicts import VerdictCode

DEVICE = bytes(range(16))
AT = 1_790_000_000_000_000
SPACE = b"s" * 16
CHANGE = Entry(AT, Act.CHANGE, "anna", DEVICE, "192.0.2.7", "ben", "customers/a", ("name", "phone"), 3)
ONE_OF_EACH = (
    administered(AT, "operator root", "start", version="1.0"),
    CHANGE._replace(verdict=VerdictCode.ACCEPTED),
    CHANGE._replace(verdict=VerdictCode.FORBIDDEN),
    *(Entry(AT + number, act, "anna", DEVICE) for number, act in enumerate(Act) if act not in {Act.CHANGE, Act.CUT}),
    administered(AT, "operator root", "compact"),
)


def rows(entries: Iterable[Entry]) -> list[tuple[int, bytes]]:
    """The log of these."""
    return list(chained(0, LINK_FIRST, map(encode, entries)))
