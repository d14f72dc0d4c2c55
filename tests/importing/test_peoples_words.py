"""What a person wrote, typed or edited in an export, is shown or listed after every import, which says what is shown.

Histories have two devices, two sources, and exports in all forms that are left alone or edited and imported anywhere.
Values tell who wrote them: `p` a person, `e` a person in an export, `t` a table.
"""

import csv
import io
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crdt_bench import people
from crdt_sync.errors import AlreadyHere, KeyNeeded
from crdt_sync.exchange import ExportOptions, Exports, ImportReport, Table, export_table, import_table, open_table
from crdt_sync.exchange.row_memory import Memory
from crdt_sync.records import Document, parse_schema
from crdt_sync.records.memory import memory_index
from crdt_sync.records.memory.memories import sources_of
from crdt_sync.records.memory.sources import newest
from tests.importing.conftest import Device, Lines, meet

SCHEMA = parse_schema(
    f'collection = "people"\nversion = 1\n{people.FIELDS}[fields.employees]\ntype = "integer"\n', "test"
)
SINGLES = ("city", "phone", "employees")
FIELDS = ("name", *SINGLES, "visits", "tags", "notes")
FORMS = {
    "plain": ExportOptions(),
    "guarded": ExportOptions(guard_formulas=True),
    "for editing": ExportOptions(for_editing=True),
    "guarded for editing": ExportOptions(for_editing=True, guard_formulas=True),
    "record column": ExportOptions(record_column="Id"),
}
KNOWN_HERE = ("plain", "guarded")
device = st.integers(0, 1)
change = st.sampled_from(FIELDS[1:])
table_says = st.fixed_dictionaries(
    {field: st.sampled_from(["", "as before", "news", "repeats"]) for field in FIELDS[1:]}
)
NEWS = dict.fromkeys(FIELDS[1:], "news")
SAYS_NOTHING = dict.fromkeys(FIELDS[1:], "")
REPEATED_AND_LEFT = [
    ("type", 0, "city"),
    ("export", 0, "for editing"),
    ("table", 0, ("shop", {**SAYS_NOTHING, "city": "repeats"})),
    ("table", 0, ("shop", {**SAYS_NOTHING, "city": "news"})),
]
EDITED_BEFORE_IT_ARRIVED = [("type", 0, "city"), ("export", 0, "for editing"), ("edit", 1, (0, "city"))]
TWO_EXPORTS = [
    ("type", 0, "city"),
    ("export", 0, "guarded"),
    ("export", 1, "guarded"),
    ("edit", 0, (0, "phone")),
    ("meet", 0, None),
    ("edit", 1, (1, "phone")),
]
EDITED_BESIDE_ANOTHER_EXPORT = [
    ("type", 0, "phone"),
    ("export", 0, "for editing"),
    ("export", 0, "record column"),
    ("edit", 1, (0, "phone")),
    ("edit", 1, (1, "city")),
]
REPEATED_AND_NEWS_ELSEWHERE = [
    ("type", 0, "city"),
    ("table", 0, ("crm", {**SAYS_NOTHING, "city": "repeats"})),
    ("table", 1, ("crm", {**SAYS_NOTHING, "city": "news"})),
    ("table", 0, ("crm", {**SAYS_NOTHING, "city": "as before"})),
]
BEGUN_FROM_TWO_VERSIONS = [
    ("type", 0, "notes"),
    ("table", 0, ("crm", SAYS_NOTHING)),
    ("table", 1, ("crm", {**SAYS_NOTHING, "notes": "news"})),
    ("table", 1, ("shop", {**SAYS_NOTHING, "notes": "news"})),
    ("meet", 0, None),
    ("table", 0, ("crm", {**SAYS_NOTHING, "notes": "news"})),
]
OTHER_EXPORTS = [
    ["record column", "record column"],  # neither is known where they are imported
    ["for editing", None, "record column"],  # what was typed in between is not known there either
    ["record column", None, "for editing"],
]
step = st.one_of(
    st.tuples(st.just("table"), device, st.tuples(st.sampled_from(["crm", "shop"]), table_says)),
    st.tuples(st.just("type"), device, change),
    st.tuples(st.just("export"), device, st.sampled_from(sorted(FORMS))),
    st.tuples(st.just("edit"), device, st.tuples(st.integers(0, 9), change)),
    st.tuples(st.just("meet"), device, st.none()),
)


