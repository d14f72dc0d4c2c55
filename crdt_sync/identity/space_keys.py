"""The keys that a space signs with: what a `keys` statement says."""

from dataclasses import dataclass
from typing import ClassVar

from crdt_sync.identity.keys import PublicKey
from crdt_sync.identity.refusals import Reason, refused
from crdt_sync.limits import SPACE_KEYS_MAX


@dataclass(frozen=True, slots=True)
class SpaceKeys:
    """Those that hold, the newest last. One that is not among them any more was retired."""

    kind: ClassVar[str] = "keys"

    keys: tuple[PublicKey, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.keys) <= SPACE_KEYS_MAX or len({key.kid for key in self.keys}) != len(self.keys):
            raise refused(Reason.STATEMENT_MALFORMED, f"a space has 1 to {SPACE_KEYS_MAX} keys, each once")

    @property
    def newest(self) -> PublicKey:
        """The key that signs from now on."""
        return self.keys[-1]

    def find(self, kid: bytes) -> PublicKey | None:
        """The key of that name; None where it is unknown, or retired."""
        return next((key for key in self.keys if key.kid == kid), None)

    def packed(self) -> object:
        """As a statement carries it."""
        return tuple(key.raw for key in self.keys)

    @classmethod
    def read(cls, value: object) -> "SpaceKeys":
        """From a statement. Raises `IdentityRefused`."""
        if type(value) is not tuple or not all(type(raw) is bytes for raw in value):
            raise refused(Reason.STATEMENT_MALFORMED, "the keys of a space are byte strings")
        return cls(tuple(map(PublicKey, value)))
