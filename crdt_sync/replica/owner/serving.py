"""The owner of a store serves other programs of the same user: a thread for each of them, and bounded memory.

What it does for them is said in `requests`, and what it tells them of in `telling`.
"""

import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

from crdt_sync.errors import CrdtSyncError
from crdt_sync.limits import OWNER_CLIENTS_MAX
from crdt_sync.replica.owner import local
from crdt_sync.replica.owner.failures import packed
from crdt_sync.replica.owner.frames import VERSION, receive, send
from crdt_sync.replica.owner.message import NO_ROLE, BadFrame, Message
from crdt_sync.replica.owner.requests import OFFERED, Action, Requests, ServedReplica
from crdt_sync.replica.owner.telling import tell

_log = logging.getLogger(__name__)
_GREETING_S = 5.0
_AGAIN_S = 0.05
_ENDS_S = 2.0  # for the threads to end when the owner does


class Server:
    """Serves a replica. Make it with `start`, and `close` it before the replica's store."""

    def __init__(
        self, replica: ServedReplica, listener: local.Listener, role: str, actions: Mapping[str, Action]
    ) -> None:
        self._replica = replica
        self._listener = listener
        self._role = role
        self._actions = actions
        self._since = replica.context.wall_clock()
        self._programs: dict[_Program, threading.Thread] = {}
        self._number = 0
        self._numbers: dict[int, _Program] = {}
        self._guard = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._accept, name="store-owner", daemon=True)
        self._thread.start()

    @classmethod
    def start(
        cls,
        replica: ServedReplica,
        path: Path,
        role: str = NO_ROLE,
        actions: Mapping[str, Action] = MappingProxyType({}),
        *,
        unix: bool | None = None,
    ) -> "Server":
        """Serve the replica whose store is in `path`. Raises `OSError` where the system gives no way."""
        return cls(replica, local.listen(path, unix=unix), role, actions)

    @property
    def programs(self) -> int:
        """How many programs use the store now."""
        return len(self._programs)

    def close(self) -> None:
        """Serve nobody any more. What was being committed is; closing twice is harmless."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
            programs = dict(self._programs)
        self._listener.close()
        for program in programs:
            program.end()
        for thread in (self._thread, *programs.values()):
            if thread is not threading.current_thread():
                thread.join(_ENDS_S)

    def _accept(self) -> None:
        while True:
            try:
                link = self._listener.accept()
            except OSError:
                if self._closed:
                    return
                time.sleep(_AGAIN_S)  # the caller has gone again, or too many files are open
                continue
            with self._guard:
                self._make_way()
                if self._closed or len(self._programs) >= OWNER_CLIENTS_MAX:
                    link.close()
                    continue
                self._number += 1
                greeting = (*self._greeting(), self._number)
                requests = Requests(self._replica, {**OFFERED, **self._actions})
                program = _Program(self._replica, link, greeting, requests, self._listener.check, self._thread_of)
                self._numbers[self._number] = program
                thread = threading.Thread(target=self._serve, args=(program,), name="store-program", daemon=True)
                self._programs[program] = thread
            thread.start()

    def _make_way(self) -> None:
        """Who has not proved itself waits no longer where too many do: where there is only a port, anybody may call."""
        if len(self._programs) >= OWNER_CLIENTS_MAX:
            stranger = next((program for program in self._programs if not program.greeted), None)
            if stranger is not None:
                stranger.end()
                self._forget(stranger)

    def _forget(self, program: "_Program") -> None:
        self._programs.pop(program, None)
        self._numbers.pop(program.number, None)

    def _greeting(self) -> Message:
        return (os.getpid(), Path(sys.argv[0] or "python").name, self._role, self._since)

    def _serve(self, program: "_Program") -> None:
        try:
            program.serve()
        except Exception:
            _log.exception("serving another program failed")
        finally:
            with self._guard:
                self._forget(program)

    def _thread_of(self, number: int) -> int:
        """The thread that serves the program of this number, 0 where there is none."""
        program = self._numbers.get(number)
        return program.thread if program is not None else 0


class _Program:
    """One program that uses the store."""

    def __init__(
        self,
        replica: ServedReplica,
        link: socket.socket,
        greeting: Message,
        requests: Requests,
        check: Callable[[socket.socket], None],
        thread_of: Callable[[int], int],
    ) -> None:
        self._replica = replica
        self._check = check
        self.greeted = False
        self._link = link
        self._greeting = greeting
        self._requests = requests
        self._thread_of = thread_of
        self.thread = 0

    @property
    def number(self) -> int:
        """By which its second link names it."""
        return int(str(self._greeting[-1]))

    def end(self) -> None:
        """End the link."""
        with suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)

    def serve(self) -> None:
        """Answer until the link ends."""
        self.thread = threading.get_ident()
        try:
            self._check(self._link)
            if receive(self._link, _GREETING_S) != ("hello", VERSION):
                return
            self.greeted = True
            send(self._link, True, self._greeting)
            while (message := receive(self._link)) is not None:
                match message:
                    case ("events", int(number)):
                        tell(self._link, self._replica.context.subscribe, self._thread_of(number), self.end)
                        return
                self._answer(self._requests.answer(message))
        except (OSError, BadFrame) as error:
            _log.info("the link of another program ended: %s", error)
        finally:
            self._requests.close()
            self._link.close()

    def _answer(self, answer: Message) -> None:
        try:
            send(self._link, *answer)
        except BadFrame as error:
            failed = CrdtSyncError(f"it was done, and the answer cannot be given: {error}", "Ask for less at once.")
            send(self._link, False, packed(failed))
