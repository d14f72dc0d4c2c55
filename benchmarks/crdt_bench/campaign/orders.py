"""Updates that the gate accepts, in every order: replicas must end the same, live, reloaded, merged and by differences.

A case is a small history, see `crafted`. It goes through the gate in all orders, or in some where there are many; what
is refused for now is tried again until nothing changes. Each order has its own way of keeping the record from update to
update, so that a verdict that rests on more than what is stored is found, too. An honest history, one in eight, may not
be refused anything.
"""

import itertools
import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import pycrdt

from crdt_bench.campaign.confined import confined
from crdt_bench.campaign.crafted import RECORD, drawn
from crdt_bench.campaign.differential import filled, roots_of
from crdt_bench.campaign.tally import FINDINGS_MAX, Tally
from crdt_sync.records import EMPTY_STATE_VECTOR, Document, Integrator, scan
from crdt_sync.records.updates import bytes_diff

_BATCH_SEEDS = 500
_BATCH_SECONDS_MAX = 300
_SECONDS_MAX = 10
_MEMORY_BYTES_MAX = 2 << 30
_CRAFTED_SHARE = 0.6
_HONEST_EVERY = 8
_ALL_ORDERS_MAX = 3  # updates: six orders
_ORDERS_MAX = 6

State = tuple[bytes, bytes, dict[str, object]]
"""Digest A, digest B, and what the roots show."""


def run(seed: int, count: int) -> Tally:
    """`count` cases."""
    tally = Tally("orders", "cases", seed)
    for start in range(seed, seed + count, _BATCH_SEEDS):
        _batch(range(start, min(start + _BATCH_SEEDS, seed + count)), tally)
    return tally


def _batch(seeds: range, tally: Tally) -> None:
    answer = confined(partial(_cases, seeds), _BATCH_SECONDS_MAX, _MEMORY_BYTES_MAX)
    if answer.startswith("{"):
        told = json.loads(answer)
        tally.ran += len(seeds)
        tally.outcomes.update(told["outcomes"])
        for finding in told["findings"]:
            tally.found(finding)
    elif len(seeds) == 1:
        tally.ran += 1
        tally.found(f"case {seeds[0]}: {answer}")
    else:
        for seed in seeds:
            _batch(range(seed, seed + 1), tally)


def _cases(seeds: range) -> str:
    outcomes: Counter[str] = Counter()
    findings: list[str] = []
    for seed in seeds:
        problem = case(seed, outcomes)
        if problem and len(findings) < FINDINGS_MAX:
            findings.append(f"case {seed}: {problem}")
    return json.dumps({"outcomes": outcomes, "findings": findings})


def case(seed: int, outcomes: Counter[str]) -> str:
    """What is wrong with one case, or nothing."""
    rng = random.Random(seed)
    honest = seed % _HONEST_EVERY == 0
    history = drawn(rng, 0.0 if honest else _CRAFTED_SHARE)
    refused, problem = compared(history.updates, rng)
    if honest:
        outcomes["honest"] += 1
        if refused and not problem:
            return f"an honest update is refused, {refused}: {_shown(history.updates)}"
    elif len(refused) < sum(history.crafted):
        outcomes["with accepted crafted updates"] += 1
    else:
        outcomes["all crafted updates refused"] += 1
    return problem


def compared(updates: Sequence[bytes], rng: random.Random) -> tuple[list[str], str]:
    """Why some of `updates` were refused when they came in this order, and how other orders or ways end otherwise."""
    places = range(len(updates))
    if len(updates) <= _ALL_ORDERS_MAX:
        orders = list(itertools.permutations(places))
    else:
        orders = [tuple(places), *(tuple(rng.sample(places, len(updates))) for _ in range(_ORDERS_MAX - 1))]
    document, refused, accepted = _integrated(updates, None)
    state = _state(document)
    if problem := _otherwise(document, accepted, state):
        return refused, f"{problem}: {_shown(updates)}"
    for order in orders:
        kept = rng.choice(list(_KEPT))
        document, others, _ = _integrated([updates[place] for place in order], _KEPT[kept])
        if found := _differing(_state(document), state):
            return refused, f"{found} differ by order, {kept}: {_shown(updates)} and {order}"
        if set(others) != set(refused):
            refused += others
    return refused, ""


