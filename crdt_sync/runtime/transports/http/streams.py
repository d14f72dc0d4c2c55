"""Frames as a stream of bytes, in each direction: what is kept until the partner has it, and what came in parts."""

from crdt_sync.limits import FRAME_BYTES_MAX, HTTP_QUEUED_BYTES

LENGTH_BYTES = 4
_END = b"\xff" * LENGTH_BYTES


class OffsetUnknown(Exception):
    """The partner names a byte that was never sent, or that it has acknowledged before."""


class FrameTooLarge(Exception):
    """The partner sends a frame that is larger than allowed."""


class Outgoing:
    """What was sent, kept until the partner has it. Offsets count from the first byte of the stream.

    `sent` is of the next byte to hand out, `acknowledged` of the first that the partner has not confirmed.
    """

    def __init__(self) -> None:
        self.acknowledged = 0
        self.sent = 0
        self.ended = False
        self._kept = bytearray()  # from `acknowledged` on

    def put(self, frame: bytes) -> None:
        """Append a frame."""
        self._kept += len(frame).to_bytes(LENGTH_BYTES, "big")
        self._kept += frame

    def end(self) -> None:
        """Nothing more will come."""
        if not self.ended:
            self.ended = True
            self._kept += _END

    @property
    def waiting(self) -> int:
        """Bytes that have not been handed out."""
        return self.acknowledged + len(self._kept) - self.sent

    @property
    def kept(self) -> int:
        """Bytes that the partner has not confirmed."""
        return len(self._kept)

    @property
    def unconfirmed(self) -> int:
        """Bytes of them that have been handed out."""
        return self.sent - self.acknowledged

    def take(self, most: int) -> bytes:
        """The next bytes, `most` at most."""
        start = self.sent - self.acknowledged
        part = bytes(memoryview(self._kept)[start : start + most])
        self.sent += len(part)
        return part

    def resume(self, offset: int) -> None:
        """Go on from `offset`; everything before it is confirmed. Raises `OffsetUnknown`."""
        self.acknowledge(offset)
        self.sent = offset

    def acknowledge(self, offset: int) -> None:
        """Everything before `offset` has come. Raises `OffsetUnknown`."""
        if not self.acknowledged <= offset <= self.sent:
            raise OffsetUnknown
        del self._kept[: offset - self.acknowledged]
        self.acknowledged = offset


class Incoming:
    """What came. `came` is the offset of the next byte to come."""

    def __init__(self) -> None:
        self.came = 0
        self.ended = False
        self.limit = FRAME_BYTES_MAX  # bytes of a frame, at the time at which it is the next one
        self._buffer = bytearray()
        self._read = 0  # what `came` was when a frame was last taken

    def feed(self, part: bytes, offset: int) -> None:
        """A part came; what of it came before is passed over. Raises `OffsetUnknown`, `FrameTooLarge`."""
        known = self.came - offset
        if known < 0:
            raise OffsetUnknown
        if known < len(part) and not self.ended:
            self._buffer += memoryview(part)[known:]
            self.came += len(part) - known
        self._next_length()

    def take(self) -> bytes | None:
        """The next frame; None where it has not come whole. Raises `FrameTooLarge`."""
        length = self._next_length()
        if length is None or not self.is_whole:
            return None
        frame = bytes(memoryview(self._buffer)[LENGTH_BYTES : LENGTH_BYTES + length])
        del self._buffer[: LENGTH_BYTES + length]
        self._read = self.came
        return frame

    @property
    def has_room(self) -> bool:
        """Whether more may come: not while a frame waits to be taken and much has come after it."""
        return self.ended or len(self._buffer) < HTTP_QUEUED_BYTES or not self.is_whole

    @property
    def buffered(self) -> int:
        """Bytes that came and were not taken."""
        return len(self._buffer)

    @property
    def next_bytes(self) -> int:
        """Bytes of the frame that can be taken next, as far as that is known. Raises `FrameTooLarge`."""
        return self._next_length() or 0

    @property
    def is_whole(self) -> bool:
        """Whether a frame can be taken."""
        came = len(self._buffer)
        return came >= LENGTH_BYTES and came >= LENGTH_BYTES + int.from_bytes(self._buffer[:LENGTH_BYTES], "big")

    @property
    def arriving(self) -> int:
        """Bytes that came since a frame was last taken."""
        return self.came - self._read

    def _next_length(self) -> int | None:
        if self.ended or len(self._buffer) < LENGTH_BYTES:
            return None
        head = self._buffer[:LENGTH_BYTES]
        if head == _END:
            self.ended = True
            self._buffer.clear()
            return None
        length = int.from_bytes(head, "big")
        if length > self.limit:
            raise FrameTooLarge
        return length
