"""What both ends of a session share: the table, the timer, keepalive, closing.

A host calls `receive`, `timer`, `fill` and the answers to effects; after each call it drains the effects and
asks `next_timer`. What the partner sends never raises out of a session: it ends it, with a bye that says why.

Nothing is waited for without a bound. A partner is silent when no frame comes for `SILENCE_US_MAX`; one that only
answers pings is found out by what it owes: `_awaited`. In both cases the bytes that arrive stop the clock, see
`patience`; and so does a host that does not read: see `pause`.
"""

from collections.abc import Iterable, Sequence
from typing import ClassVar, NamedTuple

from crdt_sync import limits
from crdt_sync.errors import ProtocolViolation
from crdt_sync.protocol import codec
from crdt_sync.protocol.effects import Closed, Effect, PresenceSeen, SaidCame, Send
from crdt_sync.protocol.marks import Veil
from crdt_sync.protocol.messages import Bye, Message, Ping, Pong, Presence, PresenceEntry, Said
from crdt_sync.protocol.patience import Wait
from crdt_sync.protocol.states import Move, State, Table, Transition
from crdt_sync.protocol.versions import GREETING, PEOPLE

_GREETING = frozenset({State.GREETING, State.AGREEING})

_LOOKS = 20  # at what is overdue, in the time of one ping: no byte that comes costs a look of its own


class Awaited(NamedTuple):
    """Something that the partner owes: what it failed to do, as a predicate, and how long it may take."""

    what: str
    within_us: int


