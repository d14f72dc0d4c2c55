"""Which transport passes on the way to an address: found out once, remembered for a while, and then tried again.

It is kept while the process runs, and in the file that the address names, so that the next command knows it too.
"""

import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from crdt_sync.files import replaced
from crdt_sync.limits import TRANSPORT_REMEMBERED_S, WAYS_KEPT_MAX, WEBSOCKET_TRUSTED_S
from crdt_sync.runtime.address import Address

_FILE_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class Way:
    """What passes until when, in seconds since 1970. `polls`: over HTTP, but streamed answers are held back."""

    transport: Literal["websocket", "http"]
    until: float
    polls: bool = False


_found: dict[str, Way] = {}


def known(address: Address) -> Way | None:
    """What is known to pass; None where it is to be found out."""
    way = _read(address.memory).get(address.url) if address.memory is not None else _found.get(address.url)
    if way is None or not 0 < way.until - time.time() <= TRANSPORT_REMEMBERED_S:
        return None  # a time too far away was written while the clock was wrong
    return way


def websocket_passes(address: Address) -> None:
    """Frames went to and fro over a websocket."""
    _note(address, Way("websocket", time.time() + WEBSOCKET_TRUSTED_S))


def http_passes(address: Address, *, polls: bool) -> None:
    """A websocket did not pass, but HTTP does."""
    _note(address, Way("http", time.time() + TRANSPORT_REMEMBERED_S, polls))


def forget(address: Address) -> None:
    """What was known is not true any more."""
    _note(address, None)


def _note(address: Address, way: Way | None) -> None:
    found = _found if address.memory is None else _read(address.memory)
    found.pop(address.url, None)
    if way is not None:
        found[address.url] = way
    while len(found) > WAYS_KEPT_MAX:
        del found[next(iter(found))]
    if address.memory is not None:
        text = json.dumps({url: asdict(each) for url, each in found.items()})
        with suppress(OSError), replaced(address.memory) as file:  # it is found out again then
            file.write(text.encode())


def _read(memory: Path) -> dict[str, Way]:
    found: dict[str, Way] = {}
    with suppress(OSError, ValueError, TypeError, AttributeError):
        with memory.open("rb") as file:
            said = json.loads(file.read(_FILE_BYTES_MAX))
        for url, each in said.items():
            way = Way(**each)
            if way.transport in {"websocket", "http"} and isinstance(way.until, int | float):
                found[url] = way
    return found
