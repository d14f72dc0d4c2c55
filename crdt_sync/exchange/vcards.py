"""vCards 2.1, 3.0 and 4.0 (RFC 6350) as a table: a card is a row, and what stands in it several times is a list.

Only what a customer record has a place for is read; the names of the other properties are told in the form.
"""

import binascii
import codecs
import quopri
import re
from collections.abc import Iterator
from typing import NamedTuple

from crdt_sync.errors import InvalidTable
from crdt_sync.exchange.encodings import find_encoding
from crdt_sync.exchange.source import Source
from crdt_sync.exchange.table import MISSING, Cell, Row, RowError, Table, TableForm, TableOptions
from crdt_sync.exchange.text import Lines
from crdt_sync.limits import TABLE_CELL_LENGTH_MAX

_COLUMNS = (
    "Name",
    "Company",
    "Phone",
    "E-mail",
    "Website",
    "Address",
    "City",
    "Region",
    "Postal code",
    "Country",
    "Birthday",
    "Tags",
    "Notes",
    "UID",
)
_MANY = frozenset({"Phone", "E-mail", "Tags"})
_UNTOLD = frozenset({"VERSION", "PRODID", "REV", "N", "KIND"})
_LINES_MAX = 10_000  # of one card, unfolded; pictures have the most
_LOGICAL_LENGTH_MAX = 8 * TABLE_CELL_LENGTH_MAX  # characters; more is too long for any cell, encoded ones included
_PROPERTY = re.compile(r"(?:[\w-]+\.)?([\w-]+)((?:;(?:[^:;\"]|\"[^\"]*\")*)*):(.*)\Z", re.DOTALL)
_PREFERENCE = re.compile(r"\bPREF\b(?:=\"?(\d{1,3}))?")
_PREFERENCE_NONE = 1000  # after all that have one
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


class _Property(NamedTuple):
    name: str
    parameters: str
    value: str


class VcardTable(Table):
    """The cards of a file. A card that cannot be read is an error of its row; cards inside cards are not read."""

    typed = True

    def __init__(self, source: Source, options: TableOptions) -> None:
        """Look at all cards once. Raises `InvalidTable`."""
        self._source = source
        self.name = source.name
        self.bytes_total = source.bytes_total
        self.columns = _COLUMNS
        with source.open() as stream:
            encoding = find_encoding(stream, options.encoding, source.name)
        self._encoding = encoding.codec
        left_out: dict[str, None] = {}
        any_card = False
        for _, card in self._cards():
            any_card = True
            if not isinstance(card, str):
                left_out.update(dict.fromkeys(each.name for each in card if each.name not in _READ.keys() | _UNTOLD))
        if not any_card:
            raise InvalidTable(f"{self.name!r} holds no vCard", "A card starts with BEGIN:VCARD.")
        notes = (f"not read from the cards: {', '.join(left_out)}",) if left_out else ()
        self.form = TableForm("vcard", encoding.codec, encoding.guessed, notes=notes)

    @property
    def bytes_read(self) -> int:
        """How far the latest `rows()` has come, in bytes of the file."""
        return self._source.bytes_read

    def rows(self) -> Iterator[Row | RowError]:
        """All cards; `Row.line` is the line on which a card begins."""
        for line, card in self._cards():
            if isinstance(card, str):
                yield RowError(line, "", "malformed", card)
                continue
            try:
                yield Row(line, _cells(card))
            except (ValueError, LookupError) as error:
                yield RowError(line, "", "malformed", f"the card cannot be read: {error}")

    def _cards(self) -> Iterator[tuple[int, list[_Property] | str]]:
        with self._source.open() as stream:
            lines = Lines(stream, self._encoding)
            card: list[_Property] | None = None
            start, wrong = 0, ""
            for number, text in _unfolded(lines):
                marker = text.strip().upper()
                if marker == "BEGIN:VCARD":
                    if card is not None:
                        yield start, "the card has no end"
                    card, start, wrong = [], number, ""
                elif marker == "END:VCARD" and card is not None:
                    wrong = lines.take_bad(start, lines.number) or wrong
                    yield start, wrong or card
                    card = None
                elif card is None or not marker:
                    continue
                elif (found := _PROPERTY.match(text)) is None:
                    wrong = wrong or f"line {number} is no property of a card"
                elif len(card) >= _LINES_MAX:
                    wrong = f"the card has more than {_LINES_MAX:,} properties"
                else:
                    card.append(_Property(found[1].upper(), found[2].upper(), found[3]))
            if card is not None:
                yield start, "the card has no end"