class Session:
    """The common part of `Dialer` and `Acceptor`. Times are microseconds of any steady clock, given as `now`.

    `ping_us` is after how long a silence to ask whether the partner lives, None: `KEEPALIVE_US`.
    """

    table: ClassVar[Table]
    moves: ClassVar[tuple[Move, ...]]

    def __init__(self, now: int, ping_us: int | None = None) -> None:
        self.state = State.GREETING
        self._ping_us = limits.KEEPALIVE_US if ping_us is None else ping_us
        self.version = GREETING
        self.features: frozenset[str] = frozenset()  # what both sides can do beyond their version
        self._effects: list[Effect] = []
        self._veil: Veil | None = None  # where the partner may hold some records and not others
        self._heard_at = now
        self._pings = 0  # sent
        self._pinged_at: int | None = None  # when it was last asked whether it lives, if it was heard before that
        self._deadline = now + limits.HANDSHAKE_TIMEOUT_US
        self._received = 0  # bytes of whole frames
        self._arriving = 0  # bytes of the next one
        self._silence = Wait(now, 0)
        self._owed: dict[str, Wait] = {}
        self._look_at = now + limits.KEEPALIVE_US  # when to see again what is owed and overdue
        self._paused_at: int | None = None  # since when the host does not read

    def drain(self) -> list[Effect]:
        """The effects since the last call, in the order in which they must be carried out."""
        effects, self._effects = self._effects, []
        return effects

    @property
    def closed(self) -> bool:
        """Whether the session is over."""
        return self.state is State.CLOSED

    def receive(self, frame: bytes, now: int) -> None:
        """Take one frame from the partner."""
        if self.closed:
            return
        self._heard_at = now
        self._pinged_at = None
        self._received += len(frame)
        self._arriving = 0
        self._silence.begin(now, self._received)
        small = self.state in _GREETING and self.version < PEOPLE  # since then what a space said may come so early
        try:
            message = codec.decode(frame, limits.HELLO_BYTES_MAX if small else limits.FRAME_BYTES_MAX, self.version)
            transition = self.table.get((self.state, type(message)))
            if transition is None:
                raise ProtocolViolation(
                    f"{type(message).__name__} is not allowed while {self.state.value}",
                    "One side runs software that does not follow docs/protocol.md; update both.",
                )
            if not self._allowed(message):
                raise ProtocolViolation(f"{type(message).__name__} came before the terms")
            self._handle(transition, message, now)
        except ProtocolViolation as violation:
            self.close(violation.code, violation.message, now)

    def next_timer(self) -> int | None:
        """When `timer` wants to be called, or None when the session is over."""
        if self.closed:
            return None
        if self.state in _GREETING:
            return self._deadline
        if self._paused_at is not None:
            return self._ping_at
        return min(self._ping_at, self._silence.since + limits.SILENCE_US_MAX, self._look_at)

    def pause(self, now: int) -> None:
        """The host does not read for a while, for reasons of its own: what the partner says waits unread, and nothing
        is expected of it before `resume`. It still hears pings.
        """
        if self._paused_at is None:
            self._paused_at = now

    def resume(self, now: int) -> None:
        """The host reads on, if it did not."""
        if self._paused_at is not None:
            for wait in (self._silence, *self._owed.values()):
                wait.skip(self._paused_at, now)
            self._paused_at = None

    def arriving(self, size: int) -> None:
        """So many bytes of the partner's next frame have come. Hosts tell it before they call `timer`."""
        self._arriving = size

    def timer(self, now: int) -> None:
        """The time given by `next_timer` has come. Calling it early is harmless."""
        if self.closed:
            return
        if self.state in _GREETING:
            if now >= self._deadline:
                self.close("timeout", "the handshake took too long", now, retry_after_us=0)
        elif self._paused_at is None and (failed := self._failed(now)) is not None:
            self.close("timeout", f"the partner {failed}", now, retry_after_us=0)
        elif now >= self._ping_at:
            # Again and again: a partner that is slow to send us a large frame lives by the pings that it hears.
            self._pinged_at = now
            self._ping()

    def close(self, code: str, message: str, now: int, retry_after_us: int | None = None) -> None:
        """End the session from this side, telling the partner why. `retry_after_us` None: do not try again."""
        if self.closed:
            return
        retry_ms = None if retry_after_us is None else retry_after_us // 1000
        self._send(Bye(code, message[: limits.REASON_LENGTH_MAX], retry_ms))
        self._end(Closed(code, message, retry_after_us, by_partner=False))

    def lost(self) -> None:
        """The link is gone."""
        if not self.closed:
            self._end(Closed("connection_lost", "the connection was lost", 0, by_partner=True))

    def present(self, entries: tuple[PresenceEntry, ...]) -> None:
        """Tell the partner who has which record open. Dropped while the session is not open."""
        if self.state not in {*_GREETING, State.CLOSED}:
            self._tell(Presence(entries[: limits.PRESENCE_ENTRIES_MAX]))

    def say(self, statements: Sequence[bytes]) -> bool:
        """Pass on what the space said, if the session is open and its version has it; returns whether it is sent.

        At most `STATEMENTS_SAID_MAX`, which are what a space says altogether.
        """
        if not statements or self.version < PEOPLE or self.state in {*_GREETING, State.CLOSED}:
            return False
        self._send(Said(tuple(statements)))
        return True

    def _handle(self, row: Transition, message: Message, now: int) -> None:
        getattr(self, "_on_" + row.handler)(message, now)

    def _allowed(self, message: Message) -> bool:
        """Whether the message may come now, beyond what the table says."""
        return True

    @property
    def _ping_at(self) -> int:
        if self._pinged_at is not None:
            return self._pinged_at + self._ping_us
        return self._heard_at + self._first_ping_us

    @property
    def _first_ping_us(self) -> int:
        return self._ping_us

    def _awaited(self) -> Iterable[Awaited]:
        """What the partner owes now, each at most once."""
        return ()

    def _came(self, what: str) -> None:
        """The partner has done some of what it owes: from now on it has as long as before for the next of it."""
        self._owed.pop(what, None)

    def _failed(self, now: int) -> str | None:
        """Why the partner is given up, as a predicate, if it is."""
        if now >= self._silence.look(now, self._received + self._arriving) + limits.SILENCE_US_MAX:
            return "fell silent"
        if (overdue := self._look_at_the_owed(now)) is not None:
            return f"answers, but {overdue} for {(now - self._owed[overdue].begun) // 1_000_000} s"
        return None

    def _look_at_the_owed(self, now: int) -> str | None:
        """What is overdue, if anything. Seen from timer to timer, so that no frame pays for it."""
        came = self._received + self._arriving
        before, self._owed = self._owed, {}
        self._look_at = now + limits.KEEPALIVE_US
        for what, within_us in self._awaited():
            wait = self._owed[what] = before.get(what) or Wait(now, came)
            overdue_at = wait.look(now, came) + within_us
            if now >= overdue_at:
                return what
            self._look_at = min(self._look_at, max(overdue_at, now + limits.KEEPALIVE_US // _LOOKS))
        return None

    def _end(self, closed: Closed) -> None:
        self.state = State.CLOSED
        self._effects.append(closed)

    def _ping(self) -> int:
        """Ask for a pong; returns its number, which no other ping of this session has."""
        self._pings += 1
        self._send(Ping(self._pings))
        return self._pings

    def _send(self, message: Message) -> int:
        frame = codec.encode(message if self._veil is None else self._veil.over(message), self.version)
        self._effects.append(Send(frame))
        return len(frame)

    def _tell(self, message: Message) -> None:
        """Send what nobody answers."""
        self._send(message)

    def _on_bye(self, message: Bye, now: int) -> None:
        retry_us = None if message.retry_after_ms is None else message.retry_after_ms * 1000
        self._end(Closed(message.code, message.message, retry_us, by_partner=True))

    def _on_ping(self, message: Ping, now: int) -> None:
        self._tell(Pong(message.number))

    def _on_pong(self, message: Pong, now: int) -> None:
        """Nothing to do: hearing anything at all proves that the partner lives."""

    def _on_said(self, message: Said, now: int) -> None:
        self._effects.append(SaidCame(message.statements))

    def _on_presence(self, message: Presence, now: int) -> None:
        self._effects.append(PresenceSeen(message.entries))
