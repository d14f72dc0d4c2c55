"""Every kind and type of field comes back out of every format as it went in: what an export writes is what is read."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdt_sync.exchange import ExportOptions, TableOptions, export_table, import_table, open_table
from crdt_sync.exchange.cells import read_sheet_text, sheet_value
from crdt_sync.records.schema import FieldSpec, Schema

TYPES = {
    "string": FieldSpec(),
    "integer": FieldSpec(type="integer"),
    "decimal": FieldSpec(type="decimal"),
    "boolean": FieldSpec(type="boolean"),
    "date": FieldSpec(type="date"),
    "datetime": FieldSpec(type="datetime"),
    "enum": FieldSpec(type="enum", choices=("a", "B", "c d")),
    "reference": FieldSpec(type="reference"),
    "json": FieldSpec(type="json"),
}
FIELDS = {
    **{f"v_{name}": spec for name, spec in TYPES.items()},
    **{f"r_{name}": replace(spec, kind="review") for name, spec in TYPES.items()},
    **{f"s_{name}": replace(spec, kind="set") for name, spec in TYPES.items()},
    "count": FieldSpec(kind="counter"),
    "sum": FieldSpec(kind="counter", type="decimal"),
    "prose": FieldSpec(kind="text"),
    "stage": FieldSpec(kind="stage", states=("lead", "won")),
}
SCHEMA = Schema(collection="things", version=1, fields=FIELDS)

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=12)
tricky = st.sampled_from(
    ["1.234", "01067", "=1+1", "+49 30", "'x", "a;b", "[1]", '"q"', '["a"]', " x ", "a ::: b", "ja", "null"]
)
decimals = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9) | st.sampled_from(
    [Decimal("1.234"), Decimal("-12.345"), Decimal("999.999"), Decimal("0.123"), Decimal("0.12345678901234567891")]
)
moments = st.datetimes(datetime(1800, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
VALUES = {
    "string": texts | tricky,
    "integer": st.integers(-(10**20), 10**20),
    "decimal": decimals,
    "boolean": st.booleans(),
    "date": st.dates(date(1800, 1, 1), date(2200, 1, 1)),
    "datetime": moments,
    "enum": st.sampled_from(["a", "B", "c d"]),
    "reference": st.sampled_from(["things/a", "people/b"]),
    "json": st.booleans()
    | st.integers(-(10**15), 10**15)
    | texts
    | st.lists(st.integers(0, 9), min_size=1, max_size=3),
}
singles = st.fixed_dictionaries({}, optional={f"{kind}_{name}": VALUES[name] for kind in "vr" for name in VALUES})
sets = st.fixed_dictionaries(
    {}, optional={f"s_{name}": st.lists(VALUES[name], min_size=1, max_size=3) for name in VALUES}
)
grown = st.fixed_dictionaries(
    {"prose": texts, "stage": st.sampled_from(["lead", "won"])},
    optional={"count": st.integers(1, 10**9), "sum": decimals.filter(bool)},
)


@settings(max_examples=60)
@given(singles, sets, grown, st.booleans())
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.xlsx"])
def test_what_is_exported_is_what_is_imported(make_replica, name, singles, sets, grown, guarded):
    source = make_replica(SCHEMA)
    with source.edit("things/a", create=True) as record:
        for field, value in {**singles, "stage": grown["stage"]}.items():
            record[field] = value
        for field, members in sets.items():
            for member in members:
                record.add(field, member)
        record.text("prose").replace(grown["prose"])
        for field in grown.keys() & {"count", "sum"}:
            record.increment(field, grown[field])
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        export_table(source, "things", path, ExportOptions(record_column="Record", guard_formulas=guarded))
        target = make_replica(SCHEMA, name="other", seed=2)
        table = open_table(path, TableOptions(guarded=guarded, header_row=1 if name != "a.jsonl" else None))
        report = import_table(target, table, "things", record_column="Record")
    assert report.failed == ()
    assert target.get("things/a").raw == source.get("things/a").raw


@pytest.mark.parametrize("value", [10**15, -(10**16), str(10**15), "1.5", "[1", "007"])
def test_numbers_and_digits_in_a_sheet_stay_what_they_are(value):
    text = str(sheet_value(json.dumps(value)))  # a sheet has no numbers of so many digits
    assert read_sheet_text(text) == value
