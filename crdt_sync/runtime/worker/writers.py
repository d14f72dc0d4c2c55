"""Whose writers are, on this side of the pipe: kept in the store, and told to the workers that ask.

A row is written with the commit that brings the first entry of its writer, and stays: writers come back as long as
somebody holds what they wrote. Each takes less than what it wrote does.
"""

import contextlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from crdt_sync.errors import StoreCorrupt, StoreError
from crdt_sync.limits import WRITERS_ASKED_MAX, WRITERS_KNOWN_MAX
from crdt_sync.storage.port import Settings

NOBODY: Final = ""
_PREFIX: Final = "writer/"  # meta


class Ear:
    """What one worker is still to be told of writers, beside what it asks; `anew`: that it is to forget the rest."""

    def __init__(self) -> None:
        self.told: dict[int, str] = {}
        self.anew = True

    def hear(self, bound: Mapping[int, str]) -> None:
        """These were bound elsewhere. A worker that is asked seldom forgets all it knew."""
        if len(self.told) + len(bound) > WRITERS_ASKED_MAX:
            self.begin_anew()
        if not self.anew:
            self.told |= bound

    def begin_anew(self) -> None:
        """It is another worker, or what was let in may not be stored."""
        self.told, self.anew = {}, True

    def take(self) -> tuple[bool, dict[int, str]]:
        """What it is told with its next request."""
        told, self.told = self.told, {}
        anew, self.anew = self.anew, False
        return anew, told


class WriterMap:
    """To whom writers belong; `store` keeps it. An `ear` is of one pool of workers."""

    def __init__(self, store: Settings) -> None:
        self._store = store
        self._known: OrderedDict[int, str] = OrderedDict()
        self._ears: list[Ear] = []

    def ear(self) -> Ear:
        """One that hears of all that is noted by others."""
        self._ears.append(ear := Ear())
        return ear

    def of(self, writer: int) -> str:
        """Its user; `NOBODY` where it has none yet, or where that was damaged.

        Raises `StoreError` where it cannot be read now: to take that for nobody's would give it away for good.
        """
        known = self._known.get(writer)
        if known is None:
            try:
                known = (self._store.meta(_key(writer)) or b"").decode(errors="replace")
            except StoreCorrupt:
                known = NOBODY
            self._keep(writer, known)
        return known

    def note(self, bound: Mapping[int, str], by: Ear) -> None:
        """A worker has bound these. Who was first stays. Raises `StoreError`, as `of`."""
        for writer, user in bound.items():
            before = self.of(writer)
            if before == NOBODY:
                self._keep(writer, user)
            told = {writer: before or user}
            for ear in self._ears:
                if ear is not by or before not in {NOBODY, user}:
                    ear.hear(told)

    def rows(self, bound: Mapping[int, str]) -> dict[str, bytes | None]:
        """The `meta` to commit so that these stay bound: of one that was forgotten since, to whom it was `bound`.

        Of one that cannot be read now nothing is written: it may be another's.
        """
        rows: dict[str, bytes | None] = {}
        for writer, user in bound.items():
            with contextlib.suppress(StoreError):
                rows[_key(writer)] = (self.of(writer) or user).encode()
        return rows

    def forget(self) -> None:
        """What was let in may not be stored: go by the store alone."""
        self._known.clear()
        for ear in self._ears:
            ear.begin_anew()

    def _keep(self, writer: int, user: str) -> None:
        self._known[writer] = user
        if len(self._known) > WRITERS_KNOWN_MAX:
            self._known.popitem(last=False)


def _key(writer: int) -> str:
    return f"{_PREFIX}{writer:x}"
