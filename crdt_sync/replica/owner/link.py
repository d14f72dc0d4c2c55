"""A link to the owner of a store: one thing is asked after the other, and each is waited for with a bound."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from crdt_sync.errors import UsageError
from crdt_sync.replica.owner import local
from crdt_sync.replica.owner.failures import value_of
from crdt_sync.replica.owner.frames import VERSION, receive, send
from crdt_sync.replica.owner.message import NO_ROLE, BadFrame, Message

_GREETING_S = 5.0
_SILENCE_S = 10.0  # of an owner, before it is tried whether it still greets others
_MESSAGE_S = 30.0  # for a message to go over, once it is begun
_LOOK_S = 0.01


class NoAnswer(Exception):
    """A request was not answered. `sent`: the owner may have it, and do it; else it never comes to it.

    `silent`: the owner is stopped, or hangs; else it has ended the link.
    """

    def __init__(self, *, sent: bool, silent: bool) -> None:
        super().__init__("the owner gives no answer" if silent else "the owner has ended the link")
        self.sent = sent
        self.silent = silent


@dataclass(frozen=True, slots=True)
class About:
    """Who owns a store: its process, what it is called, and what it does beside serving the store."""

    process: int
    program: str
    role: str
    since: int  # microseconds since 1970
    number: int = 0  # of this link

    @property
    def called(self) -> str:
        """What people know it by: its role, or its program where it has none."""
        return self.program if self.role == NO_ROLE else self.role


class Link:
    """Calls may come from any thread; each waits for its answer. Nothing is asked once an answer did not come."""

    def __init__(self, path: Path) -> None:
        """To the owner of the store in `path`. Raises `OSError` where nobody serves it, and `NoAnswer`."""
        self._path = path
        self._asking = threading.Lock()
        self._socket = local.connect(path)
        try:
            self.about = self._greet()
        except BaseException:
            self._socket.close()
            raise

    def _greet(self) -> About:
        try:
            send(self._socket, "hello", VERSION)
            answer = receive(self._socket, _GREETING_S)
        except (OSError, BadFrame) as error:
            raise NoAnswer(sent=False, silent=isinstance(error, TimeoutError)) from error
        match answer:
            case (True, (int(process), str(program), str(role), int(since), int(number))):
                return About(process, program, role, since, number)
        raise NoAnswer(sent=False, silent=False)  # it was turned away, as where too many programs are served

    def exchange(self, request: Message, within_s: float) -> object:
        """The owner's answer to a request, awaited for as long as it lives, and `within_s` at most.

        Raises what the owner raises, `NoAnswer`, and `UsageError` for a request that is too long.
        """
        with self._asking:
            try:
                self._socket.settimeout(_MESSAGE_S)
                send(self._socket, *request)
            except OSError as error:
                raise self._no_answer(error, sent=False) from error
            except BadFrame as error:
                raise UsageError(
                    f"the owner of the store cannot be asked that: {error}", "Ask for less at once."
                ) from None
            try:
                self._await_answer(time.monotonic() + within_s)
                answer = receive(self._socket, _MESSAGE_S)
            except (OSError, BadFrame) as error:
                raise self._no_answer(error, sent=True) from error
        try:
            return value_of(answer)
        except BadFrame as error:
            raise self._no_answer(error, sent=True) from error

    def _no_answer(self, error: Exception | None, *, sent: bool) -> NoAnswer:
        self.close()
        return NoAnswer(sent=sent, silent=isinstance(error, TimeoutError))

    def _await_answer(self, until: float) -> None:
        """Wait for its first byte, for as long as the owner lives. Raises `TimeoutError`, and other `OSError`."""
        while True:
            self._socket.settimeout(max(min(_SILENCE_S, until - time.monotonic()), _LOOK_S))
            try:
                self._socket.recv(1, socket.MSG_PEEK)
            except TimeoutError:
                if time.monotonic() >= until or not self._lives():
                    raise
            else:
                return

    def _lives(self) -> bool:
        """Whether the owner greets, or turns away, who else calls."""
        try:
            Link(self._path).close()
        except NoAnswer as refused:
            return not refused.silent
        except OSError:
            return False
        return True

    @property
    def has_ended(self) -> bool:
        """Whether the owner is known to have ended this link; not while something is asked."""
        if not self._asking.acquire(blocking=False):
            return False
        try:
            self._socket.settimeout(0)
            ended = self._socket.recv(1, socket.MSG_PEEK) == b""
            self._socket.settimeout(None)
        except (BlockingIOError, InterruptedError):
            self._socket.settimeout(None)
            return False
        except OSError:
            return True
        finally:
            self._asking.release()
        return ended

    def ask_for_events(self, program: int) -> None:
        """Have the owner tell what others change than the program of that number. Nothing else can be asked then.

        Raises `OSError`.
        """
        send(self._socket, "events", program)

    def events(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """What it tells then: kinds and records, until the link ends."""
        with suppress(OSError, BadFrame):
            while (message := receive(self._socket)) is not None:
                match message:
                    case ("event", str(kind), tuple(records)):
                        yield kind, tuple(record for record in records if isinstance(record, str))

    def close(self) -> None:
        """End it; what was lent over it goes back. Closing twice is harmless."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
