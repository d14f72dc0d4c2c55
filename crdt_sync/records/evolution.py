"""Which changes of a schema keep the meaning of the records that are there.

Each kind is laid out in roots of its own (see `roots`), and each type has its own carriers. A field that changed them
would show one thing on a device that has the new schema and another on one that has the old: both are right, both hold
the same bytes, and no sync would ever bring them together. So a field keeps its kind and type, also after it was taken
out of the schema, but for these changes, which every older device reads as before:

- `value` to `review` and back: the same entries, with or without a question;
- `enum` or `reference` to `string`: the same texts, unchecked;
- `integer` to `decimal`, not in a set: every whole number is a decimal.

The states of a stage keep their order, and none goes: of two that were written at once the higher is shown, and a state
without a rank is below all others. New ones may come anywhere.

A field keeps its section, or none: whoever may not see a section never gets what is written into it, and devices with
the older schema go on writing where it was. So a field in a section is not taken out, either. `filter` may come and go:
it changes nothing that is shown, and a policy goes by the fields that it names.

A newer schema takes whatever the older one takes, see `stricter`: else programs and people on every device, who go by
the older one, make no records any more. It may do so where somebody asks for just that.
"""

from collections.abc import Mapping
from dataclasses import asdict
from itertools import pairwise

from crdt_sync.errors import IncompatibleSchema
from crdt_sync.limits import SCHEMA_VERSION_MAX
from crdt_sync.records.kinds import KINDS
from crdt_sync.records.roots import Layout
from crdt_sync.records.schema import FieldSpec, Schema

Form = tuple[str, str]  # kind and type of a field
Ranks = Mapping[str, int]  # of the states of a stage

_TYPES = frozenset({("enum", "string"), ("reference", "string"), ("integer", "decimal")})


def forms(schema: Schema) -> dict[str, Form]:
    """Kind and type of each field."""
    return {name: (spec.kind, spec.type) for name, spec in schema.fields.items()}


def ranks(schema: Schema) -> dict[str, dict[str, int]]:
    """The rank of each state of each stage."""
    return {name: found for name, spec in schema.fields.items() if (found := spec.rules.ranks(spec))}


def check_ranks(known: Mapping[str, Ranks], schema: Schema) -> None:
    """Raise `IncompatibleSchema` where a stage shows another of two states than with the `known` ranks."""
    for name, new in ranks(schema).items():
        old = known.get(name, {})
        gone = [state for state in old if state not in new]
        if gone:
            raise _reordered(schema, name, f"has no state {gone[0]!r} any more", "Keep every state")
        for a, b in pairwise(sorted(old, key=old.__getitem__)):
            if (new[a] == new[b]) != (old[a] == old[b]) or new[a] > new[b]:
                raise _reordered(
                    schema, name, f"ranks {a!r} and {b!r} otherwise than before", "Keep the states in order"
                )


def check_sections(known: Mapping[str, Form], before: Schema, schema: Schema) -> None:
    """Raise `IncompatibleSchema` where a field that is `known` would change its section, or one in a section goes."""
    for name, spec in before.fields.items():
        if spec.section is not None and name not in schema.fields:
            raise IncompatibleSchema(
                f"field {name!r} of {schema.collection!r} is in the section {spec.section!r} and cannot be taken out: "
                "where it came back without, what it holds would be shown to everybody",
                f"Keep {name!r} as it is, with 'deprecated = true'.",
            )
    for name, spec in schema.fields.items():
        earlier = before.fields[name].section if name in before.fields else None
        if name in known and spec.section != earlier:
            was, to_be = (f"in section {each!r}" if each else "in no section" for each in (earlier, spec.section))
            raise _refused(schema, name, was, to_be, "devices with the old schema go on writing where it was")


