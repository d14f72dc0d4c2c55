"""Who brings updates, and by which way."""

from dataclasses import dataclass
from typing import Literal

from crdt_sync.principal import Principal

Way = Literal["session", "device", "push", "bundle", "kept"]
"""How updates come: asked for in a session of ours with a relay, or with another device, pushed in one of theirs,
carried in a file, or kept here until what they build on came."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who brings updates: which replica (16 bytes), in what way, and what it may do.

    `examined`: somebody has integrated the same bytes where they could do no harm, a worker or our relay's; others are
    read strictly before they are integrated.
    """

    way: Way
    principal: Principal
    examined: bool = True

    @classmethod
    def of(cls, way: Way, replica: bytes) -> "Origin":
        """A replica that may do everything."""
        return cls(way, Principal(replica))

    @property
    def replica(self) -> bytes:
        """Its 16-byte id; `SEVERAL_ORIGINS` where several brought the same."""
        return self.principal.device