@dataclass
class File:
    """An export, and what was edited in it last, by field."""

    name: str
    text: str
    said: dict[str, str]
    edited: dict[str, str]
    device: int | None  # the one that must import it, as others do not know it


class Office:
    """Two devices, each with its exports, and the last version of each source."""

    def __init__(self, folder: Path, *, exporting: bool = True) -> None:
        now = [1_700_000_000_000_000]
        self.devices = [Device(name, now, SCHEMA) for name in ("anna", "bert")]
        self.kept = [Exports(folder / f"{each.name}-exports") for each in self.devices]
        self.folder, self.exporting = folder, exporting
        self.numbers: Iterator[int] = iter(range(10, 1000))
        self.versions: dict[str, dict[str, str]] = {}
        self.files: list[File] = []
        self.repeated: set[tuple[str, str]] = set()  # source, and what it said after others
        self.gone: set[str] = set()  # values that a person wrote over
        self.table(0, "crm", {**dict.fromkeys(FIELDS[1:], ""), "city": "news", "notes": "news", "visits": "news"})
        meet(*self.devices)

    def value(self, field: str, who: str) -> str:
        number = next(self.numbers)
        if field == "employees":
            return f"{'tpe'.index(who) + 1}{number:04}"
        return f"{who}{number}"

    def shown(self, which: int) -> dict[str, Any]:
        return dict(self.devices[which].replica.get(self.devices[0].record).raw)

    def listed(self, which: int, field: str) -> set[str]:
        return set(map(str, self.devices[which].conflict(field)))

    def table(self, which: int, source: str, says: dict[str, str]) -> None:
        """A version of a source that says nothing, what it said, what is shown, or something else of each field."""
        row = self.versions.setdefault(source, {"name": "Anna"})
        here = self.shown(which) if self.devices[which].values() else {}
        for field, what in says.items():
            if what == "":
                row.pop(field, None)
            elif what == "repeats" and field in SINGLES and here.get(field) is not None:
                row[field] = str(here[field])
                self.repeated.add((source, row[field]))
            elif what != "as before" or field not in row:
                row[field] = {
                    "visits": lambda: str(next(self.numbers)),
                    "tags": lambda: "; ".join(["both", self.value("tags", "t")]),
                    "notes": lambda: f"one {self.value('notes', 't')} two three",
                }.get(field, lambda field=field: self.value(field, "t"))()
        for field, cell in row.items():
            if (source, shown := str(here.get(field))) in self.repeated and cell != shown:
                self.gone.add(shown)  # it is this source's own word, too, also where another device took the news
        line = ["1", *(row.get(field, "") for field in FIELDS)]
        table = Lines(("Nr", *FIELDS), [line], source)
        report = self.take(which, table, key_columns=["Nr"])
        self.check_kept(which, here)
        self.check_claims(which, report)

    def take(self, which: int, table: Table | Path, **options: Any) -> ImportReport:
        """Import a table; a dry run says before what will be shown."""
        replica, options = self.devices[which].replica, {"exports": self.kept[which], **options}

        def opened() -> Table:
            return open_table(table) if isinstance(table, Path) else table

        told = import_table(replica, opened(), "people", dry_run=True, **options)
        report = import_table(replica, opened(), "people", **options)
        shown = self.shown(which)
        assert all(shown.get(cell.field) == cell.result for cell in (*told.changes, *told.conflicts))
        return report

    def type(self, which: int, field: str) -> None:
        shown = self.shown(which)
        with self.devices[which].replica.edit(self.devices[which].record) as person:
            if field == "visits":
                person.increment("visits", 1000)
            elif field == "tags":
                person.add("tags", self.value("tags", "p"))
            elif field == "notes":
                text = person.text("notes")
                text.insert(len(text), f" {self.value('notes', 'p')}")
            else:
                new = self.value(field, "p")
                written = int(new) if field == "employees" else new
                self.gone |= self.listed(which, field) | {str(shown.get(field))}
                if person.conflict(field) is None:
                    person[field] = written
                else:
                    person.resolve(field, written)

    def export(self, which: int, form: str) -> None:
        if not self.exporting:
            return
        name = f"{form}-{len(self.files)}"
        path = self.folder / f"{name}.csv"
        replica = self.devices[which].replica
        export_table(replica, "people", path, FORMS[form], exports=self.kept[which], now=replica.wall_clock())
        text = path.read_bytes().decode()
        headers, row = csv.reader(io.StringIO(text))
        said = dict(zip(map(str.casefold, headers), row, strict=True))
        self.files.append(File(path.name, text, said, {}, which if form in KNOWN_HERE else None))

    def edit(self, which: int, number: int, field: str) -> None:
        """Edit one cell of an export, and import it; what is remembered of it where it is refused is taken back."""
        file = self.files[number % len(self.files)]
        if file.device is not None:  # no row names its record: it must be known by what most of it says
            which, field = file.device, next(iter(file.edited), field)
        rows = list(csv.reader(io.StringIO(file.text)))
        at = next(place for place, header in enumerate(rows[0]) if header.casefold() == field)
        old, new = rows[1][at], self.value(field, "e")
        if field == "visits":
            new = str(int(old or 0) + 7)
        elif field == "tags":
            new = json.dumps([*(json.loads(old) if old else []), new])
        elif field == "notes":
            new = f"{old} {new}".strip()
        rows[1][at] = new
        changed = io.StringIO(newline="")
        csv.writer(changed).writerows(rows)
        path = self.folder / file.name
        path.write_bytes(changed.getvalue().encode())
        before = self.shown(which)
        try:
            report = self.take(which, path, infer=False)
        except (AlreadyHere, KeyNeeded):
            return  # and nothing is written
        if field in file.edited:
            self.gone.add(file.edited[field])
        file.text, file.edited[field] = changed.getvalue(), new
        based = "for editing" in file.name  # the edit replaces what it was edited from, also where that arrives later
        self.gone |= {file.said[name] for name in file.edited if based or file.said[name] == str(before.get(name))}
        self.check_kept(which, before, edited=file.edited)
        self.check_claims(which, report)
        for name in set(file.edited) & set(SINGLES):
            written = file.edited[name]
            assert written in self.standing(which, name) | self.gone, (name, written)

    def meet(self) -> None:
        before = [{field: self.standing(which, field) for field in SINGLES} for which in (0, 1)]
        meet(*self.devices)
        for field in SINGLES:
            assert self.standing(0, field) == self.standing(1, field)
            wrote = {value for each in before for value in each[field] if is_persons(value)} - self.gone
            assert wrote <= self.standing(0, field), field

    def check_kept(self, which: int, before: dict[str, Any], *, edited=()) -> None:
        """What people wrote stays shown, or where a person edited the same in an export, stays at least listed."""
        after = self.shown(which)
        for field in SINGLES:
            value = str(before.get(field))
            if is_persons(value) and value not in self.gone:
                assert value == str(after.get(field)) or (field in edited and value in self.listed(which, field))
        for field in ("tags", "notes"):
            assert persons_words(before.get(field)) <= persons_words(after.get(field)), field

    def check_claims(self, which: int, report: ImportReport) -> None:
        """What the report says of the shown value is so."""
        now = self.shown(which)
        for cell in report.conflicts:
            assert now.get(cell.field) == (cell.here if cell.stays else cell.table) == cell.result, cell
        assert report.cells_overruled == sum(not cell.stays for cell in report.conflicts)
        assert report.cells_not_counted == sum(cell.kept == "later" for cell in report.conflicts)
        for cell in report.changes:
            assert now.get(cell.field) == cell.result, cell
            assert cell.field not in SINGLES or cell.result == cell.table or is_persons(str(cell.result)), cell

    def standing(self, which: int, field: str) -> set[str]:
        """What is shown or listed."""
        return self.listed(which, field) | {str(self.shown(which).get(field))}

    def do(self, what: str, which: int, detail: Any) -> None:
        if what == "table":
            self.table(which, *detail)
        elif what == "type":
            self.type(which, detail)
        elif what == "export":
            self.export(which, detail)
        elif what == "edit" and self.files:
            self.edit(which, *detail)
        elif what == "meet":
            self.meet()


