"""JSON lines and JSON documents as tables: objects are rows, their keys are columns."""

import json
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from crdt_sync.errors import InvalidTable
from crdt_sync.exchange.encodings import find_encoding
from crdt_sync.exchange.source import Source
from crdt_sync.exchange.table import HEADER_LENGTH_MAX, MISSING, Row, RowError, Table, TableForm, TableOptions
from crdt_sync.exchange.text import Lines
from crdt_sync.limits import FIELDS_MAX, TABLE_JSON_BYTES_MAX, TABLE_JSON_CONTAINERS_MAX

_SCALAR_COLUMN = "value"
_DIGITS_MAX = 4_000  # of an integer: what Python reads from text ends at 4,300
_DIGITS_OF_A_FLOAT = 15  # that it always keeps


class _ObjectTable(Table):
    """Rows of objects. The columns are all keys in the order of their first appearance, found in a pass of its own."""

    typed = True

    def __init__(self, source: Source) -> None:
        self._source = source
        self.name = source.name
        self.bytes_total = source.bytes_total

    @property
    def bytes_read(self) -> int:
        return self._source.bytes_read

    def _find_columns(self) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for _, element in self._elements():
            if isinstance(element, RowError):
                continue
            if not isinstance(element, dict):
                found[_SCALAR_COLUMN] = None
                continue
            for key in _flat(element):
                if key not in found and _wrong_key(key) is None:
                    found[key] = None
            if len(found) > FIELDS_MAX:
                raise InvalidTable(
                    f"{self.name!r} has more than {FIELDS_MAX} different keys",
                    "Its objects may not be rows of one table.",
                )
        return tuple(found)

    def rows(self) -> Iterator[Row | RowError]:
        """All objects; an element that is no object is a row with the one column `value`."""
        columns = self.columns
        for line, element in self._elements():
            if isinstance(element, RowError):
                yield element
            elif not isinstance(element, dict):
                yield Row(line, [element if column == _SCALAR_COLUMN else MISSING for column in columns])
            else:
                flat = _flat(element)
                if wrong := next((wrong for key in flat if (wrong := _wrong_key(key))), None):
                    yield RowError(line, "", "malformed", wrong)
                else:
                    yield Row(line, [flat.get(column, MISSING) for column in columns])

    @abstractmethod
    def _elements(self) -> Iterator[tuple[int, Any]]:
        """Line and value of each element, or line and `RowError`."""


class JsonLinesTable(_ObjectTable):
    """One JSON value a line. Blank lines are left out; a line that is not JSON is an error of its row."""

    def __init__(self, source: Source, options: TableOptions) -> None:
        """Find the columns in a first pass over the file. Raises `InvalidTable`."""
        super().__init__(source)
        with source.open() as stream:
            encoding = find_encoding(stream, options.encoding, source.name)
        self._encoding = encoding.codec
        self.form = TableForm("jsonl", encoding.codec, encoding.guessed)
        self.columns = self._find_columns()

    def _elements(self) -> Iterator[tuple[int, Any]]:
        with self._source.open() as stream:
            lines = Lines(stream, self._encoding)
            for line in lines:
                number = lines.number
                if lines.bad and (wrong := lines.take_bad(number, number)):
                    yield number, RowError(number, "", "malformed", wrong)
                elif not line.isspace():
                    yield number, _parse_line(line, number)


