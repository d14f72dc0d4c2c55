"""The passes that an import makes over a workbook: read from the file once, and each time."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from crdt_bench.results import Measurement, Outcome
from crdt_bench.workspace import workspace
from crdt_sync.exchange import TableOptions, open_table
from crdt_sync.exchange.source import Source
from crdt_sync.exchange.table import Table
from crdt_sync.exchange.workbook import WorkbookTable, write_workbook
from crdt_sync.records.schema import FieldSpec

NAME = "workbook"
_COLUMNS = ("Name", "Company", "E-mail", "Phone", "Address", "City", "Postal code", "Country", "Since", "Notes")


@dataclass(frozen=True, slots=True)
class Sizes:
    """Rows of the sheet, and how often an import goes over them."""

    rows: int = 20_000
    passes: int = 5
    rounds: int = 3


SMALL = Sizes(rows=300, rounds=1)


def run(sizes: Sizes) -> list[Outcome]:
    """In each round both are measured, one after the other; opening the file is part of it."""
    once: list[float] = []
    each: list[float] = []
    with workspace() as folder:
        path = folder / "people.xlsx"
        with path.open("wb") as stream:
            write_workbook(stream, "people", _COLUMNS, _rows(sizes.rows), lambda _: None)
        for _ in range(sizes.rounds):
            once.append(_seconds(lambda: open_table(path), sizes))
            each.append(_seconds(lambda: WorkbookTable(Source(path), TableOptions()), sizes))
    what = f"{sizes.passes} passes over {sizes.rows:,} rows"
    return [
        Measurement(NAME, f"{what}, read once: processor time", "s", tuple(once)),
        Measurement(NAME, f"{what}, read each time: processor time", "s", tuple(each)),
    ]


def _seconds(opened: Callable[[], Table], sizes: Sizes) -> float:
    started = time.process_time()
    table = opened()
    for _ in range(sizes.passes):
        rows = sum(1 for _ in table.rows())
        if rows != sizes.rows:
            raise AssertionError(f"{rows} of {sizes.rows} rows were read")
    return time.process_time() - started


def _rows(count: int) -> Iterator[list[tuple[FieldSpec, object]]]:
    spec = FieldSpec()
    for number in range(count):
        cells = (
            f"Anna Berger {number % 997}",
            f"Müller {number % 89} GmbH",
            f"customer{number}@x{number % 97}.example",
            f"+49 30 {1_000_000 + number}",
            f"Bergstraße {number % 200}",
            ("Bonn", "Kiel", "Ulm", "Jena")[number % 4],
            f"{10_000 + number % 89_999}",
            "Germany",
            f"20{number % 25:02}-03-1{number % 9}",
            "call back on Monday" if number % 3 else None,
        )
        yield [(spec, cell) for cell in cells]
