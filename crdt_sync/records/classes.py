"""Classes as schemas: a dataclass or a Pydantic model whose attributes are the fields of a collection.

    @dataclass
    class Person:
        email: str
        phone: Annotated[str | None, merged("review")] = None
        tags: set[str] = field(default_factory=set)
        visits: Annotated[int, merged("counter")] = 0

A schema is derived from a class (`schema_for`), or the class is read against one that is there (`Shape.check`): it may
have fewer fields. `set[X]` and `frozenset[X]` are sets, `list[X]` and `tuple[X, ...]` logs, of which the values alone
are seen; all else holds one value.
"""

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from crdt_sync.errors import InvalidSchema, InvalidValue
from crdt_sync.records.editor import Editor
from crdt_sync.records.roots import Layout
from crdt_sync.records.schema import FieldSpec, Schema
from crdt_sync.records.settings_input import Misfit

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

T = TypeVar("T")
_TYPES: dict[object, str] = {
    str: "string", int: "integer", Decimal: "decimal", bool: "boolean", date: "date", datetime: "datetime",
    dict: "json", Any: "json", object: "json",
}  # fmt: skip
_PYTHON: dict[str, type] = {
    "string": str, "enum": str, "reference": str, "integer": int, "decimal": Decimal, "boolean": bool, "date": date,
    "datetime": datetime,
}  # fmt: skip
_CONTAINERS: dict[object, tuple[str, Layout]] = {
    set: ("set", Layout.MEMBERS), frozenset: ("set", Layout.MEMBERS), list: ("log", Layout.LOG),
    tuple: ("log", Layout.LOG),
}  # fmt: skip


@dataclass(frozen=True)
class Merged:
    """What a schema says of a field beside its type; see `merged`."""

    settings: Mapping[str, object]


def merged(kind: str | None = None, **settings: object) -> Merged:
    """Says how concurrent edits of an attribute merge, in `Annotated`, and whatever else a field of a schema has.

    `Annotated[str, merged("stage", states=("lead", "won"))]`. See docs/schemas.md for kinds and settings.
    """
    return Merged(settings if kind is None else {"kind": kind, **settings})


@dataclass(frozen=True)
class Attribute:
    """One attribute of a class. `of` is the type that its values, members or entries have in a schema.

    `argument` is what the class calls it when an instance is made, as Pydantic has aliases. `required`: the class has
    no default for it; `optional`: it may be None.
    """

    name: str
    argument: str
    of: str
    container: Callable[..., object] | None
    choices: tuple[str, ...]
    optional: bool
    required: bool
    settings: Mapping[str, object]

    def spec(self) -> dict[str, object]:
        """The field of the schema."""
        kind = _CONTAINERS[self.container][0] if self.container else "value"
        given: dict[str, object] = {"kind": kind, "type": self.of, **self.settings}
        if self.choices and "states" not in given:
            given["choices"] = self.choices
        if "states" in given or given["kind"] == "text":
            given["type"] = "string"
        if self.required and not self.optional and given["kind"] not in ("text", "set", "log", "counter"):
            given.setdefault("required", True)
        return given

    def problem(self, spec: FieldSpec) -> str:
        """Why the attribute cannot show such a field; empty where it can."""
        several = {Layout.MEMBERS: "set", Layout.LOG: "list"}.get(spec.rules.layout, "")
        kind = self.settings.get("kind", spec.kind)
        if kind != spec.kind and kind not in spec.rules.successors and not {kind, spec.kind} <= {"value", "review"}:
            return f"the field is a {spec.kind}, and the class says {kind}"
        if (_CONTAINERS[self.container][1] if self.container else None) != (spec.rules.layout if several else None):
            return f"the field is a {spec.kind}: write {several}[...]" if several else f"the field is a {spec.kind}"
        known = _PYTHON.get(spec.type)
        if known is not None and _PYTHON.get(self.of) is not known and self.of != "json":
            return f"the field has type {spec.type}: write {known.__name__}"
        if known is None and self.of != "json":
            return "the field holds JSON: write Any"
        if self.required and not self.optional and not spec.required and spec.rules.empty is None:
            return "records may lack it: give it a default, or let it be None"
        return ""

    def read(self, spec: FieldSpec, shown: object) -> object:
        """The value for the class, from what is shown, None where that is nothing; `ABSENT` leaves it to the default.

        Raises `InvalidValue` where what is shown does not fit.
        """
        if shown is None and spec.rules.empty is not None:
            shown = spec.rules.restore(spec, deepcopy(spec.rules.empty))
        if shown is None:
            if self.required and not self.optional:
                raise InvalidValue(self.name, "it holds nothing, and the class needs a value", _SEE)
            return None if self.optional else ABSENT  # never its default: whoever writes None would read that
        if self.container is None:
            return deepcopy(self._checked(shown))
        if not isinstance(shown, list):
            raise InvalidValue(self.name, f"it holds {shown!r:.60}, which is no list", _SEE)
        log = _CONTAINERS[self.container][1] is Layout.LOG
        values = [line["value"] if log and isinstance(line, dict) else line for line in shown]
        try:
            return self.container(self._checked(value) for value in values)
        except TypeError:  # of JSON
            problem = "it holds an object or a list, which no set of Python holds"
            raise InvalidValue(self.name, problem, _SEE) from None

    def write(self, editor: Editor, before: object, after: object) -> None:
        """Write what was changed. Raises what the editor raises."""
        if self.container is None:
            if after != before or type(after) is not type(before):
                editor[self.name] = after
        elif _CONTAINERS[self.container][1] is Layout.MEMBERS:
            old, new = _members(self.name, before), _members(self.name, after)
            for member in [each for each in new if each not in old]:
                editor.add(self.name, member)
            for member in [each for each in old if each not in new]:
                editor.remove(self.name, member)
        else:
            old, new = _members(self.name, before), _members(self.name, after)
            if new[: len(old)] != old:
                raise InvalidValue(self.name, "a log only grows", "Append to it.")
            for line in new[len(old) :]:
                editor.append(self.name, line)

    def _checked(self, value: object) -> object:
        python = _PYTHON.get(self.of)
        if python is not None and type(value) is not python:
            raise InvalidValue(self.name, f"it holds {value!r:.60}, and the class says {python.__name__}", _SEE)
        if self.choices and value not in self.choices:
            raise InvalidValue(self.name, f"it holds {value!r:.60}, which the class does not know", _SEE)
        return value


