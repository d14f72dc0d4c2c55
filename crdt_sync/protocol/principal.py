"""Who a session belongs to: what every decision about it is made for."""

from dataclasses import dataclass
from typing import Literal

from crdt_sync.protocol.messages import Hello

Grant = Literal["everything"]
"""What a principal may see and do. There is one: all who are let in may do everything."""


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


def everybody(hello: Hello) -> Principal:
    """Let in whoever comes."""
    return Principal(hello.replica)
