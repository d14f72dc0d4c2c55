"""The last sync or session that failed, kept beside the store until one with the same partner succeeds."""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from crdt_sync.cli import partners
from crdt_sync.cli.values import local_time, utc_time
from crdt_sync.errors import ForeignRelay, ForeignSpace, StoreError

_FILE = "sync-failed.json"


@dataclass(frozen=True, slots=True)
class Failure:
    """`at` is in microseconds since 1970 by this device's clock; `code` is that of the error."""

    url: str
    at: int
    message: str
    code: str = ""

    @property
    def foreign(self) -> bool:
        """Whether nothing was given to that partner because it is nobody that this store knows."""
        return self.code in (ForeignRelay.code, ForeignSpace.code)

    def data(self) -> dict[str, object]:
        """For programs."""
        return {**asdict(self), "at": utc_time(self.at)}

    def sentence(self) -> str:
        """For people."""
        return f"The last sync with {self.url} failed, {local_time(self.at)}: {self.message}"


def note(store: Path, failure: Failure) -> None:
    """Keep it in place of the one before, where it can be written: the failure itself is what is to be told."""
    with suppress(StoreError):
        partners.write(store / _FILE, json.dumps(asdict(failure)))


def forget(store: Path, url: str) -> None:
    """A sync with this partner succeeded."""
    kept = load(store)
    if kept is not None and kept.url == url:
        with suppress(OSError):
            (store / _FILE).unlink()


def load(store: Path) -> Failure | None:
    """What is kept, None where nothing is or it cannot be read."""
    with suppress(OSError, ValueError, TypeError):
        found = Failure(**json.loads((store / _FILE).read_text("utf-8")))
        texts = (found.url, found.message, found.code)
        if isinstance(found.at, int) and all(isinstance(text, str) for text in texts):
            return found
    return None
