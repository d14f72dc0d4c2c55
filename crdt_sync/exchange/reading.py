"""Opening a table, whatever its format."""

from pathlib import Path

from crdt_sync.errors import InvalidTable
from crdt_sync.exchange.delimited import DelimitedTable
from crdt_sync.exchange.file_kinds import is_archive, is_json, is_vcards, refuse_others
from crdt_sync.exchange.guarded_tables import unguarded
from crdt_sync.exchange.json_tables import JsonLinesTable, JsonTable
from crdt_sync.exchange.read_once import ReadOnceTable
from crdt_sync.exchange.source import Source
from crdt_sync.exchange.table import Table, TableFormat, TableOptions
from crdt_sync.exchange.vcards import VcardTable
from crdt_sync.exchange.workbook import WorkbookTable

_BY_SUFFIX: dict[str, TableFormat] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
    ".vcf": "vcard",
    ".vcard": "vcard",
}
_TEXT_SUFFIXES = frozenset({".csv", ".tsv", ".tab", ".psv"})  # of text tables, whatever their first bytes look like


def open_table(path: Path, options: TableOptions | None = None) -> Table:
    """Open a file as a table: by its name and its first bytes, or as `options` say.

    Delimited text is read when nothing else is said; delimiter, encoding and header row are found out, and told in
    `Table.form`. A file packed with gzip is unpacked, and a ZIP archive with one table in it is read as that table.
    Cells that an export guarded are read as they were before, if `options` or the rows of the file say so.
    Raises `InvalidTable`, which names what the file is if it is no table.
    """
    options = options or TableOptions()
    return unguarded(_opened(path, options), given=options.guarded)


def _opened(path: Path, options: TableOptions) -> Table:
    source = Source(path, options.member)
    if source.is_blank:
        raise InvalidTable(f"{source.name!r} is empty", "A table needs at least a row of headers.")
    kind = options.format or _found(source)
    if kind == "jsonl":
        return JsonLinesTable(source, options)
    if kind == "json":
        return JsonTable(source, options)
    if kind == "xlsx":
        return ReadOnceTable(WorkbookTable(source, options))
    if kind == "vcard":
        return VcardTable(source, options)
    return DelimitedTable(source, options)


def _found(source: Source) -> TableFormat:
    if is_archive(source.head):
        return "xlsx"
    refuse_others(source.head, source.name)
    if is_vcards(source.head):
        return "vcard"
    if is_json(source.head) and source.suffix not in _TEXT_SUFFIXES:
        return _BY_SUFFIX.get(source.suffix, "json")
    return _BY_SUFFIX.get(source.suffix, "delimited")
