"""Mutants of histories with people: who is told what, who is out, and what becomes of edits that are not allowed.

`crdt_bench.grants.mutants` has those of what a session is told, on the smallest host.
"""

from collections.abc import Sequence
from typing import Any

from crdt_bench.simulator.mutants import Method, Mutant, returns
from crdt_sync.identity.revocations import Revocations
from crdt_sync.ids import is_masked
from crdt_sync.membership.member import Membership
from crdt_sync.protocol.hub.audience import Audience
from crdt_sync.protocol.selecting import Selected
from crdt_sync.protocol.serving import Serving
from crdt_sync.protocol.serving_selected import SelectedServing
from crdt_sync.records import masking
from crdt_sync.records.gate.loaded import Loaded
from crdt_sync.replica import dropping, unsent, withdrawing
from crdt_sync.replica.masking import Masker
from crdt_sync.replica.partner import Partner
from crdt_sync.verdicts import Verdict

_OFTEN = 0.15


def _all_of_the_page(pick: Method) -> Method:
    def mutated(self: Any, page: Any, *given: Any) -> Any:
        return pick(self, page, *given)._replace(updates=tuple(range(len(page.updates))))

    return mutated


def _without(name: str) -> Any:
    """Of what is told, one part is left out."""

    def mutate(told: Method) -> Method:
        return lambda self, *given: told(self, *given)._replace(**{name: ()})

    return mutate


def _with_what_was_written(forbidden: Method) -> Method:
    def mutated(self: Any, touched: Any, *given: Any) -> Verdict | None:
        denied: Verdict | None = forbidden(self, touched, *given)
        if denied is None:
            return None
        return denied._replace(reason=f"{denied.reason}: {[touch.values for touch in touched.values()]}")

    return mutated


def _the_first(in_force: Method) -> Method:
    def mutated(self: Any) -> Any:
        if not hasattr(self, "first_heard"):
            self.first_heard = in_force(self)
        return self.first_heard

    return mutated


def _told_as_to_all(_: Method) -> Method:
    return Serving.behind


def _only_lost(difference: Method) -> Method:
    return lambda self: (each if each is None or not each[1] else None for each in difference(self))


def _only_gained(difference: Method) -> Method:
    return lambda self: (each if each is None or each[1] else None for each in difference(self))


def _forgotten(regrant: Method) -> Method:
    def mutated(self: Any, sight: Any) -> bool:
        regrant(self, sight)
        self._before = ()
        return True

    return mutated


def _who_holds_it_now(reached: Method) -> Method:
    return lambda self, record, where: reached(self, record, where._replace(left=()))


def _nothing_kept(_: Method) -> Method:
    def mutated(_store: Any, _edits: Sequence[Any], *_gone: Any) -> dict[str, bytes | None]:
        return {}

    return mutated


def _nothing_aside(_: Method) -> Method:
    def mutated(*_: Any) -> dict[str, bytes | None]:
        return {}

    return mutated


def _of_sections_alone(unit: Method) -> Method:
    return lambda self, record: None if is_masked(record) else unit(self, record)


PEOPLE_MUTANTS = (
    Mutant(
        "a revoked device is served",
        "who is out is told nothing",
        ((Revocations, "check_device", returns(None)),),
        {},
        seeds_max=40,
        steps=60,
        people=0.4,
    ),
    Mutant(
        "a refusal tells what was written",
        "reasons name fields and rules",
        ((Loaded, "_forbidden", _with_what_was_written),),
        {},
        people=_OFTEN,
        seeds_from=1,
    ),
    Mutant(
        "refused edits are dropped in silence",
        "what a relay forbids is kept aside",
        ((withdrawing, "kept", _nothing_kept),),
        {"partition": 0.2, "cut": 0.1},
        seeds_max=60,
        steps=80,
        people=0.3,
        seeds_from=1,
    ),
    Mutant(
        "what was written and is not to stay is given up",
        "what was written is nowhere lost",
        ((withdrawing, "_once", returns([])),),
        {"partition": 0.2},
        seeds_from=52,
        seeds_max=60,
        steps=80,
        records=2,
        people=_OFTEN,
    ),
    Mutant(
        "what was not sent of a dropped record is thrown away",
        "it is kept aside",
        ((unsent, "set_aside", _nothing_aside), (dropping, "not_sent", returns(([], False)))),
        {},
        people=_OFTEN,
        seeds_from=2,
    ),
    Mutant(
        "a device goes by the first policy that it heard",
        "policies go forward at whoever tells by them",
        ((Membership, "in_force", _the_first),),
        {},
        seeds_max=60,
        steps=60,
        neighbours=0.7,
        people=_OFTEN,
        seeds_from=1,
    ),
    Mutant(
        "a page of the log is shared by sessions of different grants",
        "each is told what it may hold of it",
        ((Selected, "pick", _all_of_the_page),),
        {},
        people=_OFTEN,
    ),
    Mutant(
        "it is told how much lies behind",
        "nothing tells how much is hidden",
        ((SelectedServing, "behind", _told_as_to_all),),
        {"cut": 0.1},
        people=_OFTEN,
    ),
    Mutant(
        "a record that leaves is not dropped, live",
        "who may hold it no more deletes it",
        ((Selected, "pick", _without("dropped")),),
        {},
        people=_OFTEN,
        seeds_from=1,
    ),
    Mutant(
        "a record that leaves is not dropped in the feed",
        "who was away deletes it, too",
        ((Selected, "next", _without("dropped")),),
        {},
        people=_OFTEN,
        seeds_from=1,
    ),
    Mutant(
        "what a grant takes away stays",
        "the difference of grants is dropped",
        ((Selected, "_difference", _only_gained),),
        {},
        people=_OFTEN,
        seeds_from=1,
    ),
    Mutant(
        "what a grant gives does not come",
        "the difference of grants is listed",
        ((Selected, "_difference", _only_lost),),
        {},
        people=_OFTEN,
        seeds_from=1,
    ),
    Mutant(
        "a cursor is kept over another grant",
        "an epoch names the grants that a cursor was told under",
        ((Selected, "regrant", _forgotten),),
        {},
        people=_OFTEN,
        seeds_from=2,
    ),
    Mutant(
        "only who holds a record now is woken",
        "who held it hears that it has left",
        ((Audience, "_reached", _who_holds_it_now),),
        {},
        people=_OFTEN,
        seeds_from=1,
    ),
    Mutant(
        "a device does not delete what is dropped",
        "it holds what it may hold",
        ((Partner, "_drop", returns(None)),),
        {},
        people=_OFTEN,
        seeds_from=1,
    ),
    Mutant(
        "what a mask shows is the value",
        "who is to see a value in part is sent no more of it",
        ((masking, "masked", lambda _: lambda _mask, text: text),),
        {},
        seeds_from=1,
        people=_OFTEN,
        masks=True,
    ),
    Mutant(
        "what a mask shows stays as it was first",
        "what masks show follows the values",
        ((Masker, "_followed", returns(None)),),
        {},
        seeds_from=1,
        people=_OFTEN,
        masks=True,
    ),
    Mutant(
        "what no mask shows any more stays",
        "what a newer policy masks no more is emptied",
        ((Masker, "_unit", _of_sections_alone),),
        {},
        seeds_from=1,
        people=_OFTEN,
        masks=True,
    ),
)
