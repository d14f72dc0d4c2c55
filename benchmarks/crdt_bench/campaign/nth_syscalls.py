"""Every n: the n-th system call of one kind in an operation fails below the libraries, injected by strace.

One strace serves one kind of failure: it fails the call number `at` of each thread, and counts the calls of each
thread from one. A thread makes `at - n` calls that do nothing before the operation, so that its n-th fails.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count as numbers
from pathlib import Path
from typing import IO, Any

from crdt_bench.campaign.nth_operations import OPERATIONS, Copy, Operation
from crdt_bench.campaign.tally import Tally

_AT = 400  # more calls of one kind than any operation makes with its preparation
_AT_OF_IMPORTS = 6000  # more than starting Python and importing everything makes
_ANSWER_BYTES_MAX = 1 << 16


@dataclass(frozen=True, slots=True)
class Failure:
    """How a system call fails: strace's words for it. `native`: in the thread of LMDB's that copies."""

    call: str
    injection: str
    native: bool = False

    def __str__(self) -> str:
        return f"{self.call} {self.injection}"


# A short write returns fewer bytes than were asked for. LMDB goes on with the rest only in a copy, where 0 bytes are
# the one answer that strace can give without telling a lie about the others.
FAILURES: tuple[Failure, ...] = (
    *(Failure("pwrite64", how) for how in ("error=EIO", "error=ENOSPC", "retval=7")),
    *(Failure("writev", how) for how in ("error=EIO", "error=ENOSPC", "retval=512")),
    *(Failure("fdatasync", how) for how in ("error=EIO", "error=ENOSPC")),
    *(Failure("fsync", how) for how in ("error=EIO", "error=ENOSPC")),
    *(Failure("openat", how) for how in ("error=EIO", "error=ENOSPC", "error=EMFILE")),
    *(Failure("ftruncate", how) for how in ("error=EIO", "error=ENOSPC")),
    *(Failure("mmap", how) for how in ("error=ENOMEM",)),
    *(Failure("write", how, native=True) for how in ("error=EIO", "error=ENOSPC", "retval=0")),
)


def missing() -> str:
    """Why no system call can be made to fail here, or nothing."""
    strace = shutil.which("strace")
    if strace is None:
        return "strace is not installed"
    probe = subprocess.run([strace, "-f", "-o", "/dev/null", "true"], capture_output=True, check=False)
    return "strace may trace nothing here: ptrace is forbidden" if probe.returncode else ""


def run(seed: int, count: int) -> Tally:
    """`count` kinds of failure from the `seed`-th on, in every operation at every `n`."""
    tally = Tally("n-th system call", "calls that failed", seed, skipped=missing())
    if not tally.skipped:
        for position in range(seed, seed + count):
            every(FAILURES[position % len(FAILURES)], OPERATIONS, 1, tally)
    return tally


def every(failure: Failure, operations: tuple[type[Operation], ...], stride: int, tally: Tally) -> None:
    """Fail each `stride`-th call of each operation in turn, until it ends before the call comes."""
    with _tracer(failure) as (orders, answers):
        for operation in operations:
            if failure.native and operation is not Copy:
                continue
            for number in (1,) if failure.native else numbers(1, stride):
                orders.write(json.dumps([operation.__module__, operation.__name__, number]) + "\n")
                orders.flush()
                answer: dict[str, Any] = json.loads(answers.readline(_ANSWER_BYTES_MAX) or '{"problem": "it died"}')
                if answer.get("early"):
                    continue
                if not answer.get("injected", True):
                    break
                tally.ran += 1
                tally.outcomes[f"{operation.name}: {answer.get('raised', 'died')}"] += 1
                if answer["problem"]:
                    tally.found(f"{failure}, call {number} of {operation.name}: {answer['problem']}")


@contextmanager
def _tracer(failure: Failure) -> Iterator[tuple[IO[str], IO[str]]]:
    at = 1 if failure.native else _AT_OF_IMPORTS if failure.call in {"openat", "mmap"} else _AT
    process = subprocess.Popen(
        [
            *("strace", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", f"trace={failure.call}"),
            *("-e", f"inject={failure.call}:{failure.injection}:when={at}"),
            *(sys.executable, "-m", "crdt_bench.campaign.nth_syscall_child", failure.call, str(at)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdin, process.stdout
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()
