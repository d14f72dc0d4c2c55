"""The token of a command that stays, where it was exchanged for another one meanwhile.

A token is rotated while devices run: theirs is stored anew, and the one that a command began with is refused some day.
"""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from crdt_sync.cli import partners
from crdt_sync.cli.options import read_token
from crdt_sync.errors import CrdtSyncError
from crdt_sync.runtime import Address


@dataclass(slots=True)
class Renewal:
    """Finds another token for a partner that refused one: in the `file` named at the start, and stored for it.

    One that it refused is not tried again until it has accepted another one, so that two that are both wrong do not
    take turns for ever.
    """

    store: Path
    file: Path | None = None
    _refused: set[str] = field(default_factory=set)

    def after(self, refused: Address) -> Address | None:
        """The same partner, with a token that it has not refused; None where none is known."""
        self._refused.add(refused.token)
        for found in (self._of_file(), self._stored(refused)):
            if found and found not in self._refused:
                with suppress(CrdtSyncError):  # it holds what cannot be sent
                    return replace(refused, token=found)
        return None

    def accepted(self) -> None:
        """The partner accepted the last one."""
        self._refused.clear()

    def _of_file(self) -> str:
        with suppress(CrdtSyncError):
            return "" if self.file is None else read_token(self.file)
        return ""

    def _stored(self, partner: Address) -> str:
        with suppress(CrdtSyncError):
            return partners.token(self.store) if partner.direct else partners.token_for(self.store, partner.url)
        return ""


@dataclass(slots=True)
class OwnToken:
    """What a command that stays proves itself with to whoever calls: as it is now, not as it was at the start.

    It is `given`, or else the space's. One that cannot be read, or is none, changes nothing: a door that was closed to
    strangers stays so.
    """

    store: Path
    last: str
    given: bool = False
    file: Path | None = None

    def __call__(self) -> str:
        """The token as it is now."""
        with suppress(CrdtSyncError):
            if self.file is not None:
                self.last = read_token(self.file) or self.last
            elif not self.given:
                self.last = partners.token(self.store) or self.last
        return self.last
