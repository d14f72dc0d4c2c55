"""Processor time and memory of a process and its descendants, from /proc."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class Usage:
    """Sums over a process and its descendants. A copy of a process that is about to start another program, which has
    nearly all of its memory from it, is none of these.

    `processor_s` is user and system time; `resident_bytes` counts pages that several of them share once for each;
    `private_bytes` is the part that is not backed by files.
    """

    processor_s: float
    resident_bytes: int
    private_bytes: int


def usage_of(pid: int) -> Usage:
    """What the process and its descendants use. Those that end meanwhile are left out."""
    processor = 0.0
    resident = private = 0
    for member in descendants(pid):
        try:
            stat = Path(f"/proc/{member}/stat").read_bytes().rpartition(b") ")[2].split()
            status = Path(f"/proc/{member}/status").read_text("utf-8")
        except OSError:
            continue
        processor += (int(stat[11]) + int(stat[12])) / _TICKS_PER_SECOND
        resident += _field(status, "VmRSS")
        private += _field(status, "RssAnon")
    return Usage(processor, resident, private)


def descendants(pid: int) -> Iterator[int]:
    """`pid` and every process below it."""
    command = _command(pid)
    yield pid
    try:
        threads = sorted(Path(f"/proc/{pid}/task").iterdir())
        children = " ".join((thread / "children").read_text("ascii") for thread in threads)
    except OSError:
        return
    for child in map(int, children.split()):
        if not command or _command(child) != command:
            yield from descendants(child)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _field(status: str, name: str) -> int:
    for line in status.splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * KIB
    return 0


def usage_of_process() -> Usage:
    """What this process uses, without its descendants."""
    status = Path("/proc/self/status").read_text("utf-8")
    return Usage(time.process_time(), _field(status, "VmRSS"), _field(status, "RssAnon"))