def _from_state(stored: Sequence[bytes]) -> Sequence[bytes]:
    return (Document.load(stored).diff(),)


def _from_joined(stored: Sequence[bytes]) -> Sequence[bytes]:
    return (bytes_diff.diff(stored, EMPTY_STATE_VECTOR),)


_KEPT: dict[str, Callable[[Sequence[bytes]], Sequence[bytes]] | None] = {
    "live": None,
    "reloaded from its updates": lambda stored: stored,
    "reloaded from its updates joined": _from_joined,
    "reloaded from its state": _from_state,
}
"""How a record is kept between two updates; None: loaded."""


def _integrated(
    updates: Sequence[bytes], kept: Callable[[Sequence[bytes]], Sequence[bytes]] | None
) -> tuple[Document, list[str], list[bytes]]:
    """The record after these updates, in order, what was refused for good, and what was accepted."""
    gate, stored, accepted = Integrator(1), list[bytes](), list[bytes]()
    gate.integrate(RECORD, (), (), None, True, False)
    waiting = list(updates)
    while True:
        refused: dict[bytes, str] = {}
        for update in waiting:
            again = kept(stored) if kept and stored else None
            (verdict,) = gate.integrate(RECORD, again, (update,), None, True, False).verdicts
            if verdict.code != "accepted":
                refused[update] = verdict.reason
                continue
            accepted.append(update)
            if verdict.new:
                stored.append(update)
        if len(refused) in (0, len(waiting)):
            return gate.document(RECORD), list(refused.values()), accepted
        waiting = list(refused)


def _state(document: Document) -> State:
    return document.digest(), document.content_digest(), filled(roots_of(document))


def _otherwise(document: Document, accepted: Sequence[bytes], state: State) -> str:
    """How the same updates come out otherwise on other ways."""
    whole = document.diff()
    scan(whole)
    half = accepted[: len(accepted) // 2]
    vector = Document.load(half).state_vector()
    rest = document.diff(vector)
    joined = bytes_diff.diff(accepted, EMPTY_STATE_VECTOR)
    judged = {
        "described at once": (accepted, whole),
        "from its state": ((), whole),
        "joined": ((), joined),
        "joined, described at once": ((joined,), whole),
        "by a difference": (half, rest),
        "by a difference from its updates": (half, bytes_diff.diff(accepted, vector)),
    }
    trusted = (
        document.state_vector() != EMPTY_STATE_VECTOR
    )  # else nobody has anything of it, and such an answer is a gap
    for way, (stored, update) in judged.items():
        for checked in (True, False) if trusted else (True,):
            gate = Integrator(1)
            (verdict,) = gate.integrate(RECORD, stored, (update,), None, checked, False).verdicts
            if verdict.code != "accepted":
                return f"what it all came to is refused, {verdict.reason}, {way}"
            if found := _differing(_state(gate.document(RECORD)), state):
                return f"{found} differ {way}{'' if checked else ', unchecked'}"
    loaded = {
        "reloaded": Document.load([whole]),
        "merged": Document.load([pycrdt.merge_updates(whole, *accepted)]),
        "merged, described at once first": Document.load([bytes_diff.diff((whole, *accepted), EMPTY_STATE_VECTOR)]),
        "merged, described at once last": Document.load([bytes_diff.diff((*accepted, whole), EMPTY_STATE_VECTOR)]),
    }
    for way, other in loaded.items():
        if found := _differing(_state(other), state):
            return f"{found} differ {way}"
    return ""


def _differing(one: State, other: State) -> str:
    names = ("digest A", "digest B", "values")
    return ", ".join(name for name, a, b in zip(names, one, other, strict=True) if a != b)


def _shown(updates: Sequence[bytes]) -> str:
    return " ".join(update.hex() for update in updates)
