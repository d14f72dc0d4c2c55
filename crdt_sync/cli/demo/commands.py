"""Commands as people type them, run by the demo as processes of their own."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crdt_sync.cli.demo import child
from crdt_sync.cli.demo.failures import DemoFailed

_TAKES_S = 60.0

Told = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: what it printed for programs, an object a line, and the error where it failed."""

    told: Sequence[Told]
    error: Told | None


class Program:
    """`crdt-sync` on one store, or `crdt-relay` on one data directory; `name` is whose it is."""

    def __init__(self, module: str, option: str, place: Path, name: str) -> None:
        self.place = place
        self.name = name
        self._start = [sys.executable, "-m", module]
        self._end = [option, str(place), "--json"]
        self._log = place.with_suffix(".log")
        self._environment = {"XDG_CONFIG_HOME": str(place.parent / "settings")}

    def begin(self, *words: str) -> "Running":
        """Start a command, so that others run meanwhile."""
        return Running(self, child.start([*self._start, *words, *self._end], self._log, self._environment, piped=True))

    def run(self, *words: str) -> Sequence[Told]:
        """Run a command to its end; what it printed. Raises `DemoFailed` where it fails."""
        return self.begin(*words).done()

    def failure(self) -> Told | None:
        """What the last command complained of, for programs."""
        for line in reversed(self._log.read_text("utf-8", "replace").splitlines()):
            try:
                found = json.loads(line)
            except ValueError:
                continue
            if isinstance(found, dict) and "error" in found:
                return found
        return None


class Running:
    """A command that was started."""

    def __init__(self, program: Program, process: child.Process) -> None:
        self._program = program
        self._process = process

    def ended(self) -> Ended:
        """Wait for its end. Raises `DemoFailed` where that does not come."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.stdin = None
        try:
            out, _ = self._process.communicate(timeout=_TAKES_S)
        except subprocess.TimeoutExpired:
            raise DemoFailed(f"a command of {self._program.name} did not end within {_TAKES_S:.0f} seconds") from None
        finally:
            child.end(self._process)
        told = [json.loads(line) for line in out.splitlines()]
        return Ended(told, self._program.failure() if self._process.returncode else None)

    def done(self) -> Sequence[Told]:
        """What it printed. Raises `DemoFailed` where it failed."""
        ended = self.ended()
        if ended.error is not None:
            raise DemoFailed(f"{self._program.name}: {ended.error['message']}", str(ended.error["hint"]))
        return ended.told

    def until(self, state: str) -> None:
        """Wait until a command that stays prints that state. Raises `DemoFailed` where it ends before."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if json.loads(line).get("state") == state:
                return
        raise DemoFailed(f"{self._program.name}: it ended before it was {state!r}")
