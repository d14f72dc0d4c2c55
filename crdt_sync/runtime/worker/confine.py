"""Limits that the worker process sets upon itself before it reads a byte."""

import contextlib
import ctypes
import os
import signal
import sys

from crdt_sync import limits
from crdt_sync.runtime.worker.seccomp import filter_calls

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4


def confine(memory_bytes_max: int = limits.WORKER_MEMORY_BYTES_MAX) -> list[str]:
    """Bound memory, forbid files and core dumps, ignore Ctrl-C, and die when the parent dies.

    The death signal belongs to the parent's thread that started this process; where the kernel has no such
    thing, the end of standard input ends the worker a moment later. Windows bounds neither memory nor files.
    Returns what is not to be had here.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ImportError:
        return ["memory"]
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes_max, memory_bytes_max))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would write customers' data to the disk
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if sys.platform == "linux":
        library = ctypes.CDLL(None, use_errno=True)
        library.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    return []


def keep_only(descriptor: int | None) -> None:
    """Close all files but the standard streams and that one.

    LMDB leaves a descriptor of its data file inheritable, and event loops that start processes by themselves, as
    uvloop does, pass on whatever is: a worker could map the store, and write to it.
    """
    if not hasattr(os, "sysconf"):  # Windows passes on nothing that it was not told to
        return
    try:
        opened = {int(name) for name in os.listdir("/dev/fd")}
    except OSError:  # it is mounted nowhere; where the system closes one after the other, a million take a second
        first = 3 if descriptor is None else descriptor + 1
        os.closerange(3, first - 1)
        os.closerange(first, os.sysconf("SC_OPEN_MAX"))
        return
    for each in opened - {0, 1, 2, descriptor}:
        with contextlib.suppress(OSError):  # that of the list itself is closed
            os.close(each)


def seal() -> list[str]:
    """Open, connect and start nothing any more: what is open now is all that there will be. Returns what is missing."""
    with contextlib.suppress(ImportError):
        import resource  # noqa: PLC0415 - Windows has none

        resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))  # no further descriptor, where there is no filter either
    return [] if filter_calls() else ["system calls"]
