"""Every n: the n-th call of an operation into lmdb or pycrdt raises, and then nothing acknowledged is lost."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count as numbers
from pathlib import Path

from crdt_bench.campaign.nth_call import ERRORS, Hook, hooked
from crdt_bench.campaign.nth_operations import OPERATIONS, Operation
from crdt_bench.campaign.tally import Tally

_MEMORY_DISK = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class Fault:
    """Where an operation fails: at which call, with which of the library's errors, before or after its effect."""

    operation: type[Operation]
    library: str
    error: int
    after: bool

    def __str__(self) -> str:
        return f"{self.operation.name}, {self.library} error {self.error} {'after' if self.after else 'before'} call"


def faults() -> list[Fault]:
    """Every kind of fault in every operation."""
    return [
        Fault(operation, library, error, after)
        for operation in OPERATIONS
        for library, errors in ERRORS.items()
        for error in range(len(errors))
        for after in (False, True)
    ]


def run(seed: int, count: int) -> Tally:
    """`count` kinds of fault from the `seed`-th on, each at every `n`."""
    tally = Tally("n-th call", "calls that raised", seed)
    kinds = faults()
    for position in range(seed, seed + count):
        every(kinds[position % len(kinds)], 1, tally)
    return tally


def every(fault: Fault, stride: int, tally: Tally) -> None:
    """Fail each `stride`-th call in turn, until the operation ends before the call comes."""
    for number in numbers(1, stride):
        raised, problem = _attempt(fault, number)
        if not raised:
            return
        tally.ran += 1
        tally.outcomes[fault.operation.name] += 1
        if problem:
            tally.found(f"{fault} {number} ({raised}): {problem}")


def _attempt(fault: Fault, number: int) -> tuple[str, str]:
    """Which call raised (nothing: there are not so many), and what was wrong afterwards (nothing: all is well)."""
    hook = Hook(fault.library, number, ERRORS[fault.library][fault.error], fault.after)
    place = _MEMORY_DISK if _MEMORY_DISK.is_dir() else None
    with tempfile.TemporaryDirectory(dir=place) as name:
        operation = fault.operation(Path(name))
        told, raised = False, ""
        try:
            with hooked(hook):
                operation.perform()
            told = True
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            raised = f"{type(error).__name__}: {error}"
        if not hook.raised:
            operation.close()
            assert told, f"{fault}: without a fault it raised {raised}"
            return "", ""
        for problem in aftermath(operation, number % 2 == 0):
            if problem:
                operation.close()
                return hook.raised, f"{problem} (the operation {'succeeded' if told else 'raised'})"
        operation.close()
    return hook.raised, ""


def aftermath(operation: Operation, restart: bool, retried: bool = True) -> Iterator[str]:
    """The same process goes on, or starts again: acknowledged data is there, a retry succeeds, all is sound."""
    retry = [
        ("a retry fails", operation.perform),
        ("the retry is not complete", lambda: operation.check(True)),
        ("it does not open after the retry", operation.reopen),
        ("after the retry and opening again", lambda: operation.check(True)),
    ]
    steps = [
        *([("it does not open again", operation.reopen)] if restart else []),
        *(retry if retried else []),
        ("it does not verify", operation.verify),
    ]
    yield _problem("something acknowledged is lost", lambda: operation.check(False))
    for what, step in steps:
        yield _problem(what, step)


def _problem(what: str, step: object) -> str:
    try:
        step()  # type: ignore[operator]
    except Exception as error:
        return f"{what}: {type(error).__name__}: {error}"
    return ""
