"""Planted bugs: each turns one promise off, and the simulator must notice within a stated number of seeds.

A mutant that survives is a hole in the checkers or in the faults. `scenario` makes the faults that it needs likely.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from crdt_bench.simulator.scenario import EVENTS_PER_STEP_MAX, Scenario, draw, with_people, with_quotas

Method = Callable[..., Any]
Patch = tuple[type[Any] | Any, str, Callable[[Method], Any]]  # where, name, from the original to the mutated


@dataclass(frozen=True, slots=True)
class Mutant:
    """One planted bug. `patches` are made from the originals, so that a mutant follows the code that it mutates."""

    name: str
    promise: str
    patches: tuple[Patch, ...]
    faults: Mapping[str, float]
    seeds_max: int = 20
    seeds_from: int = 0  # where the ordinary run begins: a seed that notices it
    steps: int = 40
    records: int = 10  # at most
    pace: int = 0  # mean microseconds between steps, instead of the drawn pace
    imports: float = 0.0
    exports: float = 0.0
    open_blocks: float = 0.0
    beside: float = 0.0
    renewals: float = 0.0
    http: float = 0.0
    people: float = 0.0
    masks: bool = False  # beside people
    quotas: bool = False
    documents_max: int = 0  # that the worker holds, instead of the drawn number
    scales: Mapping[str, int] = field(default_factory=dict)  # beside those that are drawn
    events_per_step_max: int = EVENTS_PER_STEP_MAX  # fewer show a storm sooner
    neighbours: float = 0.0  # a second way hides what is wrong with the first

    @contextmanager
    def planted(self) -> Iterator[None]:
        """The bug is there while the block runs."""
        originals = [(where, name, where.__dict__[name]) for where, name, _ in self.patches]
        try:
            for (where, name, original), (_, _, mutate) in zip(originals, self.patches, strict=True):
                setattr(where, name, mutate(original))
            yield
        finally:
            for where, name, original in originals:
                setattr(where, name, original)

    def scenario(self, seed: int) -> Scenario:
        """The scenario of a seed for this mutant: the drawn one, with the faults that it needs."""
        drawn = draw(seed, steps=self.steps)
        changed = replace(
            drawn,
            faults=dict(self.faults),
            records=min(drawn.records, self.records),
            pace=self.pace or drawn.pace,
            neighbours=self.neighbours,
            imports=self.imports,
            exports=self.exports,
            open_blocks=self.open_blocks,
            beside=self.beside,
            renewals=self.renewals,
            renews=False,
            http=self.http,
            people=0.0,
            quotas=False,
            documents_max=self.documents_max or drawn.documents_max,
            scales={**drawn.scales, **self.scales},
            events_per_step_max=self.events_per_step_max,
        )
        if self.quotas:
            return with_quotas(changed)
        return with_people(changed, self.people, masks=self.masks) if self.people else changed


def returns(value: Any) -> Callable[[Method], Method]:
    """A patch that always gives `value`, whatever was asked."""
    return lambda _: lambda *_arguments, **_named: value
