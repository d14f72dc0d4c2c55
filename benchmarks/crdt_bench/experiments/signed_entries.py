"""What signed entries cost, in bytes and in processor time: of who writes, of the gate, and of who looks at them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from crdt_bench.results import Measurement, Outcome
from crdt_sync.clock import HybridClock
from crdt_sync.identity.certified import DeviceSigner, Verifier
from crdt_sync.identity.keys import KeyPair
from crdt_sync.identity.tokens import claims_for, issue
from crdt_sync.policy.in_force import InForce
from crdt_sync.policy.reading import parse_policy
from crdt_sync.principal import Issuer
from crdt_sync.records import Document, Editor, Integrator, Schema
from crdt_sync.records.authors import authored
from crdt_sync.records.gate.permitted import Rules
from crdt_sync.records.schema import FieldSpec
from crdt_sync.records.signatures import Signing

NAME = "signed-entries"
_NOW = 1_790_000_000_000_000  # microseconds since 1970; any moment will do
_SPACE = bytes(range(16))
_SPACE_KEY, _DEVICE_KEY = (KeyPair(bytes([number]) * 32) for number in (1, 2))
_ISSUER = Issuer(_SPACE, (_SPACE_KEY.public.raw,))
_FIELDS = tuple(f"field_{number}" for number in range(20))
_POLICY = """
[[role.sales.grant]]
collection = "people"
read = ["*"]
write = ["*"]
operations = ["create", "edit"]

[user.anna]
role = "sales"
"""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many records of 20 fields are made in a round, and of how many one field is written again."""

    records: int = 100
    rounds: int = 5


SMALL = Sizes(records=3, rounds=1)


def run(sizes: Sizes) -> list[Outcome]:
    """With and without, in turn in each round."""
    samples: dict[tuple[str, str], list[float]] = {}
    for number in range(-1, sizes.rounds):  # the first round is not counted: libraries are loaded in it
        for signed in (False, True):
            for metric, unit, value in _round(sizes.records, signed=signed):
                if number >= 0:
                    samples.setdefault((metric, unit), []).append(value)
    return [Measurement(NAME, metric, unit, tuple(values)) for (metric, unit), values in samples.items()]


def _round(records: int, *, signed: bool) -> list[tuple[str, str, float]]:
    schema = Schema(collection="people", version=1, signed=signed, fields={name: FieldSpec() for name in _FIELDS})
    verifier = Verifier(_ISSUER)  # that has checked nothing yet
    token = issue(claims_for(_SPACE, "anna", _DEVICE_KEY.public, bytes(16), _NOW), _SPACE_KEY)
    signer = DeviceSigner(verifier, "anna", token, _DEVICE_KEY)
    clock = HybridClock(lambda: _NOW)
    # A space of its own for the gate, each round: what it has checked is remembered by space.
    rules = Rules(InForce(1, parse_policy(_POLICY, NAME), issuer=_ISSUER), "people", schema)
    gate = Integrator(records)
    spent = dict.fromkeys(("a field is written", "the gate takes it", "a record is looked at", "again"), 0)
    update_bytes = whole_bytes = 0
    for number in range(records):
        record = f"people/{number}-{time.monotonic_ns()}"  # no two rounds have one signature
        signing = Signing(signer, record) if signed else None
        document = Document(1000 + number)
        editor = Editor(document, schema, clock, "anna", "people", signing)
        editor.update(dict.fromkeys(_FIELDS, "Müller GmbH"))
        whole = document.diff()
        whole_bytes += len(whole)
        gate.integrate(record, (), (), None, True, False)
        _taken(gate, record, whole, rules)
        before = document.state_vector()
        began = time.process_time_ns()
        editor["field_7"] = "Meier GmbH"
        written = time.process_time_ns()
        update = document.diff(before)
        update_bytes += len(update)
        spent["a field is written"] += written - began
        began = time.process_time_ns()
        _taken(gate, record, update, rules)
        spent["the gate takes it"] += time.process_time_ns() - began
        for what in ("a record is looked at", "again"):
            began = time.process_time_ns()
            authored(document, record, verifier)
            spent[what] += time.process_time_ns() - began
    how = "signed" if signed else "not signed"
    times = [(f"{how}: {what}", "µs", value / 1000 / records) for what, value in spent.items()]
    return [
        *times,
        (f"{how}: bytes of an update of one field", "B", update_bytes / records),
        (f"{how}: bytes of a record of {len(_FIELDS)} fields", "B", whole_bytes / records),
        *([("characters of the token that a record holds", "", float(len(token)))] if signed else []),
    ]


def _taken(gate: Integrator, record: str, update: bytes, rules: Rules) -> None:
    done: Sequence[object] = gate.integrate(
        record, None, (update,), None, True, False, rules=rules, users=("anna",)
    ).verdicts
    if [getattr(verdict, "code", None) for verdict in done] != ["accepted"]:
        raise TypeError(f"the gate refused it: {done}")
