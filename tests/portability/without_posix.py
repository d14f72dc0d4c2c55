"""Runs `crdt-sync` as on a system that is not POSIX.

What the standard library and other libraries need of this system they have got when the rest is taken away: only our
own code is tried. What Windows lacks is told from the documentation of Python's modules.
"""

import asyncio
import asyncio.subprocess
import importlib.abc
import io
import json
import os
import shutil  # noqa: F401
import signal
import socket
import subprocess
import sys
import tempfile  # noqa: F401
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import cbor2  # noqa: F401
import cryptography.x509  # noqa: F401
import filelock  # noqa: F401
import lmdb  # noqa: F401
import psutil  # noqa: F401
import pycrdt  # noqa: F401
import structlog  # noqa: F401

MODULES = frozenset({"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog", "posix", "curses"})
OF_OS = (
    "O_CLOEXEC O_DIRECTORY O_NOFOLLOW O_NONBLOCK O_SYNC O_DSYNC sysconf pread pwrite fchmod fchown chown lchown chroot "
    "getuid geteuid getgid getegid getgroups getpgid setsid setpgid killpg fork forkpty statvfs fstatvfs mkfifo "
    "sched_getaffinity sched_setaffinity posix_fallocate posix_fadvise sendfile getloadavg nice wait3 wait4 setuid "
    "setgid fdatasync sync readv writev memfd_create MFD_CLOEXEC"
)
OF_SIGNAL = (
    "SIGHUP SIGUSR1 SIGUSR2 SIGALRM SIGPIPE SIGQUIT SIGTSTP SIGCONT SIGSTOP SIGWINCH setitimer alarm pause "
    "pthread_sigmask pthread_kill sigwait siginterrupt"
)


class _Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def take_away() -> None:
    """Everything that only POSIX has."""
    for name in MODULES:
        sys.modules.pop(name, None)
    sys.meta_path.insert(0, _Absent())
    for name in OF_OS.split():
        if hasattr(os, name):
            delattr(os, name)
    for name in OF_SIGNAL.split():
        if hasattr(signal, name):
            delattr(signal, name)
    del asyncio.start_unix_server, asyncio.open_unix_connection
    del socket.SO_PEERCRED
    opened, started = os.open, subprocess.Popen.__init__

    def open_file(path: Any, flags: int, mode: int = 0o777, **options: Any) -> int:
        if not isinstance(path, int) and Path(os.fsdecode(path)).is_dir():
            raise PermissionError(13, "Permission denied", os.fsdecode(path))
        return opened(path, flags, mode, **options)

    def start(self: Any, *arguments: Any, **options: Any) -> None:
        assert not options.get("pass_fds"), "Windows passes no descriptors"
        assert options.get("preexec_fn") is None
        started(self, *arguments, **options)

    def no_handler(self: object, *_: object) -> None:
        raise NotImplementedError

    os.open = open_file
    subprocess.Popen.__init__ = start  # type: ignore[method-assign]
    asyncio.SelectorEventLoop.add_signal_handler = no_handler  # type: ignore[method-assign,assignment]


def main() -> None:
    """Run the commands of standard input, a list of argument lists; one line for each: its exit code and its output."""
    commands = json.load(sys.stdin)
    take_away()
    from crdt_sync.cli.main import main as command  # noqa: PLC0415

    for arguments in commands:
        with redirect_stdout(io.StringIO()) as said, redirect_stderr(said):
            code = command(arguments)
        print(json.dumps([code, said.getvalue()]))


if __name__ == "__main__":
    main()
