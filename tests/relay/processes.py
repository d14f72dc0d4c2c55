"""Relays and devices in processes of their own, forked quickly and killed hard."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from queue import Queue
from typing import Any

from .devices import PATIENCE_S


class Launcher:
    """Forks relays and devices; see `launcher.py`."""

    def __init__(self, log: Path) -> None:
        self._errors = log.open("wb")
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("launcher.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        self._heard: Queue[dict[str, Any]] = Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def launch(self, what: str, **arguments: Any) -> dict[str, Any]:
        """Fork one and return the first line that it says."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"what": what, **arguments}).encode() + b"\n")
        self._process.stdin.flush()
        return self._wait("pid")

    def hear(self, word: str) -> Any:
        """Wait for the next line that has this word; what it says. Lines before it are passed over."""
        return self._wait(word)[word]

    def heard(self) -> list[dict[str, Any]]:
        """What was said since the last time."""
        return [self._heard.get() for _ in range(self._heard.qsize())]

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE_S)
        self._errors.close()

    def _wait(self, word: str) -> dict[str, Any]:
        while word not in (words := self._heard.get(timeout=PATIENCE_S)):
            pass
        return words

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for line in stream:
                self._heard.put(json.loads(line))


def ended(pid: int) -> bool:
    """Whether the process is gone, and what it held with it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE_S
    while not ended(pid):
        assert time.monotonic() < deadline
        time.sleep(0.001)
