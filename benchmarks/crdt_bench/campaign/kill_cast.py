"""The parent's side of the launcher: who lives, what they said, and their end by SIGKILL."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

PATIENCE_S = 300.0  # a machine that does much else is slow, and no proof of a hang


class NothingHeard(Exception):
    """What was waited for was not said."""


class Cast:
    """The launcher and its children. `said` is called with every line, in order, by `listen` and `wait`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "crdt_bench.campaign.kill_launcher"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[3],
        )
        assert self._process.stdout is not None
        self._lines: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True).start()
        self.pids: dict[str, int] = {}
        self.heard: list[dict[str, Any]] = []
        self._at_work: set[str] = set()

    def launch(self, what: str, name: str, **arguments: Any) -> None:
        """Fork one and return when it runs."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"what": what, "name": name, **arguments}).encode() + b"\n")
        self._process.stdin.flush()
        self.pids[name] = self.wait(name, "pid")

    def wait(self, name: str | None, *sought: str) -> Any:
        """Return what is said next under one of these words, by `name` or by anybody. Raises `NothingHeard`."""
        deadline = time.monotonic() + PATIENCE_S
        while (left := deadline - time.monotonic()) > 0:
            try:
                words = self._lines.get(timeout=left)
            except queue.Empty:
                break
            self._note(words)
            if "failed" in words:
                raise NothingHeard(f"{words['name']} failed: {words['failed']}")
            found = [words[word] for word in sought if word in words]
            if found and name in {None, words["name"]}:
                return found[0]
        raise NothingHeard(f"{name or 'anybody'} did not say {' or '.join(sought)} within {PATIENCE_S:.0f} s")

    def wait_at_work(self, name: str) -> None:
        """Return once `name` has said in this life that it is at work."""
        if name not in self._at_work:
            self.wait(name, "at_work")

    def _note(self, words: dict[str, Any]) -> None:
        self.heard.append(words)
        if "at_work" in words:
            self._at_work.add(words["name"])

    def take(self) -> list[dict[str, Any]]:
        """Everything that was said since the last time."""
        self._take_in()
        heard, self.heard = self.heard, []
        return heard

    def _take_in(self) -> None:
        """Read what has arrived, and keep it."""
        while not self._lines.empty():
            self._note(self._lines.get())

    def kill(self, name: str) -> None:
        """SIGKILL, and wait until it is gone and what it said has arrived."""
        self.kill_process(self.pids.pop(name))
        self._take_in()
        self._at_work.discard(name)

    def kill_process(self, pid: int) -> None:
        """The same, for any process below the launcher."""
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE_S
        while Path(f"/proc/{pid}").exists():
            if time.monotonic() > deadline:
                raise NothingHeard(f"process {pid} does not end")
            time.sleep(0.001)

    def close(self) -> None:
        """Kill all that live, and end the launcher."""
        for name in list(self.pids):
            self.kill(name)
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE_S)

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                self._lines.put(json.loads(line))
