"""What a dialer says of itself in `Hello.agent`: its program, and what the device is called.

It is for people alone; whoever calls may say anything.
"""

from crdt_sync.limits import ACTOR_LENGTH_MAX, AGENT_LENGTH_MAX

_PROGRAM = "crdt-sync"


def agent_of(name: str) -> str:
    """The agent of the device of that name, cut to what a hello may hold."""
    return f"{_PROGRAM} ({name})"[:AGENT_LENGTH_MAX] if name else _PROGRAM


def name_in(agent: str) -> str:
    """The device's name in an agent, in printable characters; empty where it tells none."""
    _, _, told = agent.partition(" (")
    return "".join(filter(str.isprintable, told.removesuffix(")"))).strip()[:ACTOR_LENGTH_MAX]
