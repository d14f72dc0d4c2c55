"""An old version of a file that is imported again takes nothing back that a newer one said, wherever that was."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdt_sync.errors import UsageError
from crdt_sync.exchange import ImportedTables, row_import
from crdt_sync.exchange.imported_tables import version_digest
from crdt_sync.limits import VERSIONS_OF_SOURCE_MAX
from crdt_sync.records import parse_schema
from crdt_sync.records.import_book import read_versions
from tests.importing.conftest import FIELDS, Device, Lines, meet
from tests.importing.test_properties import row, words, write

OLD = ("1", "Anna", "Kiel", "1", "lead", "vip; old", "5", "met in May", "called")
NEW = ("1", "Anna", "Ulm", "2", "qualified", "vip; new", "7", "met in June", '["called", "mailed"]')


class Importing:
    """A device that looks at the book of imported tables; `folder` has those of before they travelled."""

    def __init__(self, device: Device, folder=None) -> None:
        self.device, self.folder = device, folder

    def take(self, *rows, **options):
        book = ImportedTables(self.device.replica, self.folder)
        return self.device.take(FIELDS, *rows, imported=book, **options)


@pytest.fixture
def pair(devices):
    return [Importing(device) for device in devices("anna", "bert")]


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
    assert [anna.device.shows(field) for field in ("city", "visits", "tags")] == ["Kiel", 5, ["old", "vip"]]
    back = anna.device.values()
    assert anna.take(OLD).cells_unchanged == 8
    assert anna.device.values() == back


def test_who_goes_back_does_so_for_all_devices(pair):
    anna, bert = after_a_newer_one(pair)
    assert bert.take(OLD, go_back=True).cells_written == 6
    meet(anna.device, bert.device)
    back = anna.device.values()
    for each in (anna, bert):
        assert (each.take(NEW).cells_older, each.take(OLD).cells_unchanged) == (7, 8)
    meet(anna.device, bert.device)
    assert anna.device.values() == bert.device.values() == back
    assert len(book(anna)) == 2


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


ELSEWHERE = [
    "N:0 meet D:0 meet N:1",
    "N:0 D:0 meet N:1",
    "N:0 D:0 meet D:1 N:1",
    "N:0 meet D:0 N:1 meet N:1",
    "N:0 meet D:0 N:1 meet D:1 N:1",
    "N:0 meet N:1 D:1 meet N:0",
]


@pytest.mark.parametrize("steps", ELSEWHERE)
def test_on_a_device_that_never_imported_it_or_wrote_nothing_by_it(devices, steps):
    pair = [Importing(device) for device in devices("anna", "bert")]
    report = None
    for what, _, which in (step.partition(":") for step in steps.split()):
        if what == "meet":
            meet(*(each.device for each in pair))
        else:
            report = pair[int(which)].take({"N": OLD, "D": NEW}[what])
    assert (report.cells_older, report.cells_written, report.cells_both_changed) == (7, 0, 0)
    meet(*(each.device for each in pair))
    for each in pair:
        assert [each.device.shows(field) for field in ("city", "visits", "tags")] == ["Ulm", 7, ["new", "vip"]]
        assert len(each.device.store.records("", 9, "crdt-sync-imports/")) == 1


def test_a_version_is_never_older_than_one_that_was_known_whatever_the_clocks_say():
    fast, slow = Importing(Device("anna", [1_700_000_100_000_000])), Importing(Device("bert", [1_700_000_000_000_000]))
    fast.take(OLD)
    meet(fast.device, slow.device)
    slow.take(NEW)
    meet(fast.device, slow.device)
    for each in (fast, slow):
        assert (each.take(OLD).cells_older, each.take(NEW).cells_unchanged) == (7, 8)


def test_what_was_imported_first_on_devices_that_had_not_met_is_as_old_as_the_first(devices):
    anna, bert = (Importing(device) for device in devices("anna", "bert"))
    anna.take(OLD)
    anna.take(NEW)
    bert.take(OLD)
    meet(anna.device, bert.device)
    assert bert.take(OLD).cells_written == 0
    assert [len(book(each)) for each in (anna, bert)] == [3, 3]
    bert.take((*NEW[:2], "Bonn", *NEW[3:]))  # the next new version leaves one member for each
    assert len(book(bert)) == 3


def test_a_book_of_before_they_travelled_is_known_and_goes_to_the_others_at_the_next_import(devices, tmp_path):
    anna, bert = Importing(devices("anna")[0], tmp_path), Importing(devices("bert")[0], tmp_path / "none")
    digests = [version_digest(Lines(("Nr", *FIELDS), [row])) for row in (OLD, NEW)]
    path = ImportedTables(anna.device.replica, tmp_path)._path(tmp_path, "people", "customers")
    path.write_text(json.dumps({digests[0]: 1_600_000_000_000_000, "nonsense": "x", "more": 1}))
    anna.device.take(FIELDS, OLD)
    anna.device.take(FIELDS, NEW)
    assert anna.take(OLD, dry_run=True).cells_older == 7
    assert path.exists()
    assert anna.take(OLD).cells_older == 7
    assert not path.exists()
    meet(anna.device, bert.device)
    assert bert.take(OLD).cells_older == 7
    path.parent.mkdir(exist_ok=True)
    path.write_text("[")
    assert anna.take(NEW).cells_unchanged == 8


def book(of):
    (record,) = of.device.store.records("", 9, "crdt-sync-imports/")
    return of.device.replica.get(record).raw["versions"]


AHEAD = "f" * 32 + " 9007199254740991"
HOSTILE = ["", "x" * 5000, "f" * 32, f"{'f' * 32} -1", f"{'f' * 32} 99999999999999999", f"{'F' * 32} 1", AHEAD]


def test_what_anybody_wrote_into_a_book_neither_stops_an_import_nor_makes_old_versions_new(pair):
    anna, bert = pair
    anna.take(OLD)
    meet(anna.device, bert.device)
    (record,) = anna.device.store.records("", 9, "crdt-sync-imports/")
    with bert.device.replica.edit_reserved(record) as hostile:
        for text in HOSTILE:
            hostile.add("versions", text)
        hostile["source"] = "x" * 9
    meet(anna.device, bert.device)
    anna.take(NEW)
    assert anna.take(OLD).cells_older == 7
    assert set(HOSTILE) < set(book(anna))


@given(st.recursive(st.none() | st.integers() | st.text("0f 9", max_size=50), st.lists))
def test_reading_any_book_raises_nothing_and_stays_bounded(members):
    assert len(read_versions(members)) <= VERSIONS_OF_SOURCE_MAX


def test_the_book_of_a_source_keeps_the_newest_versions(devices, monkeypatch):
    monkeypatch.setattr("crdt_sync.records.import_book.VERSIONS_OF_SOURCE_MAX", 2)
    tables = ImportedTables(devices("anna")[0].replica)
    digests = [letter * 32 for letter in "abc"]
    for digest in digests:
        tables.note("people", "customers", digest)
    known = [tables.first_import("people", "customers", digest) for digest in digests]
    assert known[0] is None
    assert (known[1] or 0) < (known[2] or 0)
    assert tables.first_import("people", "others", digests[2]) is None


def test_a_book_is_no_record_of_people(pair):
    anna, _ = pair
    anna.take(OLD)
    replica = anna.device.replica
    (record,) = anna.device.store.records("", 9, "crdt-sync-imports/")
    assert (replica.count(), len(list(replica.list())), list(replica.find(text="people: customers"))) == (1, 1, [])
    assert (replica.schemaless(), replica.status().records, list(replica.schemas)) == ((), 1, ["people"])
    for target in (record, "crdt-sync-imports"):
        with pytest.raises(UsageError, match="imported"), replica.edit(target, create=True):
            pass
    with pytest.raises(UsageError, match="reserved"):
        replica.add_schema(parse_schema('collection = "crdt-sync-imports"\nversion = 1\n[fields.a]\n', "x"))


which = st.integers(0, 2)
step = st.one_of(
    st.tuples(st.just("new"), which, row),
    st.tuples(st.just("again"), which, st.integers(0, 5)),
    st.tuples(st.just("edit"), which, st.tuples(st.just("city"), words)),
    st.tuples(st.just("edit"), which, st.tuples(st.just("visits"), st.integers(-3, 3))),
    st.tuples(st.just("meet"), which, st.none()),  # all but that one
)


def history(steps, *, again: bool):
    """What three devices show: each version is first imported with all others known, and some `again` at any time,

    by whichever device has imported it, or met one that had.
    """
    now = [1_700_000_000_000_000]
    three = [Importing(Device(name, now)) for name in ("anna", "bert", "cleo")]
    devices = [each.device for each in three]
    known = [[OLD], [], []]
    three[0].take(OLD)

    def met(*those):
        meet(*(devices[each] for each in those))
        seen = list(dict.fromkeys(version for each in those for version in known[each]))
        for each in those:
            known[each] = list(seen)

    for what, which, detail in steps:
        if what == "new":
            met(0, 1, 2)
            if ("1", *detail) not in known[0]:
                known[which].append(("1", *detail))
                three[which].take(("1", *detail))
        elif what == "again" and known[which]:
            if again:
                three[which].take(known[which][detail % len(known[which])])
        elif what == "edit" and known[which]:
            write(devices[which], detail, "")
        elif what == "meet":
            met(*{0, 1, 2} - {which})
    met(0, 1, 2)
    assert devices[0].values() == devices[1].values() == devices[2].values()
    return {record: (raw, set(conflicts)) for record, (raw, conflicts) in devices[0].values().items()}


@settings(max_examples=60, deadline=None)
@given(st.lists(step, min_size=2, max_size=10))
def test_old_versions_again_on_any_device_at_any_time_change_nothing(steps):
    assert history(steps, again=True) == history(steps, again=False)


@pytest.mark.parametrize("device", [0, 1, 2])
def test_an_import_that_does_not_look_at_its_book_is_noticed(monkeypatch, device):
    steps = [("new", 1, NEW[1:]), ("meet", 0, None), ("meet", 1, None), ("again", device, 0)]
    expected = history(steps, again=False)
    assert history(steps, again=True) == expected
    monkeypatch.setattr(row_import, "said_since", lambda *_: None)
    assert history(steps, again=True) != expected


def test_a_book_that_does_not_travel_is_noticed(monkeypatch):
    steps = [("new", 0, NEW[1:]), ("meet", 2, None), ("again", 1, 0)]
    expected = history(steps, again=False)
    monkeypatch.setattr(ImportedTables, "_members", lambda *_: None)
    assert history(steps, again=True) != expected


def an_older_one_elsewhere_afterwards(pair):
    """One device has the new version, the other imports the old one later and knows nothing of that; then they meet."""
    anna, bert = pair
    anna.take(NEW)
    bert.take(OLD)
    meet(anna.device, bert.device)
    return anna, bert


def shown(device):
    view = device.values()[device.record][0]
    return {field: view[field] for field in FIELDS if field != "timeline"}


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_version_that_is_not_shown_as_another_came_later_elsewhere_says_so_and_writes_nothing(pair, dry_run):
    anna, bert = an_older_one_elsewhere_afterwards(pair)
    before, head = anna.device.values(), anna.device.log_length()
    assert shown(anna.device)["city"] == "Kiel"
    report = anna.take(NEW, dry_run=dry_run)
    told = {cell.field: (cell.here, cell.table) for cell in report.older}
    assert told["city"] == ("Kiel", "Ulm")
    assert (told["visits"], told["tags"]) == ((5, 7), (["old", "vip"], ["vip", "new"]))
    assert told.keys() == {"city", "phone", "stage", "tags", "visits", "notes", "timeline"}
    assert (report.rows_older, report.cells_older, report.cells_written) == (1, 7, 0)
    assert (anna.device.values(), anna.device.log_length()) == (before, head)
    assert bert.take(OLD).cells_older == 0


@pytest.mark.parametrize("way", ["back", "next"])
@pytest.mark.parametrize("who", [0, 1])
def test_going_back_to_it_or_a_next_version_that_says_the_same_settles_it_everywhere(pair, way, who):
    an_older_one_elsewhere_afterwards(pair)
    rows, options = (
        ([NEW], {"go_back": True}) if way == "back" else ([NEW, ("2", "Bert", "", "", "", "", "", "", "")], {})
    )
    first = pair[who].device.record
    report = pair[who].take(*rows, **options)
    assert (report.updated, report.cells_older, report.cells_settled) == (1, 0, 7)
    meet(*(each.device for each in pair))
    for each in pair:
        view, conflicts = each.device.values()[first]
        assert (view["city"], view["tags"], view["visits"]) == ("Ulm", ["new", "vip"], 7)
        assert (view["notes"], view["stage"], conflicts) == ("met in June", "qualified", ())
        again, head = each.take(*rows), each.device.log_length()
        assert (again.cells_written, again.cells_older, each.device.log_length()) == (0, 0, head)
    assert pair[0].device.values() == pair[1].device.values()
    assert pair[1 - who].take(OLD).cells_older == 7


def test_what_people_changed_meanwhile_stays_when_it_is_settled(pair):
    anna, bert = an_older_one_elsewhere_afterwards(pair)
    with bert.device.replica.edit(bert.device.record) as person:
        person.increment("visits", 2)
        person.add("tags", "golf")
    anna.take(NEW, go_back=True)
    meet(anna.device, bert.device)
    for each in pair:
        assert (each.device.shows("visits"), each.device.shows("tags")) == (9, ["golf", "new", "vip"])
