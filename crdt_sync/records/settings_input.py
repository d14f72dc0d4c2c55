"""What TOML, JSON or a program says of a schema, checked setting by setting.

A check takes a value and returns it as a schema holds it. Numbers and truths may be written as texts, as
releases before this one took them: a definition that one device reads and another does not would make them differ.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from crdt_sync.errors import InvalidSchema

T = TypeVar("T")
Check = Callable[[object], T]

_WHOLE = re.compile(r"(\d+(?:_\d+)*)(?:\.0+)?", re.ASCII)
_SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_DIGITS_MAX = 4300  # of a number, as Python reads and writes them
_TOO_LARGE = 10**_DIGITS_MAX
_FLOAT_BELOW = 2.0**63
_TRUTHS = {
    **dict.fromkeys((0, "0", "off", "f", "false", "n", "no"), False),
    **dict.fromkeys((1, "1", "on", "t", "true", "y", "yes"), True),
}


class Misfit(InvalidSchema):
    """A setting is wrong. `path` are the names that lead to it, of fields and settings."""

    def __init__(self, problem: str, path: tuple[str, ...] = ()) -> None:
        if path[:1] == ("fields",) and len(path) > 1:
            where = f"field {path[1]!r:.80}" + "".join(f", {part!r:.80}" for part in path[2:])
        else:
            where = ", ".join(f"{part!r:.80}" for part in path)
        super().__init__(f"{where}: {problem}" if where else problem, "See docs/schemas.md for the settings.")
        self.problem = problem
        self.path = path


def text(value: object) -> str:
    """A text."""
    if not isinstance(value, str):
        raise Misfit("it must be a text")
    return value


def short_text(most: int) -> Check[str]:
    """A text of at most so many characters."""

    def check(value: object) -> str:
        if len(found := text(value)) > most:
            raise Misfit(f"it has {len(found)} characters, and may have {most}")
        return found

    return check


def optional(check: Check[T]) -> Check[T | None]:
    """None, or what passes the check."""
    return lambda value: None if value is None else check(value)


def truth(value: object) -> bool:
    """True or false."""
    found = (
        _TRUTHS.get(value.lower() if isinstance(value, str) else value)
        if isinstance(value, (str, int, float))
        else None
    )
    if found is None:
        raise Misfit("it must be true or false")
    return found


def whole(value: object) -> int:
    """A whole number."""
    if isinstance(value, int):
        if abs(value) >= _TOO_LARGE:  # a hexadecimal one may be; no definition could be written with it
            raise Misfit(f"a number has at most {_DIGITS_MAX} digits")
        return int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < _FLOAT_BELOW:
        return int(value)
    if isinstance(value, str) and (found := _whole_text(value.strip(_SPACES))) is not None:
        return found
    raise Misfit("it must be a whole number")


def _whole_text(value: str) -> int | None:
    sign = value[:1] if value[:1] in {"+", "-"} else ""
    digits = value[len(sign) :]
    rest = digits.lstrip("0")
    found = _WHOLE.fullmatch(rest if rest[:1].isdecimal() else digits[-len(rest) - 1 :])  # with one zero before it
    number = "" if found is None else found[1].replace("_", "")
    return int(sign + number) if 0 < len(number) <= _DIGITS_MAX else None


def between(least: int, most: int) -> Check[int]:
    """A whole number in these bounds."""

    def check(value: object) -> int:
        if not least <= (found := whole(value)) <= most:
            raise Misfit(f"it must be {least} to {most}")
        return found

    return check


def one_of(names: tuple[str, ...]) -> Check[str]:
    """One of these texts."""

    def check(value: object) -> str:
        if not isinstance(value, str) or value not in names:
            raise Misfit(f"it must be one of {', '.join(names)}")
        return value

    return check


def several(check: Check[T], most: int | None = None) -> Check[tuple[T, ...]]:
    """A list of what passes the check, of at most so many."""

    def checked(value: object) -> tuple[T, ...]:
        if not isinstance(value, (list, tuple)):
            raise Misfit("it must be a list")
        if most is not None and len(value) > most:
            raise Misfit(f"it has {len(value)} entries, and may have {most}")
        return tuple(_at(str(number), check, each) for number, each in enumerate(value))

    return checked


def named(check: Check[T], most: int | None = None) -> Check[dict[str, T]]:
    """A table of names and what passes the check, of at most so many."""

    def checked(value: object) -> dict[str, T]:
        if not isinstance(value, Mapping):
            raise Misfit("it must be a table")
        if most is not None and len(value) > most:
            raise Misfit(f"it has {len(value)} entries, and may have {most}")
        return {text(name): _at(text(name), check, each) for name, each in value.items()}

    return checked


def pair(first: Check[Any], second: Check[Any]) -> Check[tuple[Any, Any]]:
    """A list of two."""

    def checked(value: object) -> tuple[Any, Any]:
        if not isinstance(value, (list, tuple)) or len(value) != 2:
            raise Misfit("it must be a list of two")
        return _at("0", first, value[0]), _at("1", second, value[1])

    return checked


def settings(value: object, checks: Mapping[str, Check[Any]], required: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Those settings of a table that are given, checked. Raises `Misfit` for others, and where one is missing."""
    if not isinstance(value, Mapping):
        raise Misfit("it must be a table")
    found = {}
    for name, check in checks.items():
        if name in value:
            found[name] = _at(name, check, value[name])
        elif name in required:
            raise Misfit("it is missing", (name,))
    for name in value:
        if name not in checks:
            raise Misfit(f"there is no such setting; there are {', '.join(checks)}", (str(name),))
    return found


def _at(name: str, check: Check[T], value: object) -> T:
    try:
        return check(value)
    except Misfit as misfit:
        raise Misfit(misfit.problem, (name, *misfit.path)) from None
