"""Python processes that begin with everything imported: forked from one that did that once for all tests of a run.

Most of what a process of a test costs is its imports, half a second of a processor. What is tested of a start itself,
of a command line or of memory needs a process as people start it.
"""

import importlib
import multiprocessing
import os
import subprocess
import sys
from multiprocessing import reduction
from typing import IO, Any

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    ["tests.forks", "tests.replica.owner.program", "crdt_bench.child", "crdt_relay.running", "crdt_relay.settings"]
)


class Forked:
    """What `subprocess.Popen` is for `python -m MODULE ARGUMENTS`, with text on both pipes, where it is forked."""

    def __init__(self, module: str, *arguments: str) -> None:
        taken, given = os.pipe(), os.pipe()
        context = (module, arguments, dict(os.environ), os.getcwd())
        ends = tuple(_Descriptor(number) for number in (taken[0], given[1], 2))
        self._process = _SERVER.Process(target=_main, args=(context, ends))
        self._process.start()
        os.close(taken[0])
        os.close(given[1])
        self.stdin: IO[str] = os.fdopen(taken[1], "w", encoding="utf-8")
        self.stdout: IO[str] = os.fdopen(given[0], encoding="utf-8")
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; the exit code. Raises `subprocess.TimeoutExpired`."""
        self._process.join(timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return code

    def kill(self) -> None:
        """End it at once, where it has not ended."""
        self._process.kill()


class _Descriptor:
    """A file descriptor that is handed to the process that is begun, and is a number there."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return _detached, (reduction.DupFd(self._number),)


def _detached(duplicate: Any) -> int:
    number: int = duplicate.detach()
    return number


def _main(context: tuple[str, tuple[str, ...], dict[str, str], str], ends: tuple[int, int, int]) -> None:
    """Be that program, on these ends."""
    module, arguments, environment, folder = context
    for number, end in enumerate(ends):
        os.dup2(end, number)
        os.close(end)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = [module, *arguments]
    importlib.import_module(module).main()
    sys.stdout.flush()
