"""Opening a table, whatever its format."""

from pathlib import Path

from crdt_sync.errors import InvalidTable
from crdt_sync.exchange.delimited import DelimitedTable
from crdt_sync.exchange.json_tables import JsonLinesTable, JsonTable
from crdt_sync.exchange.source import Source
from crdt_sync.exchange.table import Table, TableFormat, TableOptions
from crdt_sync.exchange.workbook import WorkbookTable

_BY_SUFFIX: dict[str, TableFormat] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
}


def open_table(path: Path, options: TableOptions | None = None) -> Table:
    """Open a file as a table: by its name, or as `options` say.

    Delimited text is read when the name says nothing else; delimiter and encoding are found out. A ZIP archive with one
    table in it is read as that table. Raises `InvalidTable`.
    """
    options = options or TableOptions()
    source = Source(path, options.member)
    kind = options.format or _BY_SUFFIX.get(source.suffix, "delimited")
    if kind == "jsonl":
        return JsonLinesTable(source, options)
    if kind == "json":
        return JsonTable(source, options)
    if kind == "xlsx":
        return WorkbookTable(source, options)
    if source.suffix == ".xls":
        raise InvalidTable(f"{path.name!r} is an old XLS workbook", "Save it as .xlsx or .csv first.")
    return DelimitedTable(source, options)
