"""A filter of system calls that the worker puts upon itself: Linux, on x86-64 and AArch64.

Whatever is not listed fails with `EPERM`: no file is opened, no connection made, no program or thread started. What is
allowed is listed, as the kernel gets new calls each year. libseccomp would write the same sixty instructions, and is
not installed everywhere.
"""

import ctypes
import errno
import platform
import struct
from typing import Final

_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2
_LOAD: Final = 0x20  # a word of the description of the call
_IF_EQUAL: Final = 0x15
_RETURN: Final = 0x06
_NUMBER, _ARCHITECTURE = 0, 4  # offsets in that description
_ALLOW: Final = 0x7FFF_0000
_REFUSE: Final = 0x0005_0000 | errno.EPERM
_INSTRUCTION: Final = struct.Struct("=HBBI")

_ARCHITECTURES: Final = {"x86_64": (0, 0xC000_003E), "aarch64": (1, 0xC000_00B7)}  # column below, and its name
_CALLS: Final = {  # numbers on x86-64 and AArch64: the two pipes, memory, the clock, and how a process ends
    "read": (0, 63),
    "write": (1, 64),
    "writev": (20, 66),
    "close": (3, 57),
    "fstat": (5, 80),
    "lseek": (8, 62),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "tgkill": (234, 131),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "futex": (202, 98),
    "sched_yield": (24, 124),
    "restart_syscall": (219, 128),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "gettimeofday": (96, 169),
    "getrusage": (98, 165),
    "getrandom": (318, 278),
    "exit": (60, 93),
    "exit_group": (231, 94),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def instructions(machine: str) -> bytes:
    """The filter for a machine, as `platform.machine` calls it. Raises `KeyError` where there is none."""
    column, architecture = _ARCHITECTURES[machine]
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_IF_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _REFUSE),
        (_LOAD, 0, 0, _NUMBER),
    ]
    for numbers in _CALLS.values():
        steps += [(_IF_EQUAL, 0, 1, numbers[column]), (_RETURN, 0, 0, _ALLOW)]
    steps.append((_RETURN, 0, 0, _REFUSE))
    return b"".join(_INSTRUCTION.pack(*step) for step in steps)


def filter_calls() -> bool:
    """Put the filter upon this process, for good. Returns whether there is one now."""
    try:
        program = instructions(platform.machine())
        library = ctypes.CDLL(None, use_errno=True)
        prctl = library.prctl
    except (KeyError, OSError, AttributeError):
        return False
    prctl.argtypes = (ctypes.c_int, *(ctypes.c_ulong,) * 4)
    loaded = _Program(len(program) // _INSTRUCTION.size, program)
    address = ctypes.addressof(loaded)
    return bool(
        prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
        and prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, address, 0, 0) == 0
    )
