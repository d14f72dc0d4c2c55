"""A proxy between device and relay that takes down every websocket frame, without touching it."""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any

from crdt_bench.child import Child, hear, say
from crdt_sync.protocol import codec
from crdt_sync.protocol.messages import Bye, Have, Terms
from crdt_sync.protocol.versions import NEWEST

TO_RELAY = "to relay"
TO_DEVICE = "to device"
_DATA_OPCODES = (0x1, 0x2)
_UNANSWERED = ("", Terms.__name__, Have.__name__, Bye.__name__)  # what the relay says after these, it says unasked


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame on the wire: its direction, the message in it ("" for a control frame), and all its bytes."""

    direction: str
    message: str
    size: int


@dataclass(frozen=True, slots=True)
class Record:
    """What one connection carried: every frame, and the bytes of the HTTP upgrade before them."""

    frames: tuple[Frame, ...]
    upgrade_bytes: int

    @property
    def frame_bytes(self) -> int:
        """Bytes of all frames, headers included."""
        return sum(frame.size for frame in self.frames)

    @property
    def round_trips(self) -> int:
        """How often the device had to wait for the relay: its questions, answered by messages, count once.

        The relay says what follows a welcome without waiting for the device's terms: which of both the tap sees first
        is chance.
        """
        trips = 0
        asked = False
        for frame in self.frames:
            if frame.direction == TO_RELAY:
                asked = asked or frame.message not in _UNANSWERED
            elif asked and frame.message:
                trips += 1
                asked = False
        return trips

    def shape(self) -> str:
        """The messages in order, as `Hello > Welcome Changes | Want`: after `>` the relay's, after `|` the device's."""
        text, direction = "", TO_RELAY
        for frame in self.frames:
            if frame.message:
                turn = "" if frame.direction == direction else ("> " if frame.direction == TO_DEVICE else "| ")
                text += f"{turn}{frame.message} "
                direction = frame.direction
        return text.strip()


class Parser:
    """Cuts one direction of a connection into the HTTP upgrade and websocket frames."""

    def __init__(self, direction: str) -> None:
        self._direction = direction
        self._buffer = bytearray()
        self._upgraded = False
        self.upgrade_bytes = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Take bytes; returns the frames that they completed."""
        self._buffer += data
        if not self._upgraded:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return []
            self._upgraded, self.upgrade_bytes = True, end + 4
            del self._buffer[: end + 4]
        frames = []
        while (frame := self._frame()) is not None:
            frames.append(frame)
        return frames

    def _frame(self) -> Frame | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, start = buffer[1] & 0x7F, 2
        extended = {126: 2, 127: 8}.get(size, 0)
        if len(buffer) < start + extended:
            return None
        if extended:
            size = int.from_bytes(buffer[start : start + extended], "big")
        masked = bool(buffer[1] & 0x80)
        start += extended + 4 * masked
        if len(buffer) < start + size:
            return None
        payload = bytes(buffer[start : start + size])
        if masked:
            payload = _unmasked(payload, bytes(buffer[start - 4 : start]))
        message = type(codec.decode(payload, version=NEWEST)).__name__ if buffer[0] & 0x0F in _DATA_OPCODES else ""
        del buffer[: start + size]
        return Frame(self._direction, message, start + size)


def _unmasked(payload: bytes, key: bytes) -> bytes:
    mask = (key * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")).to_bytes(len(payload), "big")


def run(port: int) -> None:
    """Child: says its own port; for each message of the parent, what the last connection carried."""
    asyncio.run(_run(port))


async def _run(port: int) -> None:
    loop = asyncio.get_running_loop()
    ended: asyncio.Queue[Record] = asyncio.Queue()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relay_reader, relay_writer = await asyncio.open_connection("127.0.0.1", port)
        to_relay, to_device = Parser(TO_RELAY), Parser(TO_DEVICE)
        frames: list[Frame] = []
        await asyncio.gather(
            _pipe(reader, relay_writer, to_relay, frames), _pipe(relay_reader, writer, to_device, frames)
        )
        ended.put_nowait(Record(tuple(frames), to_relay.upgrade_bytes + to_device.upgrade_bytes))

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    say(server.sockets[0].getsockname()[1])
    while await loop.run_in_executor(None, hear) is not None:
        record = await ended.get()
        say([record.upgrade_bytes, [[frame.direction, frame.message, frame.size] for frame in record.frames]])
    server.close()


async def _pipe(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, parser: Parser, frames: list[Frame]
) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            frames += parser.feed(data)
            writer.write(data)
            await writer.drain()
    writer.close()


def start_tap(port: int) -> tuple[Child, int]:
    """A tap before the relay on `port`: its process and its port."""
    child = Child("crdt_bench.tap:run", port=port)
    return child, int(child.hear())


def record_of(tap: Child) -> Record:
    """What the connection that ended last carried."""
    upgrade_bytes, frames = _typed(tap.ask("record"))
    return Record(tuple(Frame(*frame) for frame in frames), upgrade_bytes)


def _typed(answer: Any) -> tuple[int, list[list[Any]]]:
    upgrade_bytes, frames = answer
    return upgrade_bytes, frames
