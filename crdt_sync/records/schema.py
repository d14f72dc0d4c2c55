"""Schemas: what the fields of one collection are. A TOML file, versioned, kept in every replica."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Self, get_args

from crdt_sync.errors import InvalidSchema, UnknownField
from crdt_sync.ids import SCHEMAS, SECTION_MARK, is_collection
from crdt_sync.limits import FIELDS_MAX, LABEL_LENGTH_MAX, SCHEMA_VERSION_MAX
from crdt_sync.nearest import suggestion
from crdt_sync.records import settings_input
from crdt_sync.records.field_settings import FieldSettings, Type
from crdt_sync.records.kind import FieldKind
from crdt_sync.records.kinds import KINDS
from crdt_sync.records.roots import Layout
from crdt_sync.records.settings_input import Check, Misfit

_SECTION = re.compile(r"\A[a-z][a-z0-9_-]{0,31}\Z")

_FILTER_TYPES = ("string", "enum", "reference", "integer", "boolean")

_CHOSEN = tuple(name for name, kind in KINDS.items() if not kind.internal)


def _known_kind(value: object) -> str:
    kind = settings_input.text(value)
    if kind not in KINDS:
        raise Misfit(f"no kind {kind[:60]!r}; the kinds are {', '.join(sorted(_CHOSEN))}")
    return kind


_label = settings_input.short_text(LABEL_LENGTH_MAX)
_texts = settings_input.several(settings_input.text)
_FIELD_CHECKS: dict[str, Check[Any]] = {
    "kind": _known_kind,
    "type": settings_input.one_of(get_args(Type)),
    "label": _label,
    "required": settings_input.truth,
    "deprecated": settings_input.truth,
    "section": settings_input.optional(settings_input.text),
    "filter": settings_input.truth,
    "choices": _texts,
    "collection": settings_input.optional(settings_input.text),
    "states": _texts,
    "transitions": settings_input.named(_texts),
    "ranks": settings_input.named(settings_input.whole),
    "aliases": _texts,
}


@dataclass(frozen=True, kw_only=True)
class FieldSpec(FieldSettings):
    """The same of a kind that is known here, and whose settings fit each other. Without a `type` it has that of its
    kind. Raises `InvalidSchema`.
    """

    type: Type = ""  # type: ignore[assignment]  # until its kind says which

    def __post_init__(self) -> None:
        given = {name: value for name, value in vars(self).items() if name != "type" or value}
        found = settings_input.settings(given, _FIELD_CHECKS)
        for name, value in {"type": KINDS[found["kind"]].default_type, **found}.items():
            object.__setattr__(self, name, value)
        problem = _field_problem(self)
        if problem:
            raise Misfit(problem)

    @classmethod
    def of(cls, value: object) -> Self:
        """A field as it is, or from a table of its settings. Raises `InvalidSchema`."""
        return value if isinstance(value, cls) else cls(**settings_input.settings(value, _FIELD_CHECKS))

    def told(self) -> dict[str, Any]:
        """The settings that are not as they would be without a word, in the order of their declaration."""
        return {name: value for name in _FIELD_CHECKS if (value := getattr(self, name)) != getattr(_UNTOLD, name)}

    @property
    def can_filter(self) -> bool:
        """Whether `filter` may be set: it shows one value, which is not for people to decide, and equal for all."""
        return self.rules.filters and self.type in _FILTER_TYPES

    @property
    def can_mask(self) -> bool:
        """Whether a part of it can be shown: it is in a section and holds one value, of which there is a last part."""
        return bool(self.section) and self.rules.layout is Layout.ENTRIES

    @property
    def rules(self) -> FieldKind:
        """What the kind of the field says: how it merges, is shown, written, read and compared."""
        return KINDS[self.kind]


_UNTOLD = FieldSettings()
_SCHEMA_CHECKS: dict[str, Check[Any]] = {
    "collection": settings_input.text,
    "version": settings_input.between(1, SCHEMA_VERSION_MAX),
    "label": _label,
    "natural_key": _texts,
    "signed": settings_input.truth,
    "fields": settings_input.named(FieldSpec.of),
}


@dataclass(frozen=True, kw_only=True)
class Schema:
    """The fields of one collection. `natural_key` names the fields that identify a record on every device. `signed`:
    what is written into fields whose values are entries is signed by its author's device, see `signatures`.

    Raises `InvalidSchema`.
    """

    collection: str
    version: int
    label: str = ""
    natural_key: tuple[str, ...] = ()
    signed: bool = False
    fields: Mapping[str, FieldSpec]

    def __post_init__(self) -> None:
        for name, value in settings_input.settings(vars(self), _SCHEMA_CHECKS).items():
            object.__setattr__(self, name, value)
        problem = _schema_problem(self)
        if problem:
            raise Misfit(problem)

    @classmethod
    def of(cls, value: object) -> Self:
        """A schema from a table of its settings. Raises `InvalidSchema`."""
        required = frozenset({"collection", "version", "fields"})
        return cls(**settings_input.settings(value, _SCHEMA_CHECKS, required))

    def field(self, name: str) -> FieldSpec:
        """The field of that name. Raises `UnknownField` that says which one may be meant."""
        spec = self.fields.get(name)
        if spec is None:
            raise UnknownField(f"{self.collection} has no field {name[:60]!r}", suggestion(name, self.fields, "fields"))
        return spec

    @cached_property
    def sections(self) -> Mapping[str, "Schema"]:
        """Each section with a schema of its fields alone, as its companions hold them; by name."""
        found: dict[str, dict[str, FieldSpec]] = {}
        for name, spec in self.fields.items():
            if spec.section:
                found.setdefault(spec.section, {})[name] = spec
        return {section: replace(self, natural_key=(), fields=found[section]) for section in sorted(found)}

    def to_toml(self) -> str:
        """The schema as TOML text that `parse_schema` reads back to an equal schema."""
        lines = [f"{key} = {_toml(getattr(self, key))}" for key in ("collection", "version", "label", "natural_key")]
        if self.signed:
            lines.append("signed = true")
        for name, spec in self.fields.items():
            lines += ["", f"[fields.{name}]"]
            given = {"kind": spec.kind, "type": spec.type, **spec.told()}
            lines += [f"{key} = {_toml(value)}" for key, value in given.items()]
        return "\n".join(lines) + "\n"


@lru_cache(maxsize=64)
def parse_schema(text: str, source: str) -> Schema:
    """Read a schema from TOML text. Raises `InvalidSchema` that names `source` and the field.

    Reading takes milliseconds and a schema never changes, so the last ones are kept.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidSchema(f"{source}: not valid TOML: {error}", "Correct the line that is named.") from None
    except RecursionError:
        raise InvalidSchema(f"{source}: nested too deeply", "A schema needs three levels.") from None
    except ValueError:
        raise InvalidSchema(f"{source}: a number in it is far too long", "Shorten it.") from None
    try:
        return Schema.of(data)
    except Misfit as error:
        raise InvalidSchema(f"{source}: {error.message}", "Correct the schema file and try again.") from None


