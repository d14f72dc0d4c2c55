"""Mutants of renewed records: what is joined, who is told of it, and under which ids people go on."""

from collections.abc import Sequence
from typing import Any

from crdt_bench.simulator.mutants import Method, Mutant
from crdt_sync.protocol.hub.pipeline import Pipeline
from crdt_sync.records.gate import loaded
from crdt_sync.records.lineages import dots
from crdt_sync.records.lineages.dots import Dots
from crdt_sync.records.lineages.lineage import lineage_of
from crdt_sync.records.lineages.provenance import Lineage
from crdt_sync.replica.intake import Intake
from crdt_sync.verdicts import VerdictCode


def _the_later(_: Method) -> Method:
    return lambda one, other: max(one, other, key=lambda each: lineage_of(each).rank)


def _kept_alone(_: Method) -> Method:
    return lambda kept, _others, _known: list(kept)


def _told_to_others_only(take: Method) -> Method:
    def mutated(self: Any, *given: Any, **named: Any) -> Any:
        taken = take(self, *given, **named)
        self.carried = False
        return taken

    return mutated


def _passed_by_its_sender(committed: Method) -> Method:
    def mutated(self: Any, number: int, seqs: Sequence[Sequence[int]], now: int) -> None:
        batch = self._committing.get(number)
        for parts, numbers in zip(batch.stored, seqs, strict=True) if batch else ():
            for part, verdict in () if parts else batch.riders:
                if verdict.code is VerdictCode.ACCEPTED and (sender := self._senders.get(part.session)):
                    sender.pushes[part.number - sender.pushes[0].number].seqs.extend(numbers)
        committed(self, number, seqs, now)

    return mutated


def _without_deletions(dead: Method) -> Method:
    return lambda self: {} if self.known else dead(self)


def _the_same(_: Method) -> Method:
    return lambda _, writer: writer


RENEWAL_MUTANTS = (
    Mutant(
        "of two lineages one is dropped",
        "what was edited in an old lineage is carried over",
        ((loaded, "carried", _the_later),),
        {},
        renewals=0.4,
    ),
    Mutant(
        "what only the earlier lineage has is dropped",
        "lists and values of both lineages are joined",
        ((dots, "_placed", _kept_alone),),
        {},
        renewals=0.4,
    ),
    Mutant(
        "what was deleted comes back with the old lineage",
        "what was deleted stays deleted in either lineage",
        ((Dots, "dead_ranges", _without_deletions),),
        {},
        renewals=0.4,
        seeds_from=2,
    ),
    Mutant(
        "what was joined is not sent back",
        "both sides come to hold the join",
        ((Intake, "take", _told_to_others_only),),
        {},
        renewals=0.4,
    ),
    Mutant(
        "the sender's cursor passes what its push became",
        "a cursor stands after what the device holds",
        ((Pipeline, "committed", _passed_by_its_sender),),
        {},
        renewals=0.4,
    ),
    Mutant(
        "people go on under an id that the cover names",
        "who wrote in an earlier lineage writes nothing natively",
        ((Lineage, "following", _the_same),),
        {},
        renewals=0.4,
    ),
)