def _unfolded(lines: Lines) -> Iterator[tuple[int, str]]:
    """Logical lines with the number of their first: folded ones are joined, also those of quoted-printable.

    Of a logical line about `_LOGICAL_LENGTH_MAX` characters are kept: what is longer is refused as a cell.
    """
    number, parts, length = 0, [""], 0
    printable = named = False  # `named`: its name and parameters are read, up to the colon
    for line in lines:
        text = line.rstrip("\r\n")
        if printable and parts[-1].endswith("="):
            parts[-1] = parts[-1][:-1]
        elif length and text[:1] in (" ", "\t"):
            text = text[1:]
        else:
            if length:
                yield number, "".join(parts)
            number, parts, length = lines.number, [], 0
            printable = named = False
        if not named:
            head, colon, _ = text.partition(":")
            printable, named = printable or "QUOTED-PRINTABLE" in head.upper(), bool(colon)
        if length <= _LOGICAL_LENGTH_MAX:
            if parts and not parts[-1]:
                parts.pop()
            parts.append(text)
            length += len(text)
        else:
            parts[-1] = text[-1:] if text.endswith("=") else ""  # whether the line goes on, and no more of it
    if length:
        yield number, "".join(parts)


def _cells(card: list[_Property]) -> list[Cell]:
    cells: dict[str, list[str]] = {}
    for each in sorted(card, key=_preference):
        if (read := _READ.get(each.name)) is not None:
            for column, value in zip(read, _values(each, len(read)), strict=False):
                if value.strip():
                    cells.setdefault(column, []).append(value.strip())
    if "Name" not in cells and (name := next((each for each in card if each.name == "N"), None)) is not None:
        family, given, middle, before, after = (_split(_decoded(name), ";") + [""] * 5)[:5]
        full = " ".join(part.strip() for part in (before, given, middle, family, after) if part.strip())
        if full:
            cells["Name"] = [full]
    if "Tags" in cells:
        cells["Tags"] = [tag.strip() for text in cells["Tags"] for tag in _split(text, ",") if tag.strip()]
    return [_cell(column, cells.get(column)) for column in _COLUMNS]


def _cell(column: str, values: list[str] | None) -> Cell:
    if not values:
        return MISSING
    if column in _MANY:
        return list(dict.fromkeys(values))
    return "\n".join(values) if column == "Notes" else values[0]


def _values(each: _Property, count: int) -> list[str]:
    text = _decoded(each)
    if each.name == "TEL":
        return [_phone(text)]
    if each.name == "CATEGORIES":
        return [text]  # split at its commas by the caller, who sees all of them
    if each.name == "ADR":
        box, extended, street, city, region, code, country = (_split(text, ";") + [""] * 7)[:7]
        return [
            ", ".join(part.strip() for part in (street, extended, box) if part.strip()),
            city,
            region,
            code,
            country,
        ]
    if each.name == "ORG":
        return [", ".join(part for part in _split(text, ";") if part.strip())]
    return [_plain(text)][:count]


def _preference(each: _Property) -> int:
    """What comes first of several: `PREF=1` up to 100 in version 4.0, `TYPE=PREF` or `PREF` in the earlier ones."""
    found = _PREFERENCE.search(each.parameters)
    return int(found[1] or 1) if found is not None else _PREFERENCE_NONE


def _phone(text: str) -> str:
    """A number, also of a URI (RFC 3966), of which the extension is kept and other parameters are not."""
    if text[:4].lower() != "tel:":
        return text
    number, *parameters = text[4:].split(";")
    extension = next((each[4:] for each in parameters if each[:4].lower() == "ext="), "")
    return f"{number} ext. {extension}" if extension else number


_READ: dict[str, tuple[str, ...]] = {
    "FN": ("Name",),
    "ORG": ("Company",),
    "TEL": ("Phone",),
    "EMAIL": ("E-mail",),
    "URL": ("Website",),
    "ADR": ("Address", "City", "Region", "Postal code", "Country"),
    "BDAY": ("Birthday",),
    "CATEGORIES": ("Tags",),
    "NOTE": ("Notes",),
    "UID": ("UID",),
}


def _decoded(each: _Property) -> str:
    """The value without a transfer encoding; its escapes stay."""
    if "QUOTED-PRINTABLE" not in each.parameters:
        return each.value
    charset = re.search(r"CHARSET=\"?([\w-]+)", each.parameters)
    raw = quopri.decodestring(each.value.encode("utf-8"))
    try:
        return raw.decode(codecs.lookup(charset[1] if charset else "utf-8").name)
    except (UnicodeDecodeError, LookupError, binascii.Error):
        raise ValueError(f"{each.name} is not valid {charset[1] if charset else 'UTF-8'}") from None


def _split(text: str, separator: str) -> list[str]:
    """Parts between separators that are not escaped, each in plain text."""
    parts = re.split(rf"(?<!\\){separator}", text)
    return [_plain(part) for part in parts]


def _plain(text: str) -> str:
    return _ESCAPE.sub(lambda match: "\n" if match[1] in "nN" else match[1], text)
