"""Single updates with a policy in force, beside the same without one, in the same rounds."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from crdt_bench.child import Child, prepared
from crdt_bench.experiments.throughput import Rig, Round
from crdt_bench.results import Measurement, Outcome, Target
from crdt_bench.statistics import ratios
from crdt_bench.workspace import workspace

NAME = "granted"
POLICY = """
[[role.sales.grant]]
collection = "customers"
where = "region == \\"\\" or stage == \\"lead\\""
read = ["*"]
write = ["*"]
operations = ["create", "edit"]

[user.bench]
role = "sales"
"""
_SIDES = ("without a policy", "with a policy", "with a policy and the audit log")


@dataclass(frozen=True, slots=True)
class Sizes:
    """Frames are per connection and round; `window` is how many of them may be unanswered."""

    connections: int = 20
    frames: int = 600
    records: int = 20
    window: int = 32
    rounds: int = 7


SMALL = Sizes(connections=3, frames=20, records=5, rounds=2)


@contextmanager
def rigs(sizes: Sizes) -> Iterator[list[Rig]]:
    """An engine without a policy, one with, and one that keeps an audit log as well."""
    with ExitStack() as stack:
        folder = stack.enter_context(workspace())
        found = []
        for number, _side in enumerate(_SIDES):
            server = stack.enter_context(
                Child(
                    "crdt_bench.servers:engine",
                    data=str(folder / f"store-{number}"),
                    policy=POLICY if number else None,
                    audited=number > 1,
                )
            )
            load = prepared(
                "crdt_bench.load.flood:pushed",
                port=server.hear(),
                connections=sizes.connections,
                frames=sizes.frames,
                updates=1,
                records=sizes.records,
                window=sizes.window,
                rounds=sizes.rounds + 1,
                wall_clock=time.time_ns() // 1000,
            )
            found.append(Rig(server, stack.enter_context(load), sizes.connections * sizes.frames))
        yield found


def run(sizes: Sizes) -> list[Outcome]:
    """A round that makes the records, and then as many of each in turn."""
    later: list[list[Round]] = [[] for _ in _SIDES]
    with rigs(sizes) as sides:
        making = [side.round() for side in sides]
        for _ in range(sizes.rounds):
            for rounds, side in zip(later, sides, strict=True):
                rounds.append(side.round())
    outcomes: list[Outcome] = []
    for what, rounds in zip(_SIDES, later, strict=True):
        outcomes += [
            Measurement(NAME, f"updates {what}", "updates/s", tuple(one.rate for one in rounds)),
            Measurement(NAME, f"updates {what}: processor time", "µs", tuple(one.processor_us for one in rounds)),
        ]
    plain, at_first = later[0], making[0]
    for what, rounds, first in zip(_SIDES[1:], later[1:], making[1:], strict=True):
        rate = tuple(ratios([one.rate for one in rounds], [one.rate for one in plain]))
        spent = tuple(_spared(one, other) for one, other in zip(rounds, plain, strict=True))
        outcomes += [
            Measurement(NAME, f"updates {what}, over those without", "", rate, Target("at least", 0.8)),
            Measurement(NAME, f"the same by processor time, {what}", "", spent),
            Measurement(NAME, f"the same, while records are made, {what}", "", (_spared(first, at_first),)),
        ]
    return outcomes


def _spared(one: Round, other: Round) -> float:
    """The updates of a round for each of the other one in the same processor time, which is told in hundredths of a
    second.
    """
    return other.processor_us / one.processor_us if one.processor_us else 0.0
