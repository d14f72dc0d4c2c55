"""Import and export of tables: CSV and its relatives, JSON lines, JSON and spreadsheets."""

from typing import TYPE_CHECKING

from crdt_sync.lazy import importer

if TYPE_CHECKING:
    from crdt_sync.exchange.demo import demo_table
    from crdt_sync.exchange.exporter import ExportOptions, ExportReport, export_table
    from crdt_sync.exchange.exports import Exports
    from crdt_sync.exchange.import_report import CellChange, ImportProgress, ImportReport
    from crdt_sync.exchange.imported_tables import ImportedTables
    from crdt_sync.exchange.importer import import_table, remembered_mapping
    from crdt_sync.exchange.infer import infer_schema
    from crdt_sync.exchange.mapping import ColumnMapping, match_columns
    from crdt_sync.exchange.preview import TablePreview, preview_table
    from crdt_sync.exchange.reading import open_table
    from crdt_sync.exchange.table import MISSING, Row, RowError, Table, TableOptions
else:
    __getattr__, __dir__ = importer(
        __name__,
        {
            "crdt_sync.exchange.demo": ("demo_table",),
            "crdt_sync.exchange.exporter": (
                "ExportOptions",
                "ExportReport",
                "export_table",
            ),
            "crdt_sync.exchange.exports": ("Exports",),
            "crdt_sync.exchange.import_report": (
                "CellChange",
                "ImportProgress",
                "ImportReport",
            ),
            "crdt_sync.exchange.imported_tables": ("ImportedTables",),
            "crdt_sync.exchange.importer": ("import_table", "remembered_mapping"),
            "crdt_sync.exchange.infer": ("infer_schema",),
            "crdt_sync.exchange.mapping": (
                "ColumnMapping",
                "match_columns",
            ),
            "crdt_sync.exchange.preview": (
                "TablePreview",
                "preview_table",
            ),
            "crdt_sync.exchange.reading": ("open_table",),
            "crdt_sync.exchange.table": (
                "MISSING",
                "Row",
                "RowError",
                "Table",
                "TableOptions",
            ),
        },
    )

__all__ = [
    "MISSING",
    "CellChange",
    "ColumnMapping",
    "ExportOptions",
    "ExportReport",
    "Exports",
    "ImportProgress",
    "ImportReport",
    "ImportedTables",
    "Row",
    "RowError",
    "Table",
    "TableOptions",
    "TablePreview",
    "demo_table",
    "export_table",
    "import_table",
    "infer_schema",
    "match_columns",
    "open_table",
    "preview_table",
    "remembered_mapping",
]