def is_persons(value: str) -> bool:
    return value[:1] in ("p", "e") or (len(value) == 5 and value[0] in "23")


def persons_words(value: Any) -> set[str]:
    words = value if isinstance(value, list) else str(value).split()
    return {word for word in words if is_persons(word)}


def play(steps, **options) -> Office:
    with tempfile.TemporaryDirectory() as folder:
        office = Office(Path(folder), **options)
        for each in steps:
            office.do(*each)
        office.meet()
        return office


@settings(max_examples=40, deadline=None)
@given(st.lists(step, min_size=2, max_size=12))
@example(EDITED_BEFORE_IT_ARRIVED)
@example(TWO_EXPORTS)
@example(EDITED_BESIDE_ANOTHER_EXPORT)
@example(REPEATED_AND_NEWS_ELSEWHERE)
@example(BEGUN_FROM_TWO_VERSIONS)
def test_what_a_person_wrote_is_shown_or_listed_and_what_a_report_says_is_so(steps):
    play(steps)


@settings(max_examples=20, deadline=None)
@given(st.lists(step.filter(lambda each: each[0] != "edit"), min_size=2, max_size=10))
@example(REPEATED_AND_LEFT)
def test_an_export_that_nobody_edits_changes_nothing(steps):
    with_exports, without = play(steps), play(steps, exporting=False)
    for which in (0, 1):
        assert with_exports.shown(which) == without.shown(which)
        for field in FIELDS:
            assert with_exports.listed(which, field) == without.listed(which, field), field


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("forms", OTHER_EXPORTS)
@pytest.mark.parametrize("field", SINGLES)
def test_an_export_that_is_not_known_takes_no_word_away_that_was_edited_in_another(field, forms, first):
    written = [("export", 0, form) if form else ("type", 0, field) for form in forms]
    other = "city" if field != "city" else "phone"
    office = play([("type", 0, field), *written, ("edit", 1, (first, field)), ("edit", 1, (1 - first, other))])
    assert office.shown(0)[field] == office.shown(1)[field]


