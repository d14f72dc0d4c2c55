"""What a `where` says: `region in user.regions and stage == "lead" or owner == user.id`.

    where       = alternative { "or" alternative }
    alternative = condition { "and" condition }
    condition   = field "==" ( constant | user.NAME ) | field "in" ( user.NAME | "[" constant { "," constant } "]" )
    constant    = a text in quotes | a whole number | true | false

There is no `not` and there are no brackets around conditions, so that each alternative can be found by one of its
values. A text has no escapes. `field == ""` is met where a field shows nothing. An attribute of several values is met
by each of them, with `==` as with `in`. Reading takes one pass and does not recurse.
"""

import re

from crdt_sync.errors import UsageError
from crdt_sync.ids import is_collection
from crdt_sync.limits import ATTRIBUTE_VALUES_MAX, CONDITIONS_MAX, INTEGER_EXACT_MAX, WHERE_LENGTH_MAX
from crdt_sync.policy.model import Condition, Where
from crdt_sync.policy.values import form

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"[^"\\]*"|'[^'\\]*')|(?P<number>-?[0-9]+(?![\w.]))|(?P<user>user\.[^\W\d][\w-]*)"""
    r"""|(?P<word>[^\W\d][\w-]*)|(?P<sign>==|\[|\]|,)|(?P<other>\S))"""
)
_TRUTHS = {"true": True, "false": False, "True": True, "False": False}
_RESERVED = frozenset({"and", "or", "in", "not", "user", *_TRUTHS})
_CONSTANT = 'A text in quotes of at most 200 characters, a whole number, true or false: "lead", 7.'
_SHAPE = "Compare a field: field == value, field in [value, value], field == user.id, field in user.NAME."


class WrongWhere(UsageError):
    """A `where` that cannot be read."""

    code = "invalid_policy"


def parse_where(text: str) -> Where:
    """Read it. Raises `WrongWhere`."""
    if len(text) > WHERE_LENGTH_MAX:
        raise WrongWhere(
            f"'where' has {len(text)} characters, and may have {WHERE_LENGTH_MAX}",
            "Put the values into an attribute of the users, and compare with that: field in user.NAME.",
        )
    return _Reader(text).where()


class _Reader:
    """Goes over the tokens of one text."""

    def __init__(self, text: str) -> None:
        self._tokens = [(str(each.lastgroup), each[0].strip()) for each in _TOKEN.finditer(text)]
        self._next = 0

    def where(self) -> Where:
        alternatives: list[tuple[Condition, ...]] = []
        conditions: list[Condition] = []
        count = 0
        while True:
            conditions.append(self._condition())
            count += 1
            if count > CONDITIONS_MAX:
                raise WrongWhere(
                    f"'where' has more than {CONDITIONS_MAX} comparisons", "Split the grant, or compare with a list."
                )
            kind, token = self._take()
            if token == "and" and kind == "word":
                continue
            alternatives.append(tuple(conditions))
            conditions = []
            if kind == "end":
                return tuple(alternatives)
            if (kind, token) != ("word", "or"):
                raise _wrong(token, "'and' or 'or' was expected", _hint_between(token))

    def _condition(self) -> Condition:
        kind, field = self._take()
        if kind != "word" or field in _RESERVED or not is_collection(field):
            raise _wrong(field, "the name of a field was expected", _hint_field(kind, field))
        _, sign = self._take()
        if sign == "==":
            kind, token = self._take()
            if kind == "user":
                return Condition(field, (), token[5:], f"{field} == {token}")
            constant = self._constant(kind, token)
            return Condition(field, (constant,), "", f"{field} == {_written(kind, token)}")
        if sign == "in":
            kind, token = self._take()
            if kind == "user":
                return Condition(field, (), token[5:], f"{field} in {token}")
            if token == "[" and kind == "sign":
                values, written = self._list()
                return Condition(field, values, "", f"{field} in [{', '.join(written)}]")
            raise _wrong(token, "a list or an attribute of the user was expected", _SHAPE)
        raise _wrong(sign, "'==' or 'in' was expected", _SHAPE)

    def _list(self) -> tuple[tuple[str, ...], list[str]]:
        values: list[str] = []
        written: list[str] = []
        while True:
            kind, token = self._take()
            values.append(self._constant(kind, token))
            written.append(_written(kind, token))
            if len(values) > ATTRIBUTE_VALUES_MAX:
                raise WrongWhere(f"a list has more than {ATTRIBUTE_VALUES_MAX} values", "Use an attribute of the user.")
            _, sign = self._take()
            if sign == "]":
                return tuple(dict.fromkeys(values)), written
            if sign != ",":
                raise _wrong(sign, "',' or ']' was expected", _SHAPE)

    def _constant(self, kind: str, token: str) -> str:
        value: object = None
        if kind == "text":
            value = token[1:-1]
        elif kind == "number" and len(token) <= len(str(INTEGER_EXACT_MAX)) + 1:
            value = int(token)
        elif kind == "word":
            value = _TRUTHS.get(token)
        found = None if value is None else form(value)
        if found is None:
            raise _wrong(token, "a value was expected", _CONSTANT)
        return found

    def _take(self) -> tuple[str, str]:
        token = self._tokens[self._next] if self._next < len(self._tokens) else ("end", "")
        self._next += 1
        return token


def _wrong(token: str, expected: str, hint: str) -> WrongWhere:
    place = f"{token[:40]!r}" if token else "its end"
    return WrongWhere(f"'where' cannot be read at {place}: {expected}", hint)


def _written(kind: str, token: str) -> str:
    return f'"{token[1:-1]}"' if kind == "text" and '"' not in token[1:-1] else token


def _hint_between(token: str) -> str:
    return "Two conditions are joined by 'and' or 'or'; brackets are not needed." if token in "()" else _SHAPE


def _hint_field(kind: str, token: str) -> str:
    if token == "not":
        return "There is no 'not': name the values that are meant, field in [value, value]."
    if token == "(":
        return "There are no brackets: write a or inside an and out, 'a and c or b and c'."
    if kind == "user":
        return "The field comes first: field == user.NAME, field in user.NAME."
    return _SHAPE
