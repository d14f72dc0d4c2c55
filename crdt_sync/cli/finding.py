"""What `crdt-sync find` looks for: fields with given values, and words anywhere in a record."""

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from crdt_sync.cli.typed_values import read_text
from crdt_sync.errors import InvalidValue, UnknownField, UsageError
from crdt_sync.exchange.known_headers import known_headers
from crdt_sync.ids import collection_of
from crdt_sync.nearest import suggestion
from crdt_sync.records.comparing import folded
from crdt_sync.records.field_values import normalise
from crdt_sync.records.schema import FieldSpec, Schema
from crdt_sync.records.values import restore_value
from crdt_sync.replica import RecordView, Replica
from crdt_sync.replica.finding import contains, holds, holds_text

_TERM = re.compile(r"(\w[\w .()/&-]{0,99}?)\s*(>=|<=|!=|=|>|<)(.*)\Z", re.DOTALL)
_SIGNS = ("=", "!=", ">", ">=", "<", "<=")
_SIGN = re.compile(r"[=<>!≤≥≠]{1,3}")
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip
_ORDERED = frozenset({"integer", "decimal", "date", "datetime"})
_QUOTES = ('"', "'")
_AS_TEXT = "To look for it as text, write --text before it, or put it into a second pair of quotes."


@dataclass(frozen=True, slots=True)
class _Term:
    """A field, one of = != > >= < <=, and the text to compare it with. The field may be called by its label."""

    name: str
    sign: str
    text: str


class Search:
    """Terms such as `field=value` (for a set: one of its members; an empty value: nothing there), `field>value` for
    numbers and dates, and words; all must match. A term in quotes of its own is text.

    `whole_ids` makes whole ids of the short ones in the text for a field that is a reference.
    `words` are the terms that are looked for as text without being in quotes.

    Records whose schema is not here are looked through as well: their values as they are stored, ignoring case.

    The words `visits`, `>`, `1` are one term, as are a field and a word that begins with a sign.

    Raises `UnknownField` and `InvalidValue` for terms that no schema here could match, and `UsageError`.
    """

    def __init__(
        self,
        replica: Replica,
        terms: Sequence[str],
        collection: str | None,
        texts: Sequence[str] = (),
        whole_ids: Callable[[str, FieldSpec, str], str] = lambda _field, _spec, text: text,
    ) -> None:
        self._replica = replica
        self._whole_ids = whole_ids
        self._collection = collection
        schemas = {name: schema for name, schema in replica.schemas.items() if collection in (None, name)}
        terms = _joined(
            terms, lambda name: any(field_named(each, name) or _headed(each, name) for each in schemas.values())
        )
        parsed = [_parsed(term) for term in terms]
        self.words = [word for word in terms if word in parsed]
        self._words = [folded(word) for word in (*texts, *(word for word in parsed if isinstance(word, str)))]
        self._terms = [term for term in parsed if isinstance(term, _Term)]
        known = {
            name: [field_named(schema, term.name) or _headed(schema, term.name) for term in self._terms]
            for name, schema in schemas.items()
        }
        if not replica.schemaless(collection):
            for place, term in enumerate(self._terms):
                if not any(fields[place] for fields in known.values()):
                    names = [name for schema in schemas.values() for name in schema.fields]
                    labels = {label: name for schema in schemas.values() for label, name in _labels(schema).items()}
                    hint = suggestion(term.name, names, "fields", labels)
                    raise UnknownField(f"no field {term.name[:60]!r} here", f"{hint} {_AS_TEXT}")
        self._tests: dict[str, list[Callable[[RecordView], bool]]] = {
            name: [self._test(str(field), schemas[name].fields[str(field)], term)
                   for field, term in zip(fields, self._terms, strict=True)]
            for name, fields in known.items() if all(fields)
        }  # fmt: skip

    def _test(self, field: str, spec: FieldSpec, term: _Term) -> Callable[[RecordView], bool]:
        if spec.type == "reference" and term.sign not in _ORDERS:
            term = replace(term, text=self._whole_ids(field, spec, term.text))
        return _test(field, spec, term)

    def matches(self) -> Iterator[RecordView]:
        """The records that match, in the order of their ids."""
        for view in self._replica.list(self._collection):
            if self._has_values(view) and all(self._has(view, word) for word in self._words):
                yield view

    def _has_values(self, view: RecordView) -> bool:
        collection = collection_of(view.record)
        if view.masked and self._asks_for(collection, view.masked):
            return False  # what they hold is not known here
        if collection not in self._replica.schemas:
            return all(_holds_raw(view.raw.get(term.name), term) for term in self._terms)
        tests = self._tests.get(collection)
        return tests is not None and all(test(view) for test in tests)

    def _asks_for(self, collection: str, fields: Mapping[str, object]) -> bool:
        schema = self._replica.schemas.get(collection)
        return any((schema and field_named(schema, term.name)) in fields for term in self._terms)

    def _has(self, view: RecordView, word: str) -> bool:
        return holds_text(view, word) or contains(view.record, word)