ABSENT = object()
"""Nothing is shown: the class has a default."""
_SEE = "Read it as it is: replica.get(RECORD)."


class Shape(Generic[T]):
    """A class and its attributes. Raises `InvalidSchema` for a class that no schema has the like of."""

    def __init__(self, of: type[T]) -> None:
        self.of = of
        self.attributes = {each.name: each for each in _attributes(of)}

    def check(self, schema: Schema) -> None:
        """Raise `InvalidSchema` unless the class can show records of that schema, `UnknownField` where it has no field
        of an attribute's name.
        """
        for name, attribute in self.attributes.items():
            problem = attribute.problem(schema.field(name))
            if problem:
                raise _unfit(self.of, name, problem)

    def read(self, schema: Schema, shown: Callable[[str], object]) -> T:
        """An instance, of what is shown of each field. Raises `InvalidValue`."""
        values = {name: each.read(schema.field(name), shown(name)) for name, each in self.attributes.items()}
        arguments = {self.attributes[name].argument: value for name, value in values.items() if value is not ABSENT}
        try:
            return self.of(**arguments)
        except (ValueError, TypeError, AssertionError) as error:  # Pydantic's, or of its own code, say `__post_init__`
            field, problem = self._told(error)
            raise InvalidValue(field, f"{self.of.__name__} does not take it: {problem}", _SEE) from error

    def _told(self, error: Exception) -> tuple[str, object]:
        """The field, if it is known, and what is wrong with it."""
        if not isinstance(error, _pydantic("ValidationError")):
            return "record", error
        first = error.errors(include_url=False)[0]
        place = str(first["loc"][0]) if first["loc"] else "record"
        return next((each.name for each in self.attributes.values() if each.argument == place), place), first["msg"]

    def values(self, instance: T) -> dict[str, object]:
        """What an instance holds, as a copy."""
        return {name: deepcopy(getattr(instance, name)) for name in self.attributes}

    def write(self, editor: Editor, before: Mapping[str, object], instance: T) -> None:
        """Write what an instance holds otherwise than `before`. Raises what the editor raises."""
        for name, attribute in self.attributes.items():
            attribute.write(editor, before[name], getattr(instance, name))

    def nothing(self) -> dict[str, object]:
        """What a new record holds."""
        return {
            name: each.container() if each.container else {"counter": 0, "text": ""}.get(str(each.settings.get("kind")))
            for name, each in self.attributes.items()
        }


