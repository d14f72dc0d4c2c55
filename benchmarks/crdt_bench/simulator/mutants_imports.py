"""Mutants of imports: what is written, under which writer, and into which record."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from crdt_bench.simulator.mutants import Method, Mutant
from crdt_sync.exchange import record_key, three_way
from crdt_sync.exchange.record_key import RecordKeys
from crdt_sync.exchange.row_import import RowImport
from crdt_sync.exchange.three_way import Decision
from crdt_sync.records import imported, text_bringing
from crdt_sync.records.field_values import normalise
from crdt_sync.records.imported import ImportedChange
from crdt_sync.records.memory import memory_index
from crdt_sync.records.memory.sources import mark, newest


def _write_over(_: Method) -> Method:
    def mutated(field: str, spec: Any, value: object, _now: object, _memory: Any) -> Decision:
        carrier = normalise(field, spec, value)
        return Decision("written", (ImportedChange("write", field, value),), mark(carrier), carrier)

    return mutated


def _as_itself(_: Method) -> Method:
    return lambda document, write: write(document)


def _all_shares(_: Method) -> Method:
    return lambda sources: {f"{source.name} {number}": source for number, source in enumerate(sources)}


def _apart(_: Method) -> Method:
    return newest


def _number_alone(natural_record: Method) -> Method:
    return lambda collection, key: natural_record(collection, key[:1])


def _remember_again(bring: Method) -> Method:
    def mutated(self: Any, record: str, decided: Mapping[Any, Decision], *more: Any) -> Any:
        return bring(self, record, {target: replace(each, said=each.wanted) for target, each in decided.items()}, *more)

    return mutated


def _nothing(_: Method) -> Method:
    return lambda *_: None


def _whole_rows(_: Method) -> Method:
    return lambda self, row: self._by_content(row)


IMPORT_MUTANTS = (
    Mutant(
        "imports write over people",
        "what a person wrote after an import is never lost",
        ((three_way, "_single", _write_over),),
        {},
        imports=0.5,
    ),
    Mutant(
        "each device imports as itself",
        "the same table on two devices is there once",
        ((imported, "write_once", _as_itself),),
        {"partition": 0.2},
        60,
        imports=0.5,
        seeds_from=29,
    ),
    Mutant(
        "counts of one source add up",
        "of a source the newest count counts",
        ((memory_index, "accounts", _all_shares),),
        {"partition": 0.2},
        imports=0.5,
    ),
    Mutant(
        "an edited export counts apart from the table of its name",
        "what was edited in an export counts once, whatever a device takes the file for",
        ((memory_index, "accounts", _apart),),
        {"partition": 0.2},
        exports=0.6,
        seeds_from=4,
    ),
    Mutant(
        "a number alone names a customer",
        "two sources may number different people alike",
        ((record_key, "natural_record", _number_alone),),
        {"partition": 0.2},
        imports=0.5,
    ),
    Mutant(
        "each import remembers anew",
        "a table imported twice writes once",
        ((RowImport, "_bring", _remember_again),),
        {},
        imports=0.5,
    ),
    Mutant(
        "imports write texts into what people type",
        "no word of a table stands in one that somebody typed",
        ((text_bringing, "_will_show", _nothing),),
        {"partition": 0.2},
        imports=0.5,
        seeds_from=5,
    ),
    Mutant(
        "an edited row is a new customer",
        "a row of a source is one record",
        ((RecordKeys, "_by_key", _whole_rows),),
        {},
        imports=0.5,
    ),
)