def check_same(known: Schema, schema: Schema) -> None:
    """Raise `IncompatibleSchema` where two schemas of one version differ in more than how fields are called.

    Not of the last version: there is none to give a changed schema, and whoever writes may use it up.
    """
    if known.version == schema.version < SCHEMA_VERSION_MAX and _meaning(known) != _meaning(schema):
        raise IncompatibleSchema(
            f"version {schema.version} of {schema.collection!r} is here already with other fields",
            f"Give the changed schema a higher version: 'version = {schema.version + 1}'.",
        )


def check_admits(known: Schema, schema: Schema) -> None:
    """Raise `IncompatibleSchema` where a schema refuses what `known` takes."""
    if what := stricter(known, schema):
        raise IncompatibleSchema(
            f"version {schema.version} of {schema.collection!r} {what}: records that could be made with version "
            f"{known.version} would be refused on every device",
            "If that is meant, say so: crdt-sync schema add FILE --stricter, or add_schema(schema, stricter=True).",
        )


def stricter(known: Schema, schema: Schema) -> str:
    """What a schema refuses that `known` takes, fields that were taken out aside; empty where there is nothing."""
    if schema.natural_key not in {(), known.natural_key}:
        return f"has the natural key {', '.join(schema.natural_key)}"
    for name, spec in schema.fields.items():
        before = known.fields.get(name)
        if spec.required and not (before is not None and before.required):
            return f"requires {name!r}"
        if before is not None and (what := _narrower(before, spec)):
            return f"{what} in {name!r}"
    return ""


def _narrower(before: FieldSpec, spec: FieldSpec) -> str:
    if spec.type == "enum" and (gone := [choice for choice in before.choices if choice not in spec.choices]):
        return f"takes no {gone[0]!r} any more"
    if spec.type == "reference" and spec.collection not in {None, before.collection}:
        return f"takes references to {spec.collection!r} alone"
    if spec.transitions:
        for state in before.states:
            possible = before.transitions.get(state, ()) if before.transitions else before.states
            gone = [each for each in possible if each != state and each not in spec.transitions.get(state, ())]
            if gone:
                return f"lets nothing go from {state!r} to {gone[0]!r} any more"
    return ""


def _meaning(schema: Schema) -> dict[str, object]:
    called = ("label", "aliases")
    data = asdict(schema)
    del data["label"]
    for each in data["fields"].values():
        for name in called:
            del each[name]
    return data


def _reordered(schema: Schema, name: str, what: str, keep: str) -> IncompatibleSchema:
    return IncompatibleSchema(
        f"the stage {name!r} of {schema.collection!r} {what}: devices with the old schema and with the new one would "
        "show different values",
        f"{keep}; new ones may come anywhere. Or give the new stage a field name of its own, say '{name}_2'.",
    )


def check_successor(known: Mapping[str, Form], schema: Schema) -> None:
    """Raise `IncompatibleSchema` where a field that is `known`, from whatever version, would change its meaning."""
    for name, spec in schema.fields.items():
        kind, kind_of_value = known.get(name, (spec.kind, spec.type))
        if kind != spec.kind and not (kind in KINDS and spec.kind in KINDS[kind].successors):
            raise _refused(schema, name, f"a {kind}", f"a {spec.kind}")
        if kind_of_value != spec.type and not _widened(kind_of_value, spec):
            raise _refused(schema, name, f"of type {kind_of_value}", f"of type {spec.type}")


def _widened(before: str, spec: FieldSpec) -> bool:
    return (before, spec.type) in _TYPES and not (spec.type == "decimal" and spec.rules.layout is Layout.MEMBERS)


_APART = "devices with the old schema and with the new one would show different values for ever"


def _refused(schema: Schema, name: str, before: str, after: str, why: str = _APART) -> IncompatibleSchema:
    return IncompatibleSchema(
        f"field {name!r} of {schema.collection!r} is {before} and cannot become {after}: {why}",
        f"Give what is new a field name of its own, say '{name}_2'; keep {name!r} as it is, with 'deprecated = true'.",
    )
