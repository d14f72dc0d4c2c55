"""Writes that leave a part of their bytes: an operation may write its files up to some byte, and no further.

The kernel then cuts the write that crosses the limit and refuses those behind it, as a disk does that is full in the
middle of a page. The limit moves through all that the operation writes, half a page at a time.
"""

import resource
import tempfile
from functools import partial
from pathlib import Path

from crdt_bench.campaign.confined import confined, each_confined
from crdt_bench.campaign.nth_calls import aftermath
from crdt_bench.campaign.nth_operations import OPERATIONS, Operation
from crdt_bench.campaign.tally import Tally
from crdt_sync.errors import CrdtSyncError

_FIRST_BYTE = 512
_STEP_BYTES = 2048
_SECONDS_MAX = 30


def run(seed: int, count: int) -> Tally:
    """`count` operations from the `seed`-th on, cut at every limit."""
    tally = Tally("short writes", "limits", seed)
    for position in range(seed, seed + count):
        every(OPERATIONS[position % len(OPERATIONS)], tally)
    return tally


def every(kind: type[Operation], tally: Tally, stride: int = 1) -> None:
    """Carry the operation out under each `stride`-th limit, and judge."""
    written = int(confined(lambda: str(_written(kind)), _SECONDS_MAX))
    limits = range(_FIRST_BYTE, written, stride * _STEP_BYTES)
    trials = [partial(_trial, kind, limit) for limit in limits]
    for limit, told in zip(limits, each_confined(trials, _SECONDS_MAX), strict=True):
        outcome, _, problem = told.partition(": ")
        tally.ran += 1
        tally.outcomes[f"{kind.name}: {outcome}"] += 1
        if problem or outcome.startswith(("killed", "ended")):
            tally.found(f"{kind.name}, at most {limit} bytes: {outcome}: {problem}")


def _written(kind: type[Operation]) -> int:
    """Bytes of the largest file after the operation."""
    with tempfile.TemporaryDirectory() as name:
        operation = kind(Path(name))
        operation.perform()
        operation.close()
        return max(path.stat().st_size for path in Path(name).rglob("*") if path.is_file())


def _trial(kind: type[Operation], limit: int) -> str:
    """What the operation did, and behind a colon what is wrong."""
    with tempfile.TemporaryDirectory() as name:
        operation = kind(Path(name))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        outcome = "succeeded"
        try:
            operation.perform()
        except CrdtSyncError as error:
            outcome = type(error).__name__
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        problem = next(filter(None, aftermath(operation, limit // _STEP_BYTES % 2 == 0)), "")
        operation.close()
        return f"{outcome}: {problem}" if problem else outcome
