"""Mutants of quotas, seen by what a space stores in a day, and by what is never stored."""

from typing import Any

from crdt_bench.simulator.mutants import Method, Mutant, returns
from crdt_sync.protocol.pushing import Pushing
from crdt_sync.protocol.quotas import Quotas
from crdt_sync.replica import partner
from crdt_sync.verdicts import VerdictCode

_DIES = {"relay_crash": 0.1}


def _waits_for_what_was_edited_meanwhile(push_again: Method) -> Method:
    def mutated(self: Any, now: int) -> None:
        held = self._held_until is not None and now >= self._held_until
        push_again(self, now)
        if held:
            self._ready, self._scan = {}, None

    return mutated


QUOTA_MUTANTS = (
    Mutant(
        "a restart gives everybody another day",
        "what was counted goes with the commit of what it counts",
        ((Quotas, "restore", returns(None)),),
        _DIES,
        quotas=True,
        steps=60,
        pace=200_000,
    ),
    Mutant(
        "what was edited while the partner took nothing is not sent",
        "a device sends all that waits once the partner takes more",
        ((Pushing, "push_again", _waits_for_what_was_edited_meanwhile),),
        {},
        quotas=True,
        seeds_from=1,
        steps=60,
        pace=5_000,
    ),
    Mutant(
        "what a quota refused is not offered again",
        "a device keeps what a quota refuses, and brings it later",
        ((partner, "_OFFERED_AGAIN", lambda _: {VerdictCode.CLOCK_AHEAD.value}),),
        {},
        quotas=True,
        records=30,
        pace=200_000,
    ),
)
