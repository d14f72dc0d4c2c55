"""Who a session belongs to: what every decision about it is made for."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from crdt_sync.verdicts import Verdict, VerdictCode, refused

Grant = Literal["everything", "read"]
"""What a principal may do: see and write everything, as all who share one token may, or see it and write nothing."""


class Issuer(NamedTuple):
    """A space and its public keys that hold, 32 bytes each: by these it is told what the space has signed.

    `revoked` are the ids of devices that are out, 16 bytes each: what they signed nobody brings in their user's right.
    """

    space: bytes
    keys: tuple[bytes, ...]
    revoked: frozenset[bytes] = frozenset()


Share = tuple[str, str, bytes]
"""Who counts as one where turns are shared: a user, or else a device at an address."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever is at the other end: of which space, which user with which device, and what they may do.

    `user` is empty where all share one token. `device` is the id of the key that was proved, 16 bytes; where there are
    no users it is the replica id that the hello names, which nothing proves.
    """

    device: bytes
    space: bytes = b""
    user: str = ""
    grant: Grant = "everything"

    def share(self, address: str) -> Share:
        """Whose turns its sessions from that address take: however many they are, they have one share.

        Where all have one token the address counts too, as the device is what it says it is: who takes the name of
        another elsewhere does not take its turns.
        """
        return (self.user, "", b"") if self.user else ("", address, self.device)

    def write_refused(self, record: str) -> Verdict | None:
        """Why the principal may not write into a record; None where it may."""
        if self.grant == "everything":
            return None
        return refused(VerdictCode.FORBIDDEN, f"this device may read, and not write into {record}")
