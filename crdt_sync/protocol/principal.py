"""Who is let in."""

from crdt_sync.principal import Principal
from crdt_sync.protocol.messages import Hello

__all__ = ["Principal", "everybody"]


def everybody(hello: Hello) -> Principal:
    """Let in whoever comes."""
    return Principal(hello.replica)