def field_named(schema: Schema, name: str) -> str | None:
    """The field that is called so: its name, or its label or an alias, ignoring case."""
    if name in schema.fields:
        return name
    sought = name.casefold()
    for field, spec in schema.fields.items():
        if sought in (field, *(called.casefold() for called in (spec.label, *spec.aliases))):
            return field
    return None


def _headed(schema: Schema, name: str) -> str | None:
    """The field that other programs call so, in the headers of their tables."""
    sought = name.casefold()
    headers = known_headers(schema).aliases
    found = (field for field, known in headers.items() if sought in (header.casefold() for header in known))
    return next(found, None)


def _labels(schema: Schema) -> dict[str, str]:
    """The field of each label that is not the name of one."""
    labels = {spec.label: name for name, spec in schema.fields.items() if spec.label}
    return {label: name for label, name in labels.items() if label not in schema.fields}


def _joined(words: Sequence[str], is_field: Callable[[str], object]) -> list[str]:
    """The terms in what was typed, in which the parts of one may be words of their own."""
    terms: list[str] = []
    left = list(reversed(words))
    while left:
        word = left.pop()
        if _SIGN.fullmatch(word):
            if word not in _SIGNS or not terms or not left or _TERM.match(terms[-1]):
                raise UsageError(
                    f"{word!r} compares nothing here",
                    f"Write a field, one of {' '.join(_SIGNS)} and a value: 'visits>1'. {_AS_TEXT}",
                )
            terms.append(f"{terms.pop()}{word}{left.pop()}")
        elif terms and word.startswith(_SIGNS) and is_field(terms[-1]):
            terms.append(f"{terms.pop()}{word}")
        else:
            terms.append(word)
    return terms


def _parsed(text: str) -> _Term | str:
    if len(text) > 1 and text[0] in _QUOTES and text[-1] == text[0]:
        return text[1:-1]
    found = _TERM.match(text)
    return text if found is None else _Term(found[1].strip(), found[2], found[3].strip())


def _test(field: str, spec: FieldSpec, term: _Term) -> Callable[[RecordView], bool]:
    """Whether a record's field compares with the value as the term says."""
    if term.sign not in _ORDERS:
        carrier = _carrier(field, spec, term.text)
        wanted = term.sign == "="
        return lambda view: _holds(view, field, spec, carrier) is wanted
    if spec.type not in _ORDERED or spec.rules.several:
        raise InvalidValue(field, f"{term.sign} compares numbers and dates, and this is neither", "Use = or !=.")
    given, order = read_text(field, spec, term.text), _ORDERS[term.sign]
    if given is None:
        raise InvalidValue(field, f"{term.sign} needs a value to compare with", f"Write {term.name}{term.sign}1.")
    limit = restore_value(spec, normalise(field, spec, given))

    def compares(view: RecordView) -> bool:
        value = view.get(field, spec.rules.empty)
        if isinstance(limit, int | Decimal):
            return isinstance(value, int | Decimal) and order(value, limit)
        return isinstance(value, date) and type(value) is type(limit) and order(value, limit)

    return compares


def _carrier(field: str, spec: FieldSpec, text: str) -> object:
    if not text or spec.rules.long:
        return text
    value = read_text(field, spec, text)
    if isinstance(value, list):
        return [normalise(field, spec, member) for member in value]
    return None if value is None else normalise(field, spec, value)


def _holds(view: RecordView, field: str, spec: FieldSpec, wanted: object) -> bool:
    value: Any = view.raw.get(field)
    if wanted in ("", None):
        return spec.rules.is_empty(value)
    if spec.rules.long:
        return contains(value, folded(str(wanted)))
    return holds(field, spec, value, wanted)


def _holds_raw(value: object, term: _Term) -> bool:
    """Whether a stored value, or one in it, is the text, ignoring case; an empty text: nothing there."""
    sought = folded(term.text)
    members = value if isinstance(value, list) else [value]
    equal = any(folded(str(member)) == sought for member in members) if sought else value in (None, "", [], 0)
    return term.sign not in _ORDERS and equal is (term.sign == "=")