def load_schema(path: Path) -> Schema:
    """Read a schema file. Raises `InvalidSchema`."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidSchema(
            f"{path}: cannot be read: {error.strerror or error}", "Check the path and its permissions."
        ) from None
    except UnicodeDecodeError:
        raise InvalidSchema(f"{path}: is not UTF-8 text", "Save the file as UTF-8.") from None
    return parse_schema(text, str(path))


def bundled_schema(name: str) -> Schema:
    """A schema that comes with this library, such as 'customers'. Raises `InvalidSchema`."""
    folder = resources.files("crdt_sync.records") / "schemas"
    known = sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))
    if name not in known:
        raise InvalidSchema(f"no bundled schema {name[:60]!r}", f"Bundled schemas: {', '.join(known)}.")
    return parse_schema((folder / f"{name}.toml").read_text(encoding="utf-8"), f"bundled schema {name!r}")


def _field_problem(spec: FieldSpec) -> str:
    if (spec.type == "enum") != bool(spec.choices):
        return "type 'enum' and 'choices' belong together: give both or neither"
    if spec.collection is not None and spec.type != "reference":
        return "'collection' belongs to type 'reference'"
    if spec.collection is not None and not is_collection(spec.collection):
        return f"'collection' is not the name of a collection: {spec.collection!r}"
    if len(set(spec.states)) != len(spec.states) or len(set(spec.choices)) != len(spec.choices):
        return "a state or choice is named twice"
    if spec.section is not None and not _SECTION.match(spec.section):
        return "'section' is lower case, starts with a letter and has at most 32 characters"
    if spec.section is not None and SECTION_MARK in spec.section:
        return f"'section' {spec.section!r} has {SECTION_MARK!r} in it, which stands between collection and section"
    if spec.section is not None and (spec.filter or spec.required):
        what = "'filter'" if spec.filter else "'required'"
        return f"{what} is of fields in no section: who may not see {spec.section!r} could not go by it"
    if spec.filter and not spec.can_filter:
        kinds = " or ".join(repr(kind.name) for kind in KINDS.values() if kind.filters)
        types = ", ".join(_FILTER_TYPES)
        return f"'filter' needs kind {kinds} and a type of {types}; this is a {spec.kind} of type {spec.type}"
    return spec.rules.problem(spec)


def _schema_problem(schema: Schema) -> str:
    if not is_collection(schema.collection):
        return f"'collection' must be lower case and start with a letter: {schema.collection!r}"
    if SECTION_MARK in schema.collection:
        return f"'collection' {schema.collection!r}: names with {SECTION_MARK!r} are those of sections"
    if schema.collection != SCHEMAS and any(spec.rules.internal for spec in schema.fields.values()):
        return f"kind 'definition' is for definitions alone; the kinds are {', '.join(sorted(_CHOSEN))}"
    if not 1 <= len(schema.fields) <= FIELDS_MAX:
        return f"a schema has 1 to {FIELDS_MAX} fields, this one has {len(schema.fields)}"
    sections = {spec.section for spec in schema.fields.values()}
    for section in sorted(filter(None, sections)):
        if not is_collection(f"{schema.collection}{SECTION_MARK}{section}"):
            return f"section {section!r}: with the name of the collection it has more than 46 characters"
    for name in schema.fields:
        if name in sections:
            return f"{name!r} names a field and a section: a policy could not tell which is meant"
        if name.startswith("_"):
            return f"field {name!r}: names that begin with '_' are reserved"
        if not is_collection(name):
            return f"field {name!r}: a field name is lower case, starts with a letter, at most 48 characters"
    if len(set(schema.natural_key)) != len(schema.natural_key):
        return "'natural_key' names a field twice"
    for name in schema.natural_key:
        spec = schema.fields.get(name)
        if spec is None:
            return f"'natural_key' names the unknown field {name!r}"
        if spec.section is not None:
            return f"'natural_key' names {name!r}, which is in the section {spec.section!r}: a key is seen by all"
        if not spec.rules.in_key:
            fit = " or ".join(repr(kind.name) for kind in KINDS.values() if kind.in_key)
            return f"'natural_key' names {name!r} of kind {spec.kind!r}; it must be {fit}"
    owners: dict[str, str] = {}
    for name, spec in schema.fields.items():
        for alias in (name, *spec.aliases):
            owner = owners.setdefault(alias.casefold(), name)
            if owner != name:
                return f"field {name!r}: the name or alias {alias!r} belongs to {owner!r} already"
    return ""


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _toml_text(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_toml_text(key)} = {_toml(member)}" for key, member in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return str(value)


def _toml_text(text: str) -> str:
    return f'"{text.translate(_ESCAPED)}"'


_ESCAPED = str.maketrans({'"': '\\"', "\\": "\\\\"} | {chr(code): f"\\u{code:04x}" for code in (*range(0x20), 0x7F)})
