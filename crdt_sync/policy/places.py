"""Which line of a TOML text says what: the library that reads TOML tells it of no value.

The text has been read already, so it is valid. A line that begins a table or a value is found by how it begins; lines
inside texts and lists that go over several are passed over. What stands inside an inline table has the line of that.
"""

import re
import tomllib
from collections.abc import Iterator
from typing import Any

Step = str | int
"""A key, or the place in an array of tables, from 0."""

_PART = r"""(?:"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)"""
_PATH = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_TABLE = re.compile(rf"[ \t]*(\[\[?)[ \t]*({_PATH})[ \t]*\]")
_KEY = re.compile(rf"[ \t]*({_PATH})[ \t]*=")
QUOTED = r"""\"{3}(?:[^\\]|\\.)*?\"{3,5}|'{3}.*?'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|\#[^\n]*"""
"""Texts of all four kinds, and remarks: in them nothing begins."""

_TOKEN = re.compile(QUOTED + r"|[\[\]{}\n]", re.DOTALL)


class Places:
    """The lines of one text."""

    def __init__(self, text: str) -> None:
        self._lines: dict[tuple[Step, ...], int] = {}
        counts: dict[tuple[Step, ...], int] = {}
        table: tuple[Step, ...] = ()
        for number, line in _beginnings(text.replace("\r\n", "\n")):
            if head := _TABLE.match(line):
                table = _resolved(_parts(head[2]), counts, one_more=head[1] == "[[")
                for end in range(1, len(table) + 1):
                    self._lines.setdefault(table[:end], number)
            elif key := _KEY.match(line):
                path = (*table, *_parts(key[1]))
                for end in range(len(table) + 1, len(path) + 1):
                    self._lines.setdefault(path[:end], number)

    def line(self, *path: Step) -> int:
        """The line of what is at `path`, or of the nearest thing around it; 0 where nothing of it stands by itself."""
        for end in range(len(path), 0, -1):
            if (found := self._lines.get(path[:end])) is not None:
                return found
        return 0


def _beginnings(text: str) -> Iterator[tuple[int, str]]:
    """The lines at whose beginning no list, inline table or text is open, with their numbers."""
    lines = text.split("\n")
    depth, number = 0, 1
    yield 1, lines[0]
    for token in _TOKEN.finditer(text):
        found = token[0]
        if found == "\n":
            number += 1
            if depth == 0:
                yield number, lines[number - 1]
        elif found in "[{":
            depth += 1
        elif found in "]}":
            depth -= 1
        else:
            number += found.count("\n")


def _resolved(names: tuple[str, ...], counts: dict[tuple[Step, ...], int], *, one_more: bool) -> tuple[Step, ...]:
    """The path of a table: where an array of tables is on the way, its last one is meant."""
    path: tuple[Step, ...] = ()
    for place, name in enumerate(names):
        path = (*path, name)
        if one_more and place == len(names) - 1:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _parts(path: str) -> tuple[str, ...]:
    """The keys of a dotted path."""
    if '"' not in path and "'" not in path:
        return tuple(part.strip() for part in path.split("."))
    found: list[str] = []
    inner: Any = tomllib.loads(f"{path} = 0")
    while isinstance(inner, dict):
        ((name, inner),) = inner.items()
        found.append(name)
    return tuple(found)
