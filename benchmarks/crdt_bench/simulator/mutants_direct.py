"""Mutants of devices that accept sessions: what partners push, what is edited beside it, and what is refused."""

from typing import Any

from crdt_bench.simulator.mutants import Method, Mutant, returns
from crdt_sync.replica import intake, unread
from crdt_sync.replica.partner import Partner
from crdt_sync.replica.pushed import PushedUpdates
from crdt_sync.runtime.hosting.engine import Engine

_CHAINS = 0.3


def _not_what_was_pushed(owed: Method) -> Method:
    """What is pushed is owed to all, so it names nobody to be left out."""
    return lambda replica, record, head, but: [] if but is None else owed(replica, record, head, but)


def _only_edited(_: Method) -> Method:
    return lambda _partner, events: [event.record for event in events if event.kind == "edited"]


def _commits_alone(_: Method) -> Method:
    return lambda self, batches: self._replica.store.commit(batches)


def _forgets_refusals(note: Method) -> Method:
    return lambda noted, partner, _refused, complete, *more: note(noted, partner, {}, complete, *more)


def _forgets_when_anything_came(note: Method) -> Method:
    def mutated(noted: Any, partner: bytes, refused: Any, complete: Any, *more: Any) -> Any:
        return note(noted, partner, refused, [*complete, *(noted.keys() - refused.keys())], *more)

    return mutated


DIRECT_MUTANTS = (
    Mutant(
        "pushes are not passed on",
        "what one partner pushes is owed to the others",
        ((intake, "owed", _not_what_was_pushed),),
        {},
        neighbours=_CHAINS,
        seeds_from=4,
    ),
    Mutant(
        "only edits wake sessions",
        "what one partner brings goes on to the others at once",
        ((Partner, "pushable", _only_edited),),
        {},
        neighbours=_CHAINS,
    ),
    Mutant(
        "a doubtful commit wakes nobody",
        "what a failed commit stored all the same goes on to the others",
        ((PushedUpdates, "_store", _commits_alone),),
        {"device_disk_fails": 0.3},
        60,
        steps=15,
        pace=500_000,
        neighbours=0.6,
        seeds_from=20,
    ),
    Mutant(
        "the worker's word stands",
        "pushes are integrated on what is stored by then",
        ((PushedUpdates, "commit", _commits_alone),),
        {},
        neighbours=_CHAINS,
        seeds_from=4,
    ),
    Mutant(
        "edits beside are not told",
        "those who listen to a device hear of its own edits",
        ((Engine, "written_beside", returns(None)),),
        {},
        steps=15,
        neighbours=0.1,
        seeds_from=4,
    ),
    Mutant(
        "refusals are not noted",
        "a cursor passes only what is asked for again",
        ((unread, "note", _forgets_refusals),),
        {"device_clock": 0.2},
        60,
        neighbours=_CHAINS,
    ),
    Mutant(
        "anything taken heals",
        "a record lacks what was refused of it, whatever else came",
        ((unread, "note", _forgets_when_anything_came),),
        {"device_clock": 0.2},
        60,
        neighbours=_CHAINS,
    ),
)
