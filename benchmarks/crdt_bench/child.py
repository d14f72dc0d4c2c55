"""Child processes: each part of an experiment that must not share an interpreter with another runs in one.

A child is a function `module:name` called with JSON arguments. It talks to its parent in JSON lines: `say` and
`hear` on its side, `hear` and `tell` on the parent's. When the parent goes away, `hear` returns None.
"""

import importlib
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Self

from crdt_bench.usage import Usage, usage_of

TIMEOUT_S = 600.0
_END_S = 20.0


def say(message: object) -> None:
    """Send one message to the parent."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def hear() -> Any:
    """The parent's next message; None when there is none any more."""
    line = sys.stdin.readline()
    return json.loads(line) if line else None


class ChildFailed(Exception):
    """A child process ended, or said nothing for too long; its error output is on the terminal."""


def spawned(target: str, arguments: str) -> "subprocess.Popen[str]":
    """The process of a child, with pipes for text; `arguments` in JSON."""
    command = [sys.executable, "-P", "-m", "crdt_bench.child", target, arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


class Child:
    """A running child. Leaving the `with` block closes its input and waits for its end."""

    def __init__(self, target: str, **arguments: object) -> None:
        self.target = target
        self._process = spawned(target, json.dumps(arguments))
        assert self._process.stdout is not None
        self._lines: queue.Queue[str] = queue.Queue()
        self._listener = threading.Thread(target=self._listen, args=(self._process.stdout,), daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def hear(self, timeout_s: float = TIMEOUT_S) -> Any:
        """The child's next message. Raises `ChildFailed`."""
        try:
            line = self._lines.get(timeout=timeout_s)
        except queue.Empty:
            raise ChildFailed(f"{self.target} said nothing for {timeout_s:.0f} s") from None
        if not line:
            raise ChildFailed(f"{self.target} ended with code {self._process.wait()}")
        return json.loads(line)

    def tell(self, message: object) -> None:
        """Send one message to the child."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def ask(self, message: object, timeout_s: float = TIMEOUT_S) -> Any:
        """`tell`, then `hear`."""
        self.tell(message)
        return self.hear(timeout_s)

    def usage(self) -> Usage:
        """Processor time and memory of the child and of the processes that it started."""
        return usage_of(self.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join(_END_S)

    def _listen(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self._lines.put(line)
        self._lines.put("")


@contextmanager
def prepared(target: str, **arguments: object) -> Iterator[Child]:
    """A child that has said that it is "ready", until the block ends."""
    with Child(target, **arguments) as child:
        assert child.hear() == "ready"
        yield child


def main() -> None:
    """Run the function that the command line names."""
    module, _, name = sys.argv[1].partition(":")
    getattr(importlib.import_module(module), name)(**json.loads(sys.argv[2]))


if __name__ == "__main__":
    main()
