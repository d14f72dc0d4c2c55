"""Who a session belongs to: what every decision about it is made for."""

from dataclasses import dataclass
from typing import Literal

from crdt_sync.verdicts import Verdict, VerdictCode, refused

Grant = Literal["everything", "read"]
"""What a principal may do: see and write everything, as all who share one token may, or see it and write nothing."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever is at the other end: of which space, which user with which device, and what they may do.

    `user` is empty where all share one token. `device` is the replica id that the hello names, 16 bytes; nothing
    proves it.
    """

    device: bytes
    space: bytes = b""
    user: str = ""
    grant: Grant = "everything"

    def write_refused(self, record: str) -> Verdict | None:
        """Why the principal may not write into a record; None where it may."""
        if self.grant == "everything":
            return None
        return refused(VerdictCode.FORBIDDEN, f"this device may read, and not write into {record}")
