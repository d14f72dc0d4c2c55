"""What comes on a websocket is parsed in slices, in turns: a piece of what was read may be hundreds of frames.

While something is not parsed, or its frames wait to be received, the socket is not read; nor while a large frame comes
for which there is no room, see `transports.room`, or while answers to the transport's own pings are not taken.

What devices send most, small messages of one frame each, is taken here. All else is for the library's parser, which
takes two to three times as long for those, and says what is wrong with a frame.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Generator
from typing import ClassVar, cast

from websockets.frames import DATA_OPCODES, Frame, Opcode
from websockets.protocol import Event, State
from websockets.streams import StreamReader

from crdt_sync.limits import HELLO_BYTES_MAX, SMALL_FRAME_BYTES
from crdt_sync.runtime.hosting.fair_queue import FairQueue
from crdt_sync.runtime.hosting.flow import Flow
from crdt_sync.runtime.transports.arrivals import Arrivals
from crdt_sync.runtime.transports.room import Room

try:
    from websockets.speedups import apply_mask
except ImportError:  # where the library was installed without its part in C
    from websockets.utils import apply_mask

_SLICE_BYTES = 4096  # of a large frame: 5 microseconds
_HEADS_BYTES = 512  # where frames begin: 70 of the smallest, half a millisecond, and 20 KiB of objects
_HEAD_BYTES = 2  # of a frame, before the parser says what else it waits for
_WHOLE = 0x80 | Opcode.BINARY  # the first byte of a message of one frame
_MASKED = 0x80  # in the second one, beside the length
_LENGTH_FOLLOWS = 126  # in place of a length, which has two bytes then; the number behind it stands for eight
_CONTROL_BYTES_MAX = 125  # of a ping and the like, as the protocol has it
_PONGS_BYTES_MAX = 16 * 1024  # that wait to be sent
_PART_BYTES = 2 * _SLICE_BYTES  # of a large frame, for which there is room before they are parsed
_FRAGMENT_BYTES = 256  # of objects for each of a message
_STRANGERS_PINGS_MAX = 4  # and the like: nobody has a reason to ask whether we live before he says hello


class ParsedInTurns(Arrivals):
    """Part of a server's connection; `flow` tells whose work that is. `held` hears when it is not read for want of
    room, and when it is read on.

    `leave_room` is to be called when nothing will be received from it any more.
    """

    queue: FairQueue
    room: ClassVar[Room]
    flow: Callable[[], Flow]
    held: Callable[[bool], None] | None = None
    _waiting = False  # for a turn
    _full = False  # frames wait to be received
    _crowded = False  # it waits for room
    _paused = False
    _fragments = 0  # of the message that comes
    _pings = 0  # of a stranger, and other frames that are no part of a message
    _room_of_message = 0  # bytes that were taken for the one that comes
    _room_in_hand = 0  # for the one that was received last
    _left = False  # nothing will be received any more
    _lost = False  # nothing will come any more
    _ended = False  # and all of it was parsed, or given up
    _lost_by: Exception | None = None
    _pongs = 0  # bytes of them since there was nothing to be sent

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        self._unparsed: deque[memoryview] = deque()
        self._rooms: list[int] = []  # bytes that were taken for each of the messages that wait to be received
        self.recv_messages.pause = self._hold
        self.recv_messages.resume = self._go_on
        self.protocol.reader.__class__ = _Reader

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._unparsed.append(memoryview(data))
        self._parse()

    def eof_received(self) -> None:
        """See `asyncio.Protocol`. The end of the connection follows, before which the rest is parsed in turns."""
        while self._unparsed and not self._waiting and self.queue.ran(self._parse_slice):
            pass
        if not self._unparsed:
            super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`. What had come is received all the same: parsed in turns, as it may be a thousand
        frames, and as much of hundreds of others.
        """
        self._lost, self._lost_by = True, exc
        if self._left:
            self._unparsed.clear()
        if not self._waiting:
            self._parse_last()

    def _parse_last(self) -> None:
        while self._unparsed:
            if not self.queue.ran(self._parse_slice):
                self._waiting = True
                self.queue.take(self.flow(), self._turn_came)
                return
        self._end()

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._unparsed.clear()
        exc, self._lost_by = self._lost_by, None
        self.recv_messages.pause = self.recv_messages.resume = _nothing  # they refer to this
        super().connection_lost(exc)
        if self._left:
            self.room.leave(self)
        else:
            self.room.abandon(self)
        self._crowded = False
        self._room_of_message = 0
        self.ended()

    def ended(self) -> None:
        """Nothing is left to do of what came. May be overridden."""

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        super().resume_writing()
        self._parse()

    def taken(self) -> None:
        """See `Arrivals`."""
        if self._room_in_hand:
            self.room.give_back(self, self._room_in_hand)
            self._room_in_hand = 0

    def read_on(self, size: int) -> None:
        """See `Arrivals`."""
        super().read_on(size)
        self._room_in_hand = self._rooms.pop(0)

    def small_message(self) -> bytes | None:
        """The next message, which is received with that, if it is here as one small frame: what `recv` would give."""
        messages = self.recv_messages
        waiting = messages.frames.queue
        if not waiting or not waiting[0].fin or waiting[0].opcode is not Opcode.BINARY or self._rooms[0]:
            return None
        message = waiting.popleft().data
        del self._rooms[0]
        super().read_on(len(message))
        messages.maybe_resume()
        return bytes(message)

    def process_event(self, event: Event) -> None:
        """See `Connection`."""
        if isinstance(event, Frame):
            if event.opcode in DATA_OPCODES:
                self._fragments += 1
                if event.fin:
                    self._came_whole()
            elif self.is_unheard:
                self._pings += 1
                if self._pings > _STRANGERS_PINGS_MAX:
                    self._cut_off()
        super().process_event(event)

    def _came_whole(self) -> None:
        self._rooms.append(self._room_of_message)
        self._fragments = 0
        if self._room_of_message:
            self._room_of_message = 0
            self.room.came(self)

    def leave_room(self) -> None:
        """Nothing is received any more. What comes all the same until the connection is lost takes room until then."""
        self._left = True
        self._crowded = False
        self.room.leave(self)
        if self._lost:
            self._end()

    def room_given(self, size: int) -> None:
        """See `User`."""
        self._room_of_message += size
        self._crowded = False
        self._tell_held()
        self._parse()

    def give_way(self) -> None:
        """See `User`."""
        self.transport.abort()

    def drop(self) -> None:
        """See `Arrivals`."""
        self._cut_off()
        if self._lost:
            self._end()

    def _parse(self) -> None:
        if self._lost:
            return
        while self._unparsed and not self._waiting and self._may_parse:
            if not self.queue.ran(self._parse_slice):
                self._waiting = True
                self.queue.take(self.flow(), self._turn_came)
        self._read_or_pause()

    @property
    def is_unheard(self) -> bool:
        """Whether no hello was taken yet: then no message may be large."""
        most = self.protocol.max_message_size
        return most is not None and most <= HELLO_BYTES_MAX

    @property
    def _may_parse(self) -> bool:
        return not self._full and not self._crowded and not (self.paused and self._pongs > _PONGS_BYTES_MAX)

    def _turn_came(self) -> None:
        self._waiting = False
        if self._unparsed and (self._may_parse or self._lost):
            self._parse_slice()
        self._parse_last() if self._lost else self._parse()

    def _parse_slice(self) -> None:
        reader = cast(_Reader, self.protocol.reader)
        if not reader.awaited and not reader.buffer and self._take_whole():
            return
        missing = reader.awaited - len(reader.buffer)
        is_large = self._room_of_message > 0
        heads = _HEAD_BYTES if is_large else _HEADS_BYTES  # a large message shares no slice with the next
        size = min(missing, _SLICE_BYTES) if missing > 0 else heads
        piece = self._unparsed.popleft()
        if len(piece) > size:
            self._unparsed.appendleft(piece[size:])
        unsent = self.transport.get_write_buffer_size()
        super().data_received(bytes(piece[:size]))
        self._pongs = (self._pongs if unsent else 0) + self.transport.get_write_buffer_size() - unsent
        if is_large and not self._room_of_message:
            self._forget_last()
        self._look_for_room(reader.awaited)

    def _take_whole(self) -> bool:
        """Take small messages that are here as a whole, where one begins; returns whether there were any."""
        protocol = self.protocol
        if protocol.state is not State.OPEN or protocol.current_size is not None or protocol.extensions:
            return False
        size_max = _SLICE_BYTES if protocol.max_message_size is None else min(_SLICE_BYTES, protocol.max_message_size)
        piece = self._unparsed[0]
        end, position = len(piece), 0
        while position < _HEADS_BYTES and position + 8 <= end and piece[position] == _WHOLE:
            size, start = piece[position + 1] - _MASKED, position + 6
            if size == _LENGTH_FOLLOWS:
                size, start = piece[position + 2] << 8 | piece[position + 3], position + 8
            elif not 0 <= size < _LENGTH_FOLLOWS:
                break
            stop = start + size
            if size > size_max or stop > end:
                break
            mask = bytes(piece[start - 4 : start])
            self._came_whole()
            self.recv_messages.put(Frame(Opcode.BINARY, apply_mask(piece[start:stop], mask)))
            position = stop
        if not position:
            return False
        self._came += position
        if position == end:
            self._unparsed.popleft()
        else:
            self._unparsed[0] = piece[position:]
        if self._pongs and not self.transport.get_write_buffer_size():
            self._pongs = 0
        return True

    def _look_for_room(self, awaited: int) -> None:
        """See to it that there is room for what comes next of a message, be it of one frame or of fragments.

        What is awaited may be of a ping between fragments, or the head of one: then it is no part of the message.
        """
        came = (self.protocol.current_size or 0) + self._fragments * _FRAGMENT_BYTES
        size = came + (awaited if awaited > _CONTROL_BYTES_MAX else 0)
        if size <= max(SMALL_FRAME_BYTES, self._room_of_message) or self.transport.is_closing():
            return
        if self.is_unheard:
            self._cut_off()  # for its fragments: the library refuses what is that large in itself
            return
        needed = min(size, came + len(self.protocol.reader.buffer) + _PART_BYTES)
        if needed > max(SMALL_FRAME_BYTES, self._room_of_message):
            had = self._room_of_message
            self._room_of_message += self.room.take(self, size - had, needed - had)
            self._crowded = self._room_of_message == had
            self._tell_held()

    def _cut_off(self) -> None:
        self._unparsed.clear()
        self.transport.abort()

    def _forget_last(self) -> None:
        """The parser keeps the last frame until the next one is here: begin with another."""
        protocol = self.protocol
        if protocol.state is State.OPEN:
            protocol.parser.close()
            protocol.parser = protocol.parse()
            next(protocol.parser)

    def _tell_held(self) -> None:
        if self.held is not None:
            self.held(self._crowded)

    def _hold(self) -> None:
        self._full = True

    def _go_on(self) -> None:
        self._full = False
        self._parse()

    def _read_or_pause(self) -> None:
        pause = bool(self._unparsed) or not self._may_parse
        if pause == self._paused or self.transport.is_closing():
            return
        self._paused = pause
        if pause:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()


class _Reader(StreamReader):
    """Tells how many bytes the parser waits for."""

    awaited = 0

    def read_exact(self, n: int) -> Generator[None, None, bytearray]:
        self.awaited = n
        data = yield from super().read_exact(n)
        self.awaited = 0
        return data


def _nothing() -> None:
    """There is nothing to read any more."""
