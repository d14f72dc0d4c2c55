"""A device of the demo as the demo sees it: a process to be told things, killed and started again."""

import json
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crdt_sync.cli.demo import child
from crdt_sync.cli.demo.failures import DemoFailed
from crdt_sync.runtime import Address

_ANSWER_S = 60.0
_LARGE_BYTES = 4096  # a sync that has sent this much is past the handshake, in the middle of its work

Answer = dict[str, Any]


class DeviceProcess:
    """One device. `begin` and `finish` are the halves of `ask`, so that several devices work at once."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self._store = folder / name
        self._log = folder / f"{name}.log"
        self._process = self._spawn()
        self._buffer = b""

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def ask(self, do: str, **details: object) -> Answer:
        """Tell it to do something, and wait until that is done. Raises `DemoFailed`."""
        self.begin(do, **details)
        return self.finish()

    def begin(self, do: str, **details: object) -> None:
        """Tell it to do something."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **details}).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._gone() from None

    def begin_sync(self, address: Address) -> None:
        """Tell it to sync with the relay."""
        self.begin("sync", url=address.url, token=address.token, large=_LARGE_BYTES)

    def finish(self) -> Answer:
        """The answer to what was begun. Raises `DemoFailed` when it could not be done."""
        answer = self.outcome()
        if "error" in answer:
            raise DemoFailed(f"{self.name}: {answer['error']['message']}", str(answer["error"]["hint"]))
        done: Answer = answer["done"]
        return done

    def outcome(self) -> Answer:
        """`{"done": ...}` or `{"error": ...}`."""
        while True:
            answer = self._read()
            if "progress" not in answer:
                return answer

    def kill_when(self, reached: Callable[[Answer], bool]) -> Answer | None:
        """SIGKILL as soon as the progress is `reached`; returns it, or None where the work was done before that."""
        while True:
            answer = self._read()
            if "progress" not in answer:
                self.kill()
                return None
            if reached(answer["progress"]):
                self.kill()
                return None if self._has_finished() else answer["progress"]

    def progress_until(self, reached: Callable[[Answer], bool]) -> bool:
        """Wait until the progress is `reached`; False where the work was done before that."""
        while True:
            answer = self._read()
            if "progress" not in answer:
                return False
            if reached(answer["progress"]):
                return True

    def kill(self) -> None:
        """SIGKILL: the power is gone."""
        process = self._process
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        self._buffer += process.stdout.read()
        child.end(process)

    def restart(self) -> int:
        """Start again on the same store; returns how many records are in it."""
        self._buffer = b""
        self._process = self._spawn()
        return self.wait_ready()

    def wait_ready(self) -> int:
        """Wait until the store is open; returns how many records are in it."""
        records: int = self.finish()["records"]
        return records

    def stop(self) -> None:
        """End it, whatever it does."""
        child.end(self._process)

    def _has_finished(self) -> bool:
        return any(b'"done"' in line for line in self._buffer.split(b"\n"))

    def _spawn(self) -> child.Process:
        arguments = [sys.executable, "-m", "crdt_sync.cli.demo.worker", str(self._store), self.name]
        return child.start(arguments, self._log, {}, piped=True)

    def _read(self) -> Answer:
        assert self._process.stdout is not None
        until = time.monotonic() + _ANSWER_S
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(max(0.0, until - time.monotonic())):
                    raise DemoFailed(f"{self.name} did not answer within {_ANSWER_S:.0f} seconds")
                chunk = os.read(self._process.stdout.fileno(), 65536)
                if not chunk:
                    raise self._gone()
                self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        answer: Answer = json.loads(line)
        return answer

    def _gone(self) -> DemoFailed:
        return DemoFailed(f"the process of {self.name} ended unasked: {child.last_words(self._log) or 'silently'}")
