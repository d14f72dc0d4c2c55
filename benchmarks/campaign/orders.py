"""Updates that the gate accepts, in every order: replicas must end the same, live, reloaded, merged and by differences.

A case is a small history, see `crafted`. It goes through the gate in all orders, or in some where there are many; what
is refused for now is tried again until nothing changes. An honest history, one in eight, may not be refused anything.
"""

import itertools
import json
import random
from collections import Counter
from collections.abc import Sequence
from functools import partial

import pycrdt

from benchmarks.campaign.confined import confined
from benchmarks.campaign.crafted import RECORD, drawn
from benchmarks.campaign.differential import filled, roots_of
from benchmarks.campaign.tally import FINDINGS_MAX, Tally
from crdt_sync.records import Document, Integrator, scan

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
        _, *orders = itertools.permutations(places)
    else:
        orders = [tuple(rng.sample(places, len(updates))) for _ in range(_ORDERS_MAX - 1)]
    document, refused, accepted = _integrated(updates)
    state = _state(document)
    if problem := _otherwise(document, accepted, state):
        return refused, f"{problem}: {_shown(updates)}"
    for order in orders:
        document, others, accepted = _integrated([updates[place] for place in order])
        if (found := _state(document)) != state:
            return refused, f"{_differing(found, state)} differ by order: {_shown(updates)} and {order}"
        if set(others) != set(refused):
            refused += others
    return refused, ""


def _integrated(updates: Sequence[bytes]) -> tuple[Document, list[str], list[bytes]]:
    """The record after these updates, in order, what was refused for good, and what was accepted."""
    gate = Integrator(1)
    waiting, accepted = list(updates), []
    gate.integrate(RECORD, (), (), None, True, False)
    while True:
        verdicts = gate.integrate(RECORD, None, waiting, None, True, False).verdicts
        accepted += [update for update, verdict in zip(waiting, verdicts, strict=True) if verdict.code == "accepted"]
        left = [update for update, verdict in zip(waiting, verdicts, strict=True) if verdict.code != "accepted"]
        if len(left) in (0, len(waiting)):
            refused = [verdict.reason for verdict in verdicts if verdict.code != "accepted"]
            return gate.document(RECORD), refused, accepted
        waiting = left


def _state(document: Document) -> State:
    return document.digest(), document.content_digest(), filled(roots_of(document))


def _otherwise(document: Document, accepted: Sequence[bytes], state: State) -> str:
    """How the same updates come out otherwise on other ways."""
    whole = document.diff()
    scan(whole)
    gate = Integrator(1)
    (verdict,) = gate.integrate(RECORD, accepted, (whole,), None, True, False).verdicts
    if verdict.code != "accepted":
        return f"what it all came to is refused, {verdict.reason}, described at once"
    ways = {"reloaded": Document.load([whole])}
    if accepted:
        ways["merged"] = Document.load([pycrdt.merge_updates(*accepted)])
        middle = Document.load(accepted[: len(accepted) // 2])
        middle.apply(document.diff(middle.state_vector()))
        ways["by a difference"] = middle
        ways["reloaded on the way"] = _reloaded_between(accepted)
    for way, other in ways.items():
        if (found := _state(other)) != state:
            return f"{_differing(found, state)} differ {way}"
    return ""


def _reloaded_between(accepted: Sequence[bytes]) -> Document:
    """The record after these updates, loaded anew from its whole state before each."""
    gate, stored = Integrator(1), b""
    for update in accepted:
        done = gate.integrate(RECORD, (stored,) if stored else (), (update,), None, True, True)
        if done.verdicts[0].code != "accepted":
            raise AssertionError(f"{update.hex()} is judged otherwise after loading: {done.verdicts[0].reason}")
        stored = done.snapshot or b""
    return gate.document(RECORD)


def _differing(one: State, other: State) -> str:
    names = ("digest A", "digest B", "values")
    return ", ".join(name for name, a, b in zip(names, one, other, strict=True) if a != b)


def _shown(updates: Sequence[bytes]) -> str:
    return " ".join(update.hex() for update in updates)
