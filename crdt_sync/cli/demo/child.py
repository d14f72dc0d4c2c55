"""A process of the demo that cannot outlive it."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TypeAlias

_PR_SET_PDEATHSIG = 1
_KILL_WAIT_S = 10.0
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


Process: TypeAlias = "subprocess.Popen[bytes]"


def start(arguments: Sequence[str], log: Path, environment: Mapping[str, str], *, piped: bool = False) -> Process:
    """Start `arguments`, its complaints going to `log`; with `piped` we write to it and read from it.

    It gets a session of its own, so that Ctrl-C reaches the demo alone, which then ends it in order.
    """
    with log.open("ab") as complaints:
        return subprocess.Popen(
            list(arguments),
            stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
            stdout=subprocess.PIPE if piped else complaints,
            stderr=complaints,
            env=clean_environment(environment),
            bufsize=0,
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - no thread of ours runs while children are started
        )


def end(process: Process, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal and wait for the end; SIGKILL follows where that takes too long."""
    with suppress(ProcessLookupError):
        process.send_signal(number)
    try:
        process.wait(_KILL_WAIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
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


def _die_with_parent() -> None:
    """Runs in the child: even when the demo is killed with SIGKILL, nothing stays behind."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