class JsonTable(_ObjectTable):
    """One JSON document: an array of rows, or an object of which one key holds the array."""

    def __init__(self, source: Source, options: TableOptions) -> None:
        """Read the document. Raises `InvalidTable`, for example when several keys hold arrays and none was chosen."""
        super().__init__(source)
        with source.open() as stream:
            found = find_encoding(stream, options.encoding, source.name)
        encoding = found.codec
        content = source.read_whole(TABLE_JSON_BYTES_MAX)
        try:
            text = content.decode(encoding)
            if text.count("[") + text.count("{") > TABLE_JSON_CONTAINERS_MAX:
                raise InvalidTable(
                    f"{self.name!r} has more than {TABLE_JSON_CONTAINERS_MAX:,} objects and lists, too many to be read "
                    "as a whole",
                    "Save it as CSV or as JSON lines: those are read row by row at any size.",
                )
            document = parse_json(text)
        except UnicodeDecodeError as error:
            raise InvalidTable(
                f"{self.name!r} is not valid {encoding}: {error.reason}", "Choose its encoding."
            ) from None
        except ValueError as error:
            raise InvalidTable(
                f"{self.name!r} is not JSON: {error}", "Is it JSON lines? Then name that format."
            ) from None
        self._rows, notes = _choose_array(document, options.select, self.name)
        self.form = TableForm("json", encoding, found.guessed, notes=notes)
        self.columns = self._find_columns()

    def _elements(self) -> Iterator[tuple[int, Any]]:
        return enumerate(self._rows, 1)


def parse_json(text: str) -> Any:
    """A JSON value. Raises `ValueError`, also for NaN, infinities, a key twice and great depth."""
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _flat(element: dict[str, Any]) -> dict[str, Any]:
    """An sObject of Salesforce with its related objects as `Account.Name`; any other object as it is."""
    kind = element.get("attributes")
    if not (isinstance(kind, dict) and isinstance(kind.get("type"), str)):
        return element
    flat: dict[str, Any] = {}
    for key, value in element.items():
        inner = {f"{key}.{name}": member for name, member in _flat(value).items()} if isinstance(value, dict) else {}
        if flat.keys() & (inner or {key}) or inner.keys() & element.keys():
            return element  # two members would share a name
        flat.update(inner or {key: value})
    return flat


def _parse_line(line: str, number: int) -> Any:
    try:
        return parse_json(line)
    except ValueError as error:
        return RowError(number, "", "malformed", f"not JSON: {error}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return result


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _number(text: str) -> float | Decimal:
    """A float, or a Decimal where a float would lose digits."""
    number = float(text)
    if number in {float("inf"), float("-inf")}:
        raise ValueError(f"the number {text[:40]} is out of range")
    if len(text) <= _DIGITS_OF_A_FLOAT:
        return number
    exact = Decimal(text)
    return number if Decimal(repr(number)) == exact else exact


def _integer(text: str) -> int | str:
    """A number; its text where it has more digits than any field takes, to be refused as one cell."""
    return int(text) if len(text) <= _DIGITS_MAX else text


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_constant, parse_float=_number, parse_int=_integer
)


def _choose_array(document: Any, select: str | None, name: str) -> tuple[list[Any], tuple[str, ...]]:
    """The rows, and what to tell about the choice."""
    if isinstance(document, list):
        if select is not None:
            raise InvalidTable(f"{name!r} is one array; there is no key {select!r} in it", "Leave the choice out.")
        return document, ()
    members = document.items() if isinstance(document, dict) else ()
    arrays: dict[str, list[Any]] = {key: value for key, value in members if isinstance(value, list)}
    if select is not None:
        if select not in arrays:
            raise InvalidTable(f"{name!r} has no array {select!r}", f"Arrays in it: {_listing(arrays)}.")
        return arrays[select], ()
    # An array of texts is a member of a single row; only one of objects can be the table.
    tables = {key: rows for key, rows in arrays.items() if rows and all(isinstance(row, dict) for row in rows)}
    if not tables:
        return [document], ("the document is one object, and taken for one row",)
    if len(tables) == 1:
        (key,) = tables
        return tables[key], (f"the rows are those of the key {key!r}",)
    raise InvalidTable(f"{name!r} holds {len(tables)} tables", f"Choose one with --select: {_listing(tables)}.")


def _listing(keys: Iterable[str]) -> str:
    return ", ".join(repr(key) for key in list(keys)[:20]) or "none"


def _wrong_key(key: str) -> str | None:
    if len(key) > HEADER_LENGTH_MAX:
        return f"the key {key[:40]!r}… is longer than {HEADER_LENGTH_MAX} characters"
    if not key.isascii():
        try:
            key.encode("utf-8")
        except UnicodeEncodeError:
            return f"the key {key!r} is not valid Unicode"
    return None
