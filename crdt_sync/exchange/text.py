"""Bytes to lines of text, where a line that cannot be right is named instead of repaired."""

import io
from collections.abc import Callable, Iterator
from typing import IO

from crdt_sync.errors import InvalidTable
from crdt_sync.exchange.encodings import read_as_western
from crdt_sync.limits import TABLE_LINE_LENGTH_MAX


class Lines:
    """The lines of a stream with their ends; `number` is the last one given, `bad` what is wrong with which line.

    A line with a NUL or with bytes that the encoding does not allow is given as read and noted in `bad`; one that is
    too long is given as an empty line and noted. The reader of the lines decides which row that spoils.
    """

    def __init__(self, stream: IO[bytes], encoding: str) -> None:
        self._encoding = encoding
        try:
            # Undecodable bytes become lone surrogates, which no valid text holds: found below, line by line.
            self._text = io.TextIOWrapper(stream, encoding=encoding, errors="surrogateescape", newline="")
        except LookupError:
            raise InvalidTable(
                f"{encoding!r} is not an encoding of text", "Usual ones: utf-8, utf-16, cp1252, gb18030."
            ) from None
        self.number = 0
        self.bad: dict[int, str] = {}

    def __iter__(self) -> Iterator[str]:
        readline = self._text.readline
        limit = TABLE_LINE_LENGTH_MAX + 1
        while line := self._guarded(readline, limit):
            self.number += 1
            if len(line) == limit and line[-1] not in "\r\n":
                self._skip_rest()
                self.bad[self.number] = f"the line is longer than {TABLE_LINE_LENGTH_MAX:,} characters"
                yield "\n"
                continue
            if "\x00" in line:
                self.bad[self.number] = "the line holds a NUL character; if the file is UTF-16, say so"
            elif not line.isascii() and not _encodable(line):
                self.bad[self.number] = self._not_valid(line)
            yield line

    def _guarded(self, readline: Callable[[int], str], limit: int) -> str:
        try:
            return readline(limit)
        except UnicodeError as error:
            raise InvalidTable(
                f"the text cannot be read as {self._encoding} after line {self.number}: {error}",
                "Name its encoding, for example --encoding utf-16.",
            ) from error

    def _not_valid(self, line: str) -> str:
        why = f"the line is not valid {self._encoding}; name the file's own with --encoding"
        if self._encoding not in ("utf-8", "utf-8-sig"):
            return why
        western = read_as_western(line.encode("utf-8", "surrogateescape"))
        return why if western is None else f"{why}, likely --encoding cp1252: then it reads {western[:60]!r}"

    def _skip_rest(self) -> None:
        while (rest := self._text.readline(TABLE_LINE_LENGTH_MAX)) and rest[-1] not in "\r\n":
            pass

    def take_bad(self, first: int, last: int) -> str:
        """What is wrong with the lines from `first` to `last`, or an empty text; forgets it."""
        found = [self.bad.pop(number) for number in sorted(self.bad) if first <= number <= last]
        return "; ".join(found[:3])


def _encodable(line: str) -> bool:
    try:
        line.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