def schema_for(
    of: type[object], collection: str, version: int = 1, *, natural_key: Sequence[str] = (), label: str = ""
) -> Schema:
    """The schema of a collection whose fields are the attributes of a class. Raises `InvalidSchema`.

    An attribute that has no default and may not be None is required, unless its kind starts empty.
    """
    given = {name: attribute.spec() for name, attribute in Shape(of).attributes.items()}
    try:
        return Schema.of(
            {"collection": collection, "version": version, "label": label, "natural_key": natural_key, "fields": given}
        )
    except Misfit as error:
        raise InvalidSchema(f"{of.__name__}: {error.message}", "Correct the class and try again.") from None


def _attributes(of: type[object]) -> list[Attribute]:
    fields = getattr(of, "__pydantic_fields__", None) if isinstance(of, type) else None
    if fields is not None:
        taken = {name: (_argument(of, name, each), each.is_required()) for name, each in fields.items()}
    elif isinstance(of, type) and dataclasses.is_dataclass(of):
        missing = dataclasses.MISSING
        taken = {
            each.name: (each.name, each.default is missing and each.default_factory is missing)
            for each in dataclasses.fields(of)
            if each.init
        }
    else:
        raise InvalidSchema(f"{of!r:.60} is neither a dataclass nor a Pydantic model", "Make it one: @dataclass.")
    try:
        hints = get_type_hints(of, include_extras=True)
    except NameError as error:
        raise InvalidSchema(f"{of.__name__}: {error}", "Define or import what its annotations name.") from None
    return [_attribute(of, name, argument, hints[name], needed) for name, (argument, needed) in taken.items()]


def _argument(of: type[object], name: str, info: "FieldInfo") -> str:
    """What a Pydantic model, or dataclass, calls a field when an instance is made."""
    config = getattr(of, "model_config", None) or getattr(of, "__pydantic_config__", {})
    alias = info.validation_alias
    if alias is None or config.get("populate_by_name") or config.get("validate_by_name"):
        return name
    for each in alias.choices if isinstance(alias, _pydantic("AliasChoices")) else (alias,):
        if isinstance(each, str):
            return each
    raise _unfit(of, name, "no record is read by a path: give it an alias that is a name, or none")


def _pydantic(name: str) -> Any:
    """A class of Pydantic; nothing, that nothing is an instance of, where none of its models has been made."""
    return getattr(sys.modules.get("pydantic"), name, ())


def _attribute(of: type[object], name: str, argument: str, hint: object, required: bool) -> Attribute:
    settings: dict[str, object] = {}
    optional, container, choices = False, None, ()
    while True:
        origin, given = get_origin(hint), get_args(hint)
        if origin is Annotated:
            hint = given[0]
            for each in given[1:]:
                settings |= each.settings if isinstance(each, Merged) else {}
        elif origin in (Union, UnionType) and len(given) == 2 and NoneType in given:
            optional, hint = True, next(each for each in given if each is not NoneType)
        else:
            break
    if settings.get("type") == "json" and settings.get("kind") not in ("set", "log"):
        return Attribute(name, argument, "json", None, (), optional, required, settings)
    if origin in _CONTAINERS:
        container, hint = origin, given[0]
        origin, given = get_origin(hint), get_args(hint)
    if origin is Literal and all(isinstance(each, str) for each in given):
        choices, found = given, "enum"
    else:
        found = _TYPES.get(origin or hint, "")
    if not found:
        raise _unfit(of, name, f"no field holds {hint!r:.80}")
    if container is not None and optional:
        raise _unfit(of, name, "it is empty where nothing is there, never None")
    return Attribute(name, argument, found, container, choices, optional, required, settings)


def _members(field: str, value: object) -> list[object]:
    if not isinstance(value, (set, frozenset, list, tuple)):
        raise InvalidValue(field, f"{value!r:.60} is no set or list", "Change its members.")
    return list(value)


def _unfit(of: type[object], name: str, problem: str) -> InvalidSchema:
    return InvalidSchema(f"{of.__name__}.{name}: {problem}", "Correct the class, or see 'crdt-sync schema show'.")
