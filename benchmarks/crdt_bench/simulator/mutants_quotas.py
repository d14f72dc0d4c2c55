"""Mutants of quotas, seen by what a space stores in a day, and by what is never stored."""

from typing import Any

from crdt_bench.simulator.mutants import Method, Mutant, returns
from crdt_sync.protocol.pushing import Pushing
from crdt_sync.protocol.quotas import Quotas
from crdt_sync.replica import partner
from crdt_sync.verdicts import VerdictCode

_DIES = {"relay_crash": 0.1, "relay_disk_found": 0.05}


def _holds_for_ever(_: Method) -> Method:
    def mutated(self: Any, now: int) -> None:
        if self._again_at is not None and now >= self._again_at:
            self._ready.update(self._later)
            self._later, self._again_at = {}, None
            self._ready_behind()

    return mutated


QUOTA_MUTANTS = (
    Mutant(
        "a restart gives everybody another day",
        "what was counted goes with the commit of what it counts",
        ((Quotas, "restore", returns(None)),),
        _DIES,
        quotas=True,
        pace=200_000,
    ),
    Mutant(
        "who was told to wait waits for ever",
        "a device sends again once the partner takes more",
        ((Pushing, "push_again", _holds_for_ever),),
        {},
        quotas=True,
        pace=200_000,
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
