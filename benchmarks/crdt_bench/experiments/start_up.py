"""What a command costs that does little: processor time of its process, beside an owner of the store and alone."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from crdt_bench.results import Measurement, Outcome, Target
from crdt_bench.workspace import workspace
from crdt_sync import Replica, bundled_schema

NAME = "start-up"
_RECORD = "customers/us"
_COMMANDS = {
    "get": ("get", _RECORD),
    "get --json": ("get", _RECORD, "--json"),
    "find --json": ("find", "Us", "--json"),
    "status --json": ("status", "--json"),
    "set": ("set", _RECORD, "visits+=1"),
}
_TARGET = Target("at most", 150.0)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Which commands, and how often each is run: beside the owner, alone, and a bare interpreter, in turn."""

    commands: tuple[str, ...] = tuple(_COMMANDS)
    rounds: int = 15


SMALL = Sizes(commands=("get",), rounds=1)


def run(sizes: Sizes) -> list[Outcome]:
    """Each run is a process of its own; byte code is there from a first round that is not counted."""
    samples: dict[str, list[float]] = {}
    commands = {name: _COMMANDS[name] for name in sizes.commands}
    with workspace() as folder:
        store, cache = folder / "store", folder / "byte code"
        customers = bundled_schema("customers")
        with Replica.create(store, "bench", [customers]) as replica, replica.edit(_RECORD, create=True) as customer:
            customer["name"] = "Us"
        for number in range(-1, sizes.rounds):
            found = {"a bare interpreter": _cost(cache, "-c", "pass")}
            found |= {f"{name}, alone": _command(cache, store, words) for name, words in commands.items()}
            with Replica.open(store):
                found |= {f"{name}, beside an owner": _command(cache, store, words) for name, words in commands.items()}
            for metric, cost in found.items() if number >= 0 else ():
                samples.setdefault(metric, []).append(cost)
    return [
        Measurement(NAME, metric, "ms", tuple(costs), _TARGET if metric.endswith("owner") else None)
        for metric, costs in samples.items()
    ]


def _command(cache: Path, store: Path, words: tuple[str, ...]) -> float:
    return _cost(cache, "-m", "crdt_sync", "--store", str(store), *words)


def _cost(cache: Path, *arguments: str) -> float:
    """Milliseconds of processor time, user's and system's, of an interpreter with these arguments."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(
        [sys.executable, *arguments], env={**kept, "PYTHONPYCACHEPREFIX": str(cache)}, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise AssertionError(f"{' '.join(arguments)} ended with {process.returncode}")
    return (usage.ru_utime + usage.ru_stime) * 1000
