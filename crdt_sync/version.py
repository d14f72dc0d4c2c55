"""Which version of this package is installed, and whether its hot modules are compiled."""

from importlib.machinery import ExtensionFileLoader
from importlib.metadata import version
from importlib.util import find_spec
from typing import NamedTuple

_HOT = "crdt_sync.records.updates.update"


class Version(NamedTuple):
    """`compiled`: the wheel was built with `CRDT_SYNC_COMPILE=1`, see docs/operating.md."""

    number: str
    compiled: bool

    def __str__(self) -> str:
        return f"{self.number}, compiled" if self.compiled else self.number


def installed() -> Version:
    """What is installed and would be imported."""
    spec = find_spec(_HOT)
    return Version(version("crdt-sync"), spec is not None and isinstance(spec.loader, ExtensionFileLoader))
