"""Mutants of renewed records: what is joined, who is told of it, and under which ids people go on."""

from typing import Any

from crdt_bench.simulator.mutants import Method, Mutant
from crdt_sync.protocol.hub import pipeline
from crdt_sync.records.gate import integrate
from crdt_sync.records.lineages import dots
from crdt_sync.records.lineages.dots import Dots
from crdt_sync.records.lineages.lineage import lineage_of
from crdt_sync.records.lineages.provenance import Lineage
from crdt_sync.replica.intake import Intake


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


def _passed_by_its_sender(batch: Method) -> Method:
    return lambda *given: batch(*given[:4], tuple(False for _ in given[4])) if len(given) > 4 else batch(*given)


def _without_deletions(dead: Method) -> Method:
    return lambda self: {} if self.known else dead(self)


def _the_same(_: Method) -> Method:
    return lambda _, writer: writer


RENEWAL_MUTANTS = (
    Mutant(
        "of two lineages one is dropped",
        "what was edited in an old lineage is carried over",
        ((integrate, "carried", _the_later),),
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
        ((pipeline, "_Batch", _passed_by_its_sender),),
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
