"""A process of the demo that cannot outlive it."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TypeAlias

INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1
_KILL_WAIT_S = 10.0
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


Process: TypeAlias = "subprocess.Popen[bytes]"
_running: set[Process] = set()


def start(arguments: Sequence[str], log: Path, environment: Mapping[str, str], *, piped: bool = False) -> Process:
    """Start `arguments`, its complaints going to `log`; with `piped` we write to it and read from it.

    It gets a session of its own, so that Ctrl-C reaches the demo alone, which then ends it in order. No signal comes
    between its start and its place in `_running`, so that `end_all` misses none.
    """
    with log.open("ab") as complaints, _held_back(INTERRUPTIONS):
        process = subprocess.Popen(
            list(arguments),
            stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
            stdout=subprocess.PIPE if piped else complaints,
            stderr=complaints,
            env=clean_environment(environment),
            bufsize=0,
            start_new_session=True,
            preexec_fn=_prepare,  # noqa: PLW1509 - no thread of ours runs while children are started
        )
        _running.add(process)
    return process


def end_all() -> None:
    """End every process that was started and still runs."""
    for process in list(_running):
        end(process)


def end(process: Process, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal and wait for the end; SIGKILL follows where that takes too long."""
    with suppress(ProcessLookupError):
        process.send_signal(number)
    try:
        process.wait(_KILL_WAIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _running.discard(process)
    for stream in (process.stdin, process.stdout):
        _close(stream)


def last_words(log: Path) -> str:
    """The last line that a process complained with."""
    with suppress(OSError):
        lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
        return lines[-1].strip()[:300] if lines else ""
    return ""


def clean_environment(more: Mapping[str, str]) -> dict[str, str]:
    """The environment without settings of the user's own stores and relays."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("CRDT_SYNC_", "CRDT_RELAY_"))}
    return {**ours, **more}


def _close(stream: IO[bytes] | None) -> None:
    if stream is not None:
        with suppress(OSError):
            stream.close()


@contextmanager
def _held_back(numbers: Iterable[signal.Signals]) -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _prepare() -> None:
    """Runs in the child: it hears signals, and even when the demo is killed with SIGKILL, it does not stay behind."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTIONS)
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
