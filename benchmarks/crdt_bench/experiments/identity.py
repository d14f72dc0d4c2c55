"""What it costs to prove who one is: processor time, without what carries the bytes."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from crdt_bench.results import Measurement, Outcome, Target
from crdt_relay.authority import Authority
from crdt_relay.device_guest import introduced
from crdt_sync.identity import rotation
from crdt_sync.identity.handshake import Handshake
from crdt_sync.identity.keys import KeyPair
from crdt_sync.identity.policy_text import PolicyText
from crdt_sync.identity.registry import MemoryRegistry
from crdt_sync.identity.revocations import Revocations, Revoked
from crdt_sync.identity.statement import Statement
from crdt_sync.identity.statements import Statements
from crdt_sync.identity.tokens import Tokens, claims_for, issue
from crdt_sync.membership.facts import Facts
from crdt_sync.membership.member import Membership
from crdt_sync.principal import Principal
from crdt_sync.protocol.messages import Hello
from crdt_sync.protocol.versions import VERSIONS
from crdt_sync.runtime.greeting import Greeting

NAME = "identity"
Made = TypeVar("Made")
_NOW = 1_790_000_000_000_000  # microseconds since 1970; any moment will do
_SPACE = bytes(range(16))
_SPACE_KEY, _DEVICE_KEY = (KeyPair(bytes([number]) * 32) for number in (1, 2))
_HANDSHAKE = Handshake(_SPACE, bytes(16), bytes(range(16)), bytes(32))
_TARGET = Target("at most", 5.0)
_LOADED = "import time; began = time.process_time(); import {}; print((time.process_time() - began) * 1000)"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How often each thing is done in a round, and how many devices are revoked."""

    operations: int = 300
    revoked: int = 1_000
    rounds: int = 5


SMALL = Sizes(operations=3, revoked=10, rounds=1)


def run(sizes: Sizes) -> list[Outcome]:
    """All of it, in turn in each round."""
    samples: dict[tuple[str, str], list[float]] = {}
    for number in range(-1, sizes.rounds):  # the first round is not counted: libraries are loaded in it
        for metric, unit, value in (
            *_handshakes(sizes),
            *_greetings(sizes),
            *_signatures(sizes),
            *_revocations(sizes),
            *_loading(),
        ):
            if number >= 0:
                samples.setdefault((metric, unit), []).append(value)
    return [
        Measurement(NAME, metric, unit, tuple(values), _TARGET if metric.startswith("handshake") else None)
        for (metric, unit), values in samples.items()
    ]


def _handshakes(sizes: Sizes) -> list[tuple[str, str, float]]:
    """Of each side, with all that it signs and checks: a relay that proves the space's key, a device its own."""
    statements = Statements(_SPACE, _SPACE_KEY.public, [rotation.begun(_SPACE, _SPACE_KEY, _NOW)])
    texts = [
        issue(claims_for(_SPACE, "anna", _DEVICE_KEY.public, number.to_bytes(16, "big"), _NOW), _SPACE_KEY)
        for number in range(sizes.operations)
    ]
    proofs = [_HANDSHAKE.prove_device("dialer", _DEVICE_KEY, text) for text in texts]
    tokens = Tokens(statements, cached_max=len(texts))

    def accept(proof: str) -> None:
        _HANDSHAKE.prove_space(_SPACE_KEY)
        _HANDSHAKE.check_device("dialer", proof, tokens, _NOW)

    shown = _HANDSHAKE.prove_space(_SPACE_KEY)

    def dial(text: str) -> None:
        _HANDSHAKE.check_space(shown, statements.keys)
        _HANDSHAKE.prove_device("dialer", _DEVICE_KEY, text)

    return [
        ("handshake, acceptor, unseen token", "ms", _each([partial(accept, proof) for proof in proofs]) / 1000),
        ("handshake, acceptor, token seen before", "ms", _each([partial(accept, proof) for proof in proofs]) / 1000),
        ("handshake, dialer", "ms", _each([partial(dial, text) for text in texts]) / 1000),
        ("characters of what a device shows", "", float(len(proofs[0]))),
    ]


