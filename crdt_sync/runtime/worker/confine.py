"""Limits that the worker process sets upon itself before it reads a byte."""

import ctypes
import signal
import sys

from crdt_sync import limits

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4


def confine(memory_bytes_max: int = limits.WORKER_MEMORY_BYTES_MAX) -> None:
    """Bound memory, forbid files and core dumps, ignore Ctrl-C, and die when the parent dies.

    The death signal belongs to the parent's thread that started this process; where the kernel has no such
    thing, the end of standard input ends the worker a moment later. Windows bounds neither memory nor files.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes_max, memory_bytes_max))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would write customers' data to the disk
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None, use_errno=True)
    library.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
