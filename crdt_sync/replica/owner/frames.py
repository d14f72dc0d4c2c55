"""Messages between programs of one machine: CBOR arrays, each prefixed with its length in four bytes, most significant
first. The first of each side has the version; see `VERSION`.
"""

import socket

from crdt_sync import strict_cbor
from crdt_sync.limits import FRAME_DEPTH_MAX, OWNER_FRAME_BYTES_MAX, OWNER_FRAME_ITEMS_MAX
from crdt_sync.replica.owner.message import BadFrame, Message

VERSION = 1
"""Of all messages. Programs of different versions do not talk: the command says so, and waits for its turn instead."""

_LENGTH_BYTES = 4
_REST_S = 30.0  # for the rest of a message whose first bytes have come


def send(link: socket.socket, *message: object) -> None:
    """Send one message. Raises `BadFrame` for one that is too long, and `OSError`."""
    body = strict_cbor.dumps(message)
    if len(body) > OWNER_FRAME_BYTES_MAX:
        raise BadFrame(f"a message of {len(body)} bytes is too long")
    link.sendall(len(body).to_bytes(_LENGTH_BYTES, "big") + body)


def receive(link: socket.socket, timeout_s: float | None = None) -> Message | None:
    """The next message, None at the end. Waits for its first byte for `timeout_s` at most; None: for ever.

    Raises `BadFrame`, and `OSError`, which a timeout is.
    """
    link.settimeout(timeout_s)
    prefix = link.recv(_LENGTH_BYTES)
    if not prefix:
        return None
    link.settimeout(_REST_S)
    prefix += _exactly(link, _LENGTH_BYTES - len(prefix))
    length = int.from_bytes(prefix, "big")
    if length > OWNER_FRAME_BYTES_MAX:
        raise BadFrame(f"a message of {length} bytes is too long")
    body = _exactly(link, length)
    try:
        message = strict_cbor.loads(body, items_max=OWNER_FRAME_ITEMS_MAX, depth_max=FRAME_DEPTH_MAX)
    except ValueError as error:
        raise BadFrame(str(error)) from None
    if not isinstance(message, tuple):
        raise BadFrame("a message is an array")
    return message


def _exactly(link: socket.socket, length: int) -> bytes:
    parts = []
    while length:
        part = link.recv(min(length, 1 << 16))
        if not part:
            raise BadFrame("a message was cut short")
        parts.append(part)
        length -= len(part)
    return b"".join(parts)