def _greetings(sizes: Sizes) -> list[tuple[str, str, float]]:
    """The same as relay and device do it: with headers read and written, the policy asked for the user, and hello."""
    registry = MemoryRegistry()
    authority = Authority.begin(registry, _SPACE, _SPACE_KEY, lambda: _NOW)
    authority.say(PolicyText("[role.sales]\n[user.anna]\nrole = 'sales'\n"))
    authority.in_force()
    spent = {"acceptor": 0, "dialer": 0}

    def timed(who: str, work: Callable[[], Made]) -> Made:
        began = time.process_time_ns()
        made = work()
        spent[who] += time.process_time_ns() - began
        return made

    for number in range(sizes.operations):
        token = issue(claims_for(_SPACE, "anna", _DEVICE_KEY.public, number.to_bytes(16, "big"), _NOW), _SPACE_KEY)
        said = tuple(authority.statements.kept())
        facts = Facts(_SPACE, _SPACE_KEY.public.raw, "ws://relay", token=token, statements=said)
        member = Membership(facts, _DEVICE_KEY, lambda _: None)
        member.now = lambda: _NOW
        greeting = timed("dialer", partial(Greeting, member, direct=False))
        guest = timed("acceptor", partial(introduced, authority, bytes(32), _told(greeting.headers)))
        met = timed("dialer", partial(greeting.met, _told(guest.headers), bytes(32), "the relay"))
        hello = Hello(VERSIONS, bytes(16), met.token, _NOW, None, follow=True, count=0, agent="crdt-sync")
        if not isinstance(timed("acceptor", partial(guest.authorise, hello)), Principal):
            raise TypeError("the device was not let in")
    return [
        (f"handshake on the wire, {who}", "ms", nanoseconds / 1e6 / sizes.operations)
        for who, nanoseconds in spent.items()
    ]


def _told(headers: Sequence[tuple[str, str]]) -> Callable[[str], Sequence[str]]:
    return lambda name: [value for known, value in headers if known == name]


def _signatures(sizes: Sizes) -> list[tuple[str, str, float]]:
    message = bytes(200)
    signature = _DEVICE_KEY.sign(message)
    claims = claims_for(_SPACE, "anna", _DEVICE_KEY.public, bytes(16), _NOW)
    return [
        ("sign", "µs", _each([partial(_DEVICE_KEY.sign, message)] * sizes.operations)),
        ("verify", "µs", _each([partial(_DEVICE_KEY.public.signed, message, signature)] * sizes.operations)),
        ("issue a token", "µs", _each([partial(issue, claims, _SPACE_KEY)] * sizes.operations)),
    ]


def _revocations(sizes: Sizes) -> list[tuple[str, str, float]]:
    devices = [number.to_bytes(16, "big") for number in range(sizes.revoked)]
    body = Revocations({device: Revoked(_NOW, wipe=True) for device in devices})
    statement = Statement(_SPACE, 1, _NOW, body)
    raw = statement.signed_by(_SPACE_KEY)
    takers = [Statements(_SPACE, _SPACE_KEY.public) for _ in range(max(1, sizes.operations // 10))]
    asked = [partial(body.check, bytes([255]) * 16, "anna")] * sizes.operations
    what = f"{sizes.revoked:,} revoked devices"
    return [
        (f"{what}: bytes", "B", float(len(raw))),
        (f"{what}: sign", "µs", _each([partial(statement.signed_by, _SPACE_KEY)] * len(takers))),
        (f"{what}: check and take", "µs", _each([partial(taker.take, raw) for taker in takers])),
        (f"{what}: ask for one", "µs", _each(asked)),
    ]


def _loading() -> list[tuple[str, str, float]]:
    return [
        (f"loading {what}", "ms", float(subprocess.check_output([sys.executable, "-c", _LOADED.format(module)])))
        for what, module in (("all of identity", "crdt_sync.identity.handshake"), ("the library for tokens", "jwt"))
    ]


def _each(work: Sequence[Callable[[], object]]) -> float:
    """Microseconds of processor time that one of them takes."""
    began = time.process_time_ns()
    for step in work:
        step()
    return (time.process_time_ns() - began) / 1000 / len(work)
