"""One device's channel, as the engine sees it.

Rules:

1. `send` never waits. What a device has not read yet is bounded: nothing is filled in while more than `BUFFER_BYTES`
   wait, and nothing more is read from it once the answers to what it sends have added as much again. One that reads
   slowly is heard all the same: its pings and its pushes do not wait until it has everything.
2. A device that has read next to nothing for the send timeout is cut off. A slow one is not.
3. Each frame waits for the session's turn; see `fair_queue`. Small ones that came together are taken in one.
4. The end of a session closes the channel after what was sent, a bye above all; a device that does not take even
   that is cut off a little later.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping

from crdt_sync.limits import FRAME_BYTES_MAX, HELLO_BYTES_MAX, LINK_BYTES_PER_S_MIN
from crdt_sync.protocol.acceptor import Refusal
from crdt_sync.protocol.effects import Closed
from crdt_sync.protocol.messages import Hello
from crdt_sync.protocol.principal import Principal
from crdt_sync.runtime.guests import Guest
from crdt_sync.runtime.hosting import handing_in
from crdt_sync.runtime.hosting.admission import POISONED
from crdt_sync.runtime.hosting.engine import Engine
from crdt_sync.runtime.transports.channel import Channel, ChannelClosed, RulesBroken
from crdt_sync.verdicts import VerdictCode

SEND_TIMEOUT_S = 60.0
BUFFER_BYTES = 32 * 1024  # what is behind it waits for so long as it takes: 6 s at 5 kB/s
_TOGETHER = 8  # frames of one turn: half a millisecond
_TOGETHER_BYTES = 4096  # of them, when no other joins
_UNREMARKABLE = frozenset({"done", "connection_lost", "going_away"})


class DeviceLink:
    """See the module. Await `read`; it returns when the channel has ended. The accepting transport opens
    the channel with `BUFFER_BYTES`. `more` gives the next frame if it has come already and is small, and receives it;
    `let_in` hears that the hello was accepted.
    """

    def __init__(
        self,
        channel: Channel,
        engine: Engine,
        send_timeout_s: float = SEND_TIMEOUT_S,
        guest: Guest | None = None,
        more: Callable[[], bytes | None] = lambda: None,
        let_in: Callable[[], object] = lambda: None,
    ) -> None:
        channel.take_up_to(HELLO_BYTES_MAX)  # nothing larger is taken from a stranger
        self._channel = channel
        self._more = more
        self._let_in = let_in
        self._engine = engine
        self._metrics = engine.metrics
        self._send_timeout_s = send_timeout_s
        self._waiting: asyncio.Task[None] | None = None
        self._told_bytes = 0  # of all frames, whether they were sent since or not
        self._unsent_max = BUFFER_BYTES  # with more bytes than that unsent, nothing is read
        self._closing: asyncio.Task[None] | None = None
        self._visitor = engine.admission.visitor(channel.peer)
        authorise = engine.authorise if guest is None else guest.authorise
        self._guest = guest
        self.session = engine.connect(self, self._visitor.guarded(authorise), self._visitor.place, guest)

    def send(self, frame: bytes) -> None:
        """See `Link.send`."""
        self._send(frame, had_room=self._channel.has_room)

    def tell(self, frame: bytes) -> bool:
        """See `Link.tell`."""
        return self._send(frame, had_room=True)

    def _send(self, frame: bytes, *, had_room: bool) -> bool:
        channel, metrics, size = self._channel, self._metrics, len(frame)
        metrics.frames_sent += 1
        metrics.bytes_sent += size
        self._told_bytes += size
        channel.send(frame)
        if had_room:
            self._unsent_max = channel.unsent_bytes + BUFFER_BYTES
        if channel.has_room:
            return True
        self.call_when_room()
        return False

    def has_room(self) -> bool:
        """See `Link.has_room`."""
        return self._channel.has_room

    def call_when_room(self) -> None:
        """See `Link.call_when_room`."""
        if self._waiting is None and self._closing is None:
            self._waiting = asyncio.create_task(self._wait_for_room())

    @property
    def unsent(self) -> int:
        """See `Link.unsent`."""
        return self._channel.unsent_bytes

    @property
    def arriving(self) -> int:
        """See `Link.arriving`."""
        return self._channel.arriving_bytes

    def named(self) -> dict[str, str]:
        """See `Link.named`."""
        return self._visitor.named()

    def hangup(self, closed: Closed) -> None:
        """See `Link.hangup`."""
        if closed.code == POISONED and not closed.by_partner and self._visitor.is_in:
            self._visitor.expelled()
        if closed.code not in _UNREMARKABLE:
            self._engine.log.info(
                "session_closed",
                session=self.session,
                code=closed.code,
                reason=closed.message,
                **self._visitor.named(),
            )
        self._closing = asyncio.create_task(self._channel.close())

    def finished(self, verdicts: Mapping[VerdictCode, int]) -> None:
        """See `Link.finished`."""
        if not verdicts:
            return
        self._visitor.pushed(verdicts)
        if self._engine.logs_pushes:
            counts = {code.name.lower(): count for code, count in verdicts.items()}
            self._engine.log.info("session_pushed", session=self.session, updates=counts, **self._visitor.named())

    async def read(self) -> None:
        """Hand frames to the engine until the link ends; pause while the device is ahead of the disk, or behind us."""
        channel, engine, session = self._channel, self._engine, self.session
        greeted = False
        try:
            while True:
                try:
                    frame = await channel.receive()
                except RulesBroken as broken:
                    if self._closing is None:
                        engine.refuse(session, "protocol_violation", str(broken))
                    continue
                if not greeted and self._guest is not None and (hello := handing_in.hello_of(frame)) is not None:
                    await self._take_in(hello, self._guest)
                    return
                if self._closing is not None:
                    continue  # what is still under way is taken, so that the answer to our close can arrive
                frames = deque((frame,))
                del frame  # it may be large, and the next one be long in coming
                if greeted:
                    self._join(frames)
                await self._hand_over(frames, greeted=greeted)
                channel.taken()
                greeted = True
                while channel.unsent_bytes > self._unsent_max and self._waiting is not None and self._closing is None:
                    await asyncio.wait((self._waiting,))
        except ChannelClosed:
            pass
        except Exception:
            self._engine.log.exception("session_failed", session=session, **self._visitor.named())
            channel.abort()
        finally:
            if self._waiting is not None:
                self._waiting.cancel()
            engine.lost(session)
            if self._closing is not None:
                await self._closing

    async def _take_in(self, hello: Hello, guest: Guest) -> None:
        """What a device had not sent before it was shut out, instead of a session. Raises `ChannelClosed`."""
        channel, engine = self._channel, self._engine
        engine.lost(self.session)

        def authorise(hello: Hello) -> Principal | Refusal:
            admitted = self._visitor.guarded(guest.hands_in)(hello)
            if isinstance(admitted, Principal):
                self._let_in()
            return admitted

        code = await handing_in.attend(channel, hello, guest, authorise, engine.source.replica, engine.wall_clock)
        engine.log.info("handed_in", session=self.session, code=code, **self._visitor.named())
        await channel.close()

    def _join(self, frames: deque[bytes]) -> None:
        """Add what came behind the first of them already."""
        size = len(frames[0])
        while len(frames) < _TOGETHER and size < _TOGETHER_BYTES and (frame := self._more()) is not None:
            frames.append(frame)
            size += len(frame)

    async def _hand_over(self, frames: deque[bytes], *, greeted: bool) -> None:
        """Have the engine take frames, when it is the session's turn and there is room then."""
        engine, session, metrics = self._engine, self.session, self._metrics

        def take() -> None:
            while frames and (not greeted or engine.may_read(session, len(frames[0]))):
                frame = frames.popleft()
                metrics.frames_received += 1
                metrics.bytes_received += len(frame)
                engine.take(session, frame)
            engine.taken(session)
            if not greeted and self._visitor.is_in:
                # In the same step: what it says when it is let in may come before `read` has its turn.
                self._channel.take_up_to(FRAME_BYTES_MAX)
                self._let_in()

        while frames:
            if greeted and not engine.may_read(session, len(frames[0])):
                await engine.readable(session, len(frames[0]))
            if not engine.queue.ran(take):
                await engine.queue.wait(engine.flow(session), take)

    async def _wait_for_room(self) -> None:
        channel = self._channel
        taken = self._told_bytes - channel.unsent_bytes
        try:
            while not channel.has_room:
                try:
                    async with asyncio.timeout(self._send_timeout_s):
                        await channel.room()
                    continue  # it reads, and what came in between fills the room again
                except TimeoutError:
                    before, taken = taken, self._told_bytes - channel.unsent_bytes
                if taken < before + LINK_BYTES_PER_S_MIN * self._send_timeout_s:
                    unsent = channel.unsent_bytes
                    self._engine.log.warning(
                        "device_does_not_read", session=self.session, unsent_bytes=unsent, **self._visitor.named()
                    )
                    channel.abort()
                    return
        except ChannelClosed:
            return  # the reader notices
        finally:
            self._waiting = None
        self._engine.fill(self.session)
