"""An old version of a file that is imported again takes nothing back that a newer one said, wherever that was."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdt_sync.exchange import ImportedTables
from crdt_sync.exchange import importer as importer_module
from crdt_sync.exchange.imported_tables import version_digest
from tests.importing.conftest import FIELDS, Device, Lines, meet
from tests.importing.test_properties import row, words, write

OLD = ("1", "Anna", "Kiel", "1", "lead", "vip; old", "5", "met in May", "called")
NEW = ("1", "Anna", "Ulm", "2", "qualified", "vip; new", "7", "met in June", '["called", "mailed"]')


class Importing:
    """A device with its book of imported tables."""

    def __init__(self, device: Device, folder) -> None:
        self.device = device
        folder.mkdir(exist_ok=True)
        self.book = ImportedTables(folder / device.name)

    def take(self, *rows, **options):
        now = self.device.replica.clock.tick()
        return self.device.take(FIELDS, *rows, imported=self.book, now=now, **options)


@pytest.fixture
def pair(devices, tmp_path):
    return [Importing(device, tmp_path) for device in devices("anna", "bert")]


def after_a_newer_one(pair):
    anna, bert = pair
    anna.take(OLD)
    meet(anna.device, bert.device)
    bert.take(NEW)
    meet(anna.device, bert.device)
    return anna, bert


def test_the_old_version_again_writes_nothing_and_says_so(pair):
    anna, _ = after_a_newer_one(pair)
    before, head = anna.device.values(), anna.device.log_length()
    anna.device.restart()
    report = anna.take(OLD)
    assert (report.rows_older, report.cells_older, report.cells_written, report.unchanged) == (1, 7, 0, 1)
    cells = [(cell.field, cell.here, cell.table) for cell in report.older]
    assert cells[:2] == [("city", "Ulm", "Kiel"), ("phone", "2", "1")]
    assert report.newer_said is not None
    assert (anna.device.values(), anna.device.log_length()) == (before, head)


def test_on_one_device_too(pair):
    anna, _ = pair
    anna.take(OLD)
    anna.take(NEW)
    before = anna.device.values()
    assert anna.take(OLD).cells_older == 7
    assert anna.device.values() == before


def test_one_goes_back_on_purpose_and_then_the_other_is_the_older(pair):
    anna, _ = after_a_newer_one(pair)
    assert anna.take(OLD, go_back=True).cells_written == 6
    assert (anna.device.shows("city"), anna.device.shows("visits"), anna.device.shows("tags")) == (
        "Kiel",
        5,
        ["old", "vip"],
    )
    back = anna.device.values()
    assert anna.take(OLD).cells_unchanged == 8
    assert anna.device.values() == back


def test_a_dry_run_tells_what_would_be_left_and_is_no_import(pair):
    anna, _ = pair
    anna.take(NEW, dry_run=True)
    anna.take(OLD)
    assert anna.take(NEW).cells_older == 0
    assert anna.take(OLD, dry_run=True).cells_older == 7


def test_rows_and_fields_that_no_newer_version_has_go_in(pair):
    anna, _ = pair
    anna.device.take(FIELDS, OLD)
    anna.take(OLD, ("2", "Zoe", *[""] * 7))
    anna.take(("1", "", "Ulm", *[""] * 6))
    (second,) = (view.record for view in anna.device.replica.list("people") if view.raw["name"] == "Zoe")
    with anna.device.replica.edit(second) as person:
        person["city"] = "Bonn"
    report = anna.take(("2", "Zoe", *[""] * 7), OLD)  # the same rows in another order
    assert [cell.field for cell in report.older] == ["city"]


def test_what_people_wrote_and_both_changed_is_told_as_ever(pair):
    anna, _ = pair
    anna.take(OLD)
    with anna.device.replica.edit(anna.device.record) as person:
        person["stage"] = "won"
    changed = (*NEW[:4], "qualified", *OLD[5:])
    assert anna.take(changed).cells_both_changed == 1
    again = anna.take(changed)
    assert (again.cells_both_changed, again.cells_older) == (1, 0)


def test_a_version_is_known_by_its_cells_in_any_order_of_its_rows():
    one = Lines(("a", "b"), [("1", "2"), ("3", "4"), ("3", "4")])
    assert version_digest(one) == version_digest(Lines(("a", "b"), [("3", "4"), ("1", "2"), ("3", "4")]))
    others = [
        Lines(("b", "a"), [("1", "2"), ("3", "4"), ("3", "4")]),
        Lines(("a", "b"), [("1", "2"), ("3", "4")]),
        Lines(("a", "b"), [("1", "2")]),
        Lines(("a", "b"), [("2", "1"), ("3", "4"), ("3", "4")]),
    ]
    assert len({version_digest(each) for each in (one, *others)}) == 5


def test_a_book_that_cannot_be_read_is_as_none(pair):
    anna, _ = after_a_newer_one(pair)
    for path in anna.book._folder.iterdir():
        path.write_text("[")
    assert anna.take(OLD).cells_written == 6


def test_the_book_of_a_source_keeps_the_newest_versions(tmp_path, monkeypatch):
    monkeypatch.setattr("crdt_sync.exchange.imported_tables.VERSIONS_OF_SOURCE_MAX", 2)
    book = ImportedTables(tmp_path / "book")
    for stamp, digest in enumerate("abc"):
        book.note("people", "customers", digest, stamp)
    assert [book.first_import("people", "customers", digest) for digest in "abc"] == [None, 1, 2]
    assert book.first_import("people", "others", "c") is None


step = st.one_of(
    st.tuples(st.just("new"), st.integers(0, 1), row),
    st.tuples(st.just("again"), st.integers(0, 1), st.integers(0, 5)),
    st.tuples(st.just("edit"), st.integers(0, 1), st.tuples(st.just("city"), words)),
    st.tuples(st.just("edit"), st.integers(0, 1), st.tuples(st.just("visits"), st.integers(-3, 3))),
    st.tuples(st.just("meet"), st.just(0), st.none()),
)


def history(steps, folder, *, again: bool):
    """What two devices show: each version is first imported with all others known, and some `again` at any time."""
    now = [1_700_000_000_000_000]
    pair = [Importing(Device(name, now), folder) for name in ("anna", "bert")]
    devices = [each.device for each in pair]
    pair[0].take(OLD)
    versions = [[OLD], []]
    meet(*devices)
    for what, which, detail in steps:
        if what == "new":
            meet(*devices)
            if all(("1", *detail) not in each for each in versions):
                versions[which].append(("1", *detail))
                pair[which].take(("1", *detail))
        elif what == "again" and versions[which]:
            if again:
                pair[which].take(versions[which][detail % len(versions[which])])
        elif what == "edit":
            write(devices[which], *detail, token="")
        elif what == "meet":
            meet(*devices)
    meet(*devices)
    assert devices[0].values() == devices[1].values()
    return {record: (raw, set(conflicts)) for record, (raw, conflicts) in devices[0].values().items()}


@settings(max_examples=60, deadline=None)
@given(st.lists(step, min_size=2, max_size=10))
def test_old_versions_again_on_any_device_at_any_time_change_nothing(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("books")
    assert history(steps, folder / "one", again=True) == history(steps, folder / "other", again=False)


def test_an_import_that_does_not_look_at_its_book_is_noticed(tmp_path, monkeypatch):
    steps = [("new", 1, NEW[1:]), ("meet", 0, None), ("again", 0, 0)]
    expected = history(steps, tmp_path / "one", again=False)
    assert history(steps, tmp_path / "other", again=True) == expected
    monkeypatch.setattr(importer_module, "said_since", lambda *_: None)
    assert history(steps, tmp_path / "planted", again=True) != expected
