"""The process below strace: carries out an operation in a fork, of which one system call fails, and judges.

python -m crdt_bench.campaign.nth_syscall_child CALL AT
"""

import importlib
import json
import mmap
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from crdt_bench.campaign.nth_calls import aftermath
from crdt_bench.campaign.nth_operations import Operation
from crdt_sync.errors import CrdtSyncError

_PLACE = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
_MAY_RAISE = (CrdtSyncError, MemoryError)  # which Python raises where memory cannot be had


def _open_and_close() -> None:
    os.close(os.open(os.devnull, os.O_RDONLY))


def _idle_calls(file: int) -> dict[str, Callable[[], object]]:
    """For each system call, one that does nothing: what is returned then is 0 or nothing."""
    return {
        "pwrite64": lambda: os.pwrite(file, b"", 0),
        "writev": lambda: os.writev(file, [b""]),
        "write": lambda: os.write(file, b""),
        "fdatasync": lambda: os.fdatasync(file),
        "fsync": lambda: os.fsync(file),
        "ftruncate": lambda: os.ftruncate(file, 0),
        "openat": _open_and_close,
        "mmap": lambda: mmap.mmap(-1, mmap.PAGESIZE).close(),
    }


class Counter:
    """Brings a thread's count of the call to where the operation's n-th is the one that fails."""

    def __init__(self, call: str, at: int) -> None:
        self._idle = _idle_calls(os.memfd_create("idle"))[call]
        self._at = at

    def approach(self, number: int) -> bool:
        """From here on, the `number`-th call of this thread fails; False if memory was asked for and it came early."""
        return not any(self._fails() for _ in range(self._at - number))

    def skip(self) -> None:
        """Use up the failure of a thread in which nothing is to fail."""
        self._fails()

    def left(self, number: int) -> bool:
        """Use up the failure if it has not come yet; whether that was so."""
        return any(self._fails() for _ in range(number))

    def _fails(self) -> bool:
        try:
            return bool(self._idle())
        except OSError:
            return True


def main() -> None:
    """Answer each order, a line `[module, operation, n]`, with a line of what came of it."""
    counter = Counter(sys.argv[1], int(sys.argv[2]))
    native = sys.argv[1] == "write"
    warm: set[type[Operation]] = set()
    for line in sys.stdin:
        module, name, number = json.loads(line)
        kind: type[Operation] = getattr(importlib.import_module(module), name)
        if kind not in warm and not native:
            _in_thread(partial(_warm_up, kind))
            warm.add(kind)
        if os.fork():
            os.wait()
            continue
        if native:
            counter.skip()
        answer = _carry_out(kind, number, counter, native)
        os.write(1, json.dumps(answer).encode() + b"\n")
        os._exit(0)


def _warm_up(kind: type[Operation]) -> None:
    """What is imported late is imported now."""
    with tempfile.TemporaryDirectory(dir=_PLACE) as name:
        warm = kind(Path(name))
        warm.perform()
        warm.check(True)
        warm.close()


def _carry_out(kind: type[Operation], number: int, counter: Counter, native: bool) -> dict[str, object]:
    with tempfile.TemporaryDirectory(dir=_PLACE) as name:
        operation = kind(Path(name))
        trial = _Trial(operation, number, counter, native)
        _in_thread(trial.run)
        if trial.early or trial.unused:
            operation.close()
            return {"injected": False, "early": trial.early}
        retried = not native  # in whose next thread the first call would fail again
        problem = trial.untyped or next(filter(None, aftermath(operation, number % 2 == 0, retried)), "")
        operation.close()
    return {"raised": trial.raised, "problem": problem and f"{problem} (it {trial.raised})"}


class _Trial:
    """The operation carried out with the failure, in a thread of its own, whose calls are counted from one."""

    def __init__(self, operation: Operation, number: int, counter: Counter, native: bool) -> None:
        self._operation = operation
        self._number = number
        self._counter = counter
        self._native = native
        self.raised = "succeeded"
        self.untyped = ""
        self.unused = False  # the operation ended before its call number `number`
        self.early = False  # the call came before the operation began

    def run(self) -> None:
        """Do it; see the attributes."""
        if self._native:
            self._counter.skip()
        elif self._operation.threaded:
            self._approach_in_next_thread()
        else:
            self.early = not self._counter.approach(self._number)
        try:
            self._operation.perform()
        except _MAY_RAISE as error:
            self.raised = type(error).__name__
        except Exception as error:
            self.raised = type(error).__name__
            self.untyped = f"an error that is none of ours: {self.raised}: {error}"
        if not self._native and not self._operation.threaded:
            self.unused = self._counter.left(self._number)

    def _approach_in_next_thread(self) -> None:
        run: Any = threading.Thread.run

        def approached(thread: threading.Thread) -> None:
            threading.Thread.run = run  # type: ignore[method-assign]
            self.early = not self._counter.approach(self._number)
            run(thread)
            self.unused = self._counter.left(self._number)

        threading.Thread.run = approached  # type: ignore[method-assign,assignment]


def _in_thread(work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


if __name__ == "__main__":
    main()
