"""The names of an encrypted store's records, in their order, in memory: on disk they have none.

A group (a collection) is read when a page of it is first asked for, which takes some microseconds a record, and is
kept. What is added later stands in the feed behind the place up to which it was followed, whoever wrote it. Names of
records that are gone stay: whoever reads a page finds no row of theirs. So nothing here must be told of a commit, but
`forget` of whatever takes back what was read: a commit that failed, or history that was lost. Each call has to see all
that the calls before it saw.
"""

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Protocol

from crdt_sync.storage.encryption.cipher import group_of


class Rows(Protocol):
    """What the names are read from: one transaction over an encrypted store."""

    def last_in_feed(self) -> int:
        """The last seq of the feed, 0 where it is empty."""

    def fed(self, after: int) -> list[bytes] | None:
        """The names of what changed after that seq; None where one cannot be read."""

    def groups(self, known: dict[bytes, bytes]) -> dict[bytes, bytes]:
        """Label and name of every group that has records; names that are `known` are not read again."""

    def names(self, label: bytes) -> list[bytes]:
        """The names of a group, in any order."""


class Names:
    """See the module. Thread-safe."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._names: dict[bytes, list[bytes]] = {}  # by group, sorted; a list is never changed, but replaced
        self._groups: dict[bytes, bytes] = {}  # label to name
        self._followed = 0

    def forget(self) -> None:
        """Know nothing: what was read may not be so any more."""
        with self._guard:
            self._names.clear()
            self._groups.clear()
            self._followed = 0

    def page(self, rows: Rows, start: bytes, beyond: bool, prefix: bytes) -> Iterator[bytes]:
        """Names with a prefix from `start` on, or `beyond` it, sorted."""
        with self._guard:
            self._follow(rows)
            self._groups = rows.groups(self._groups)
            groups = sorted(self._groups.items(), key=lambda item: item[1])
        for label, group in groups:
            if not (group.startswith(prefix) or prefix.startswith(group)):
                continue
            if group < start and not start.startswith(group):
                continue
            with self._guard:
                names = self._of(rows, label, group)
            place = bisect_right(names, start) if beyond else bisect_left(names, start)
            for at in range(max(place, bisect_left(names, prefix)), len(names)):
                if not names[at].startswith(prefix):
                    break
                yield names[at]

    def _follow(self, rows: Rows) -> None:
        last = rows.last_in_feed()
        if last <= self._followed:
            return
        if self._names:
            fed = rows.fed(self._followed)
            if fed is None:
                self._names.clear()
            else:
                self._add(fed)
        self._followed = last

    def _add(self, fed: list[bytes]) -> None:
        new: dict[bytes, list[bytes]] = {}
        for name in fed:
            group = group_of(name)
            names = self._names.get(group)
            if names is not None:
                place = bisect_left(names, name)
                if place == len(names) or names[place] != name:
                    new.setdefault(group, []).append(name)
        for group, added in new.items():
            self._names[group] = sorted(self._names[group] + added)

    def _of(self, rows: Rows, label: bytes, group: bytes) -> list[bytes]:
        names = self._names.get(group)
        if names is None:
            names = self._names[group] = sorted(name for name in rows.names(label) if group_of(name) == group)
        return names
