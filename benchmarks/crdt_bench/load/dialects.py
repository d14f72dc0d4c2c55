"""What two servers of Yjs documents speak over websockets: y-websocket's protocol, and that of Hocuspocus.

Both exchange a state vector, the update that the other lacks, and then updates as they are made (y-protocols/sync).
"""

from dataclasses import dataclass

from crdt_sync.records.updates.varint import append_uint, read_uint

_SYNC, _AWARENESS, _AUTH, _SYNC_REPLY = 0, 1, 2, 4
_STATE, _MISSING, _UPDATE = 0, 1, 2
_NOTHING = b"\x00"  # the state vector of an empty document
_EMPTY_BYTES = 2  # of an update that says nothing


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one of them is spoken to. `multiplexed`: a connection carries many documents, and every frame names its own;
    else the path of the connection names the only one.
    """

    name: str
    multiplexed: bool

    def path(self, document: str) -> str:
        """What a connection for that document asks for."""
        return "/" if self.multiplexed else f"/{document}"

    def opening(self, document: str) -> list[bytes]:
        """Frames with which a client that has nothing begins."""
        token = self._frame(document, _AUTH, 0) + b"\x00"  # an empty one
        state = self._frame(document, _SYNC, _STATE, _NOTHING)
        return [token, state] if self.multiplexed else [state]

    def update(self, document: str, update: bytes) -> bytes:
        """A frame that brings an update."""
        return self._frame(document, _SYNC, _UPDATE, update)

    def presence(self, document: str) -> bytes:
        """A frame that says who is there: nobody in particular."""
        return self._frame(document, _AWARENESS, 1) + b"\x00"

    def is_of(self, document: str, payload: bytes) -> bool:
        """Whether a frame of the server is of that document."""
        return not self.multiplexed or payload.startswith(self._name(document))

    def update_in(self, payload: bytes) -> bytes | None:
        """The update that a frame of the server brings, None where it brings none or an empty one."""
        position = 0
        if self.multiplexed:
            size, position = read_uint(payload, 0)
            position += size
        kind, position = read_uint(payload, position)
        if kind not in (_SYNC, _SYNC_REPLY):
            return None
        kind, position = read_uint(payload, position)
        size, position = read_uint(payload, position)
        return payload[position:] if kind in (_MISSING, _UPDATE) and size > _EMPTY_BYTES else None

    def _name(self, document: str) -> bytes:
        name = document.encode("utf-8")
        out = bytearray()
        append_uint(out, len(name))
        return bytes(out) + name

    def _frame(self, document: str, kind: int, part: int, content: bytes | None = None) -> bytes:
        out = bytearray()
        if self.multiplexed:
            out += self._name(document)
        append_uint(out, kind)
        append_uint(out, part)
        if content is not None:
            append_uint(out, len(content))
            out += content
        return bytes(out)


DIALECTS = {
    dialect.name: dialect for dialect in (Dialect("hocuspocus", multiplexed=True), Dialect("y_websocket", False))
}
