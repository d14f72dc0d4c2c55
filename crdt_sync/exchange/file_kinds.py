"""What a file is by its first bytes, where its name says nothing or the wrong thing."""

import re
import zipfile
from typing import IO, NamedTuple

from crdt_sync.errors import InvalidTable

HEAD_BYTES = 4096


class _Kind(NamedTuple):
    start: bytes
    what: str
    hint: str


_SAVE = "Open it in the program that made it, and save it as CSV or XLSX."
_UNPACK = "Unpack it first."
# Nothing that could be the start of a text table.
_BINARY = (
    _Kind(b"PAR1", "a Parquet file", "Convert it, for example with DuckDB: COPY 'FILE' TO 'FILE.csv' (HEADER)."),
    _Kind(b"ARROW1", "an Arrow file", "Convert it to CSV or JSON lines first."),
    _Kind(b"ORC", "an ORC file", "Convert it to CSV or JSON lines first."),
    _Kind(b"Obj\x01", "an Avro file", "Convert it to CSV or JSON lines first."),
    _Kind(b"SQLite format 3\x00", "an SQLite database", "Export one of its tables as CSV."),
    _Kind(b"\xd0\xcf\x11\xe0", "an old XLS workbook", "Save it as .xlsx or .csv first."),
    _Kind(b"%PDF", "a PDF document", "Ask for the table as CSV or XLSX."),
    _Kind(b"BZh", "a file packed with bzip2", _UNPACK),
    _Kind(b"\xfd7zXZ\x00", "a file packed with xz", _UNPACK),
    _Kind(b"\x28\xb5\x2f\xfd", "a file packed with zstd", _UNPACK),
    _Kind(b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    _Kind(b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    _Kind(b"\x89PNG\r\n", "a picture", "Tables cannot be read from pictures."),
    _Kind(b"\xff\xd8\xff", "a picture", "Tables cannot be read from pictures."),
    _Kind(b"{\\rtf", "an RTF document", _SAVE),
)
_TEXTS = (
    (re.compile(rb"BEGIN:VCALENDAR", re.I), "a calendar", "Only contacts and tables can be imported."),
    (re.compile(rb"<!doctype html|<html|<table", re.I), "an HTML page, whatever its name says", _SAVE),
    (re.compile(rb"<\?xml"), "an XML document", _SAVE),
    (re.compile(rb"(version: 1\r?\n+)?dn:{1,2} ", re.I), "an LDIF directory", "Export the contacts as CSV or vCard."),
)
_VCARD = re.compile(rb"BEGIN:VCARD\s", re.I)
_BLANK = b"\xef\xbb\xbf \t\r\n"


def is_gzip(head: bytes) -> bool:
    """Whether these are the first bytes of a gzip file."""
    return head.startswith(b"\x1f\x8b\x08")


def is_archive(head: bytes) -> bool:
    """Whether these are the first bytes of a ZIP archive, which a workbook is, too."""
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def is_workbook(stream: IO[bytes]) -> bool:
    """Whether a ZIP archive is an XLSX workbook. Raises `InvalidTable` for other documents that are archives."""
    try:
        with zipfile.ZipFile(stream) as archive:
            names = set(archive.namelist())
            kind = archive.read("mimetype")[:200] if "mimetype" in names else b""
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, EOFError, ValueError):
        return False
    if kind.startswith(b"application/vnd.oasis.opendocument"):
        raise InvalidTable("this is an OpenDocument file", _SAVE)
    if "xl/workbook.bin" in names:
        raise InvalidTable("this is a binary XLSB workbook", "Save it as .xlsx or .csv first.")
    if any(name.startswith("word/") for name in names):
        raise InvalidTable("this is a Word document", "Copy its table into a spreadsheet, and save that.")
    return "xl/workbook.xml" in names


def is_vcards(head: bytes) -> bool:
    """Whether these are the first bytes of a file of vCards."""
    return _VCARD.match(head.lstrip(_BLANK)) is not None


def is_json(head: bytes) -> bool:
    """Whether these first bytes are those of a JSON document with objects in it."""
    return re.match(rb"\[\s*(\{|\])|\{\s*(\"|\})", head.lstrip(_BLANK)) is not None


def refuse_others(head: bytes, name: str) -> None:
    """Raise `InvalidTable` for what cannot be read as a table, naming what it is and what to do."""
    for kind in _BINARY:
        if head.startswith(kind.start):
            raise InvalidTable(f"{name!r} is {kind.what}", kind.hint)
    text = head.lstrip(_BLANK)
    for pattern, what, hint in _TEXTS:
        if pattern.match(text):
            raise InvalidTable(f"{name!r} is {what}", hint)
