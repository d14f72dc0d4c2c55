"""A schema is read as releases before read it, by Pydantic: what one device takes and another refuses divides them."""

import json
from typing import Annotated, Any, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crdt_sync.errors import InvalidSchema
from crdt_sync.limits import FIELDS_FORMER_MAX, LABEL_LENGTH_MAX, SCHEMA_VERSION_MAX, SCHEMAS_SETTLED_MAX
from crdt_sync.records import FieldSpec, Schema
from crdt_sync.records.definition import _REQUIRED, _WRITTEN
from crdt_sync.records.schema import _FIELD_CHECKS, _SCHEMA_CHECKS
from crdt_sync.records.settings_input import Check, settings


class FieldBefore(BaseModel):
    """As it was; which kinds there are is not asked here."""

    model_config = ConfigDict(extra="forbid")

    kind: str = "value"
    type: Literal["string", "integer", "decimal", "boolean", "date", "datetime", "enum", "reference", "json"] = "string"
    label: Annotated[str, Field(max_length=200)] = ""
    required: bool = False
    deprecated: bool = False
    section: str | None = None
    filter: bool = False
    choices: tuple[str, ...] = ()
    collection: str | None = None
    states: tuple[str, ...] = ()
    transitions: dict[str, tuple[str, ...]] = {}
    ranks: dict[str, int] = {}
    aliases: tuple[str, ...] = ()


class SchemaBefore(BaseModel):
    model_config = ConfigDict(extra="forbid")

    collection: str
    version: Annotated[int, Field(ge=1, le=SCHEMA_VERSION_MAX)]
    label: Annotated[str, Field(max_length=200)] = ""
    natural_key: tuple[str, ...] = ()
    fields: dict[str, FieldBefore]


class WrittenBefore(BaseModel):
    model_config = ConfigDict(extra="forbid")

    collection: str
    version: int
    label: str = ""
    natural_key: tuple[str, ...] = ()
    fields: list[tuple[str, FieldBefore]]
    former: dict[str, tuple[str, str]] = Field(default={}, max_length=FIELDS_FORMER_MAX)
    former_ranks: dict[str, dict[str, int]] = Field(default={}, max_length=FIELDS_FORMER_MAX)
    settled: list[str] = Field(default=[], max_length=SCHEMAS_SETTLED_MAX)


_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 2_000_000),
    st.integers(),
    st.floats(),
    st.sampled_from(
        (0.0, 1.0, -0.0, 2.0, 1e300, "", "string", "enum", "1", "+1", " 1 ", "1.0", "1.", "1_0", "１", "0x1")
    ),
    st.sampled_from(("true", "TRUE", "yes", "On", "off", "f", "N", "t ", "1\n", "x" * 200, "x" * 201, "-0", "1e3")),
    st.text(max_size=4),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=5,
)


def _tables(model: type[BaseModel]) -> st.SearchStrategy[dict[str, object]]:
    return st.dictionaries(st.sampled_from((*model.model_fields, "other")), _VALUES, max_size=3)


def _same(model: type[BaseModel], checks: dict[str, Check[Any]], required: frozenset[str], data: object) -> None:
    try:
        found: object = settings(data, checks, required)
    except InvalidSchema:
        found = None
    try:
        before: object = model.model_validate(data).model_dump(exclude_unset=True)
    except ValidationError:
        before = None
    assert _json(found) == _json(before)


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True)


@given(_tables(FieldBefore))
@example({"ranks": {"a": "1_000", "b": 2.0, "c": True}})
@example({"required": 1.0, "deprecated": "YES"})
@example({"ranks": {"a": "9" * 4300}})
@example({"ranks": {"a": "9" * 4301}})
@example({"ranks": {"a": "-" + "0" * 5000 + "1"}})
@example({"ranks": {"a": "0_0", "b": "00.0", "c": "\u20031\x85"}})
@example({"ranks": {"a": "\x1f1", "b": "1_" * 4000 + "1"}})
@example({"ranks": {"b": "1_" * 4000 + "1"}})
@example({"ranks": {"a": float("inf")}})
@example({"ranks": {"a": 2.0**63}})
def test_the_settings_of_a_field_are_read_as_before(data: dict[str, object]) -> None:
    data.pop("kind", None)  # of which the registry decides
    _same(FieldBefore, {**_FIELD_CHECKS, "kind": _SCHEMA_CHECKS["collection"]}, frozenset(), data)


_BASE = {"collection": "people", "version": 1, "fields": {}}


@given(_tables(SchemaBefore), st.booleans())
def test_the_settings_of_a_schema_are_read_as_before(data: dict[str, object], whole: bool) -> None:
    data = {**_BASE, **data} if whole else data
    if data.get("fields"):
        data["fields"] = {}
    _same(SchemaBefore, _SCHEMA_CHECKS, _REQUIRED, data)


@given(_tables(WrittenBefore), st.booleans())
@example({"former": {"a": ["value", "string"]}, "former_ranks": {"b": {"c": "1"}}}, True)
@example({"settled": ["x"] * (SCHEMAS_SETTLED_MAX + 1)}, True)
@example({"former": {str(number): ["a", "b"] for number in range(FIELDS_FORMER_MAX + 1)}}, True)
def test_a_definition_is_read_as_before(data: dict[str, object], whole: bool) -> None:
    data = {**_BASE, "fields": [], **data} if whole else data
    if data.get("fields"):
        data["fields"] = []
    _same(WrittenBefore, _WRITTEN, _REQUIRED, data)


def test_a_looser_check_is_noticed() -> None:
    with pytest.raises(AssertionError):
        _same(FieldBefore, {**_FIELD_CHECKS, "label": str}, frozenset(), {"label": 1})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"label": 1}, "'label': it must be a text"),
        ({"label": "x" * (LABEL_LENGTH_MAX + 1)}, "'label': it has 201 characters, and may have 200"),
        ({"required": "perhaps"}, "'required': it must be true or false"),
        ({"choices": "a"}, "'choices': it must be a list"),
        ({"choices": ["a", 1]}, "'choices', '1': it must be a text"),
        ({"ranks": {"a": "x"}}, "'ranks', 'a': it must be a whole number"),
        ({"transitions": []}, "'transitions': it must be a table"),
        ({"type": "number"}, "'type': it must be one of string, integer"),
        ({"kinds": "value"}, "'kinds': there is no such setting; there are kind, type, label"),
    ],
)
def test_a_wrong_setting_is_told_with_its_place(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidSchema) as caught:
        FieldSpec.of(wrong)
    assert caught.value.message.startswith(message)
    with pytest.raises(InvalidSchema) as caught:
        Schema.of({**_BASE, "fields": {"name": wrong}})
    assert caught.value.message.startswith(f"field 'name', {message}")


def test_what_a_program_makes_is_checked_too() -> None:
    with pytest.raises(InvalidSchema, match="'kind': no kind 'magic'"):
        FieldSpec(kind="magic")
    with pytest.raises(InvalidSchema, match="'version': it must be 1 to"):
        Schema(collection="people", version=0, fields={"name": FieldSpec()})
    assert FieldSpec(kind="counter").type == "integer"


def test_a_field_is_told_without_what_needs_no_word() -> None:
    assert FieldSpec().told() == {}
    assert list(FieldSpec(aliases=("mail",), label="Mail", kind="set").told()) == ["kind", "label", "aliases"]