def test_an_export_that_says_what_an_edit_replaced_says_nothing_new():
    office = play(EDITED_BESIDE_ANOTHER_EXPORT)
    for which in (0, 1):
        assert office.shown(which)["phone"] == office.files[0].edited["phone"]
        assert office.listed(which, "phone") == set()


EXPORTED_BETWEEN = [
    *(("type", 0, field) for field in SINGLES),
    ("export", 0, "for editing"),
    ("table", 0, ("crm", NEWS)),
]
REPEATED_BY_ANOTHER = [
    ("type", 0, "employees"),
    ("table", 0, ("shop", {**SAYS_NOTHING, "employees": "repeats"})),
    ("table", 0, ("crm", NEWS)),
]
EDITED_THEN_NEXT_VERSION = [("export", 0, "plain"), ("edit", 0, (0, "city")), ("table", 0, ("crm", NEWS))]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("steps", [EXPORTED_BETWEEN, EDITED_THEN_NEXT_VERSION])
def test_it_holds_of_every_form_of_an_export(form, steps):
    play([(what, which, form if what == "export" else detail) for what, which, detail in steps])


def test_an_export_that_counts_as_what_a_source_said_is_noticed(monkeypatch):
    said = Memory.said
    monkeypatch.setattr(Memory, "said", lambda memory, field: said(memory, field) or said(Memory(memory.heard), field))
    monkeypatch.setattr(Memory, "agreed_with", lambda memory, field: False)
    with pytest.raises(AssertionError):
        play(EXPORTED_BETWEEN)


