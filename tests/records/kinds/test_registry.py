"""Kinds are known to their files and the registry alone; what the registry does not have is an error."""

import ast
from pathlib import Path

import pytest

import crdt_sync
from crdt_sync.errors import InvalidSchema
from crdt_sync.records import FieldSpec, parse_schema, reading_of
from crdt_sync.records.kind import FieldKind
from crdt_sync.records.kinds import KINDS, PLAIN
from crdt_sync.records.kinds.value import Value
from crdt_sync.records.roots import Layout

PACKAGE = Path(crdt_sync.__file__).parent
SETTINGS = {"stage": {"states": ("a", "b")}}


def spec_of(kind: FieldKind) -> FieldSpec:
    return FieldSpec.of({"kind": kind.name, **SETTINGS.get(kind.name, {})})


def kinds_named(source: str) -> list[int]:
    """The lines on which code compares something called `kind` with the name of a kind."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            sides: list[ast.AST] = [node.left, *node.comparators]
        elif isinstance(node, ast.Match):
            sides = [node.subject, *(case.pattern for case in node.cases)]
        else:
            continue
        asked = any(isinstance(side, ast.Attribute) and side.attr == "kind" for side in sides)
        named = {each.value for side in sides for each in ast.walk(side) if isinstance(each, ast.Constant)}
        if asked and named & KINDS.keys():
            found.append(node.lineno)
    return found


def test_nobody_asks_for_a_kind_by_its_name():
    found = {
        str(path.relative_to(PACKAGE)): lines
        for path in PACKAGE.rglob("*.py")
        if (lines := kinds_named(path.read_text(encoding="utf-8")))
    }
    assert found == {}


@pytest.mark.parametrize(
    "source", ['spec.kind == "log"', 'spec.kind in ("set", "log")', 'match spec.kind:\n    case "text":\n        pass']
)
def test_who_asks_so_is_found(source):
    assert kinds_named(source) == [1]


@pytest.mark.parametrize("name", ["magic", "", "Value", "deleted"])
def test_an_unknown_kind_is_an_error_that_names_the_kinds(name):
    text = f'collection = "things"\nversion = 1\n[fields.a]\nkind = "{name}"'
    with pytest.raises(InvalidSchema, match=r"no kind .*; the kinds are counter, log, rating, review, set, stage"):
        parse_schema(text, "test")


def test_every_layout_is_read_without_a_schema():
    assert {kind.layout for kind in KINDS.values()} == set(Layout) == set(PLAIN)
    assert PLAIN[Layout.ENTRIES] is KINDS["value"] is FieldSpec().rules


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_kind_says_what_it_is(kind):
    spec = spec_of(kind)
    assert spec.rules is kind
    assert kind.merging
    assert kind.problem(spec) == ""
    assert spec.type == kind.default_type
    assert kind.types is None or kind.default_type in kind.types
    assert kind.successors <= KINDS.keys() - {kind.name}
    assert all(KINDS[other].layout is kind.layout for other in kind.successors)
    assert kind.is_empty(None)
    assert kind.is_empty(kind.empty)


class Shortest(Value):
    name = "shortest"
    merging = "the shortest text is shown"
    plain = False

    def ordered(self, entries, spec, age):
        return sorted(entries, key=lambda entry: (len(str(entry[0])), str(entry[0])))


def test_a_kind_is_added_by_the_registry_alone(monkeypatch, make_replica):
    monkeypatch.setitem(KINDS, "shortest", Shortest())
    schema = parse_schema('collection = "things"\nversion = 1\n[fields.a]\nkind = "shortest"', "a new kind")
    one, other = make_replica(schema), make_replica(schema)
    with one.edit("things/1", create=True) as thing:
        thing["a"] = "long"
    with other.edit("things/1", create=True) as thing:
        thing["a"] = "longer, and later"
    whole = one.document("things/1")
    whole.apply(other.document("things/1").diff())
    assert reading_of(whole, schema).values == {"a": "long"}