def test_an_edited_export_that_is_shown_like_a_table_is_noticed(monkeypatch):
    monkeypatch.setattr(memory_index, "is_edits", lambda name: False)
    with pytest.raises(AssertionError):
        play(EDITED_THEN_NEXT_VERSION)


def test_what_another_table_repeats_stays_a_persons_word(monkeypatch):
    play(REPEATED_BY_ANOTHER)
    monkeypatch.setattr(Memory, "agreed_with", lambda memory, field: False)
    with pytest.raises(AssertionError):
        play(REPEATED_BY_ANOTHER)


OTHERWISE = {"notes": "met in June", "visits": "9"}


@pytest.mark.parametrize("field", OTHERWISE)
@pytest.mark.parametrize("who_first", ["a person", "a table"])
def test_a_table_takes_no_persons_note_or_count_because_another_said_the_same(devices, field, who_first):
    (anna,) = devices("anna")
    said = {"notes": "met in May", "visits": "5"}[field]
    anna.take(["name"], ("1", "Anna"), file="list")
    if who_first == "a table":
        anna.take([field], ("1", said), file="shop")
    else:
        with anna.replica.edit(anna.record) as person:
            person[field] = said if field == "notes" else int(said)
        anna.take([field], ("1", said), file="shop")
    report = anna.take([field], ("1", OTHERWISE[field]), file="crm")
    kept = str(anna.shows(field)) == said
    assert (kept, report.cells_both_changed) == ((True, 1) if who_first == "a person" else (False, 0))


REPEATED = {"city": "Rome", "phone": "1", "notes": "met in May", "visits": "5", "tags": "vip", "timeline": "called"}
LEFT = {"city": "Oslo", "phone": "2", "notes": "met in June", "visits": "9", "tags": "new", "timeline": "mailed"}


@pytest.mark.parametrize("field", REPEATED)
def test_what_a_table_repeats_of_an_export_is_remembered_as_said(devices, tmp_path, field):
    anna, bert = devices("anna", "bert")
    exports = Exports(tmp_path / "exports")
    for each in (anna, bert):
        each.take(["name", "city"], ("1", "Anna", "Kiel"), file="list")
        with each.replica.edit(each.record) as person:
            match field:
                case "tags":
                    person.add(field, REPEATED[field])
                case "timeline":
                    person.append(field, REPEATED[field])
                case _:
                    person[field] = int(REPEATED[field]) if field == "visits" else REPEATED[field]
    now = anna.replica.wall_clock()
    export_table(anna.replica, "people", tmp_path / "export.csv", exports=exports, now=now)
    said = []
    for text in (REPEATED[field], LEFT[field]):
        anna.take([field], ("1", text), file="shop", exports=exports)
        bert.take([field], ("1", text), file="shop")
        shop, alike = (newest(sources_of(each.replica.document(each.record)))["shop"].said for each in (anna, bert))
        assert shop == alike
        said.append(shop[field])
    assert said[0] != said[1]
    shown, same = (each.shows(field) for each in (anna, bert))
    if field == "timeline":  # its entries have times
        shown, same = ([entry["value"] for entry in each] for each in (shown, same))
    assert (shown, anna.conflict(field)) == (same, bert.conflict(field))


def test_what_a_person_added_to_a_tables_note_and_that_repeats_is_the_persons(devices):
    (anna,) = devices("anna")
    anna.take(["notes"], ("1", "met in May"), file="shop")
    with anna.replica.edit(anna.record) as person:
        person.text("notes").insert(10, " with Bob")
    anna.take(["notes"], ("1", "met in May with Bob"), file="shop")
    report = anna.take(["notes"], ("1", "met in June"), file="crm")
    assert (report.cells_both_changed, anna.shows("notes")) == (1, "met in May with Bob")


def test_a_note_that_counts_as_the_tables_because_that_repeats_it_is_noticed(devices, monkeypatch):
    monkeypatch.setattr(Document, "typed_texts", lambda document: set())
    with pytest.raises(AssertionError):
        test_a_table_takes_no_persons_note_or_count_because_another_said_the_same(devices, "notes", "a person")
