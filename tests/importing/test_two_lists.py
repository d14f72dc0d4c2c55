"""Two lists of the same customers, each with versions: none takes back in silence what the other said."""

from crdt_sync.exchange import ImportedTables
from crdt_sync.records import conflicts_of

COLUMNS = ("name", "city", "phone", "notes", "visits", "tags")
JANUARY = ("1", "Anna", "Berlin", "1001", "calls on Monday", "2", "vip")
FEBRUARY = ("1", "Anna", "Hamburg", "2001", "calls on Tuesday", "12", "vip; new")
OTHER = ("1", "Anna", "Köln", "3001", "pays late", "8", "vip; other")


def take(device, *row, file):
    return device.take(COLUMNS, row, file=file, imported=ImportedTables(device.replica, None))


def record(device):
    (view,) = device.replica.list("people")
    return view


def shown(device):
    raw = record(device).raw
    return tuple(
        "; ".join(sorted(value, reverse=True)) if isinstance(value, list) else str(value)
        for value in map(raw.get, COLUMNS)
    )


def entries(device, field):
    conflicts = conflicts_of(device.replica.document(record(device).record), device.schema, all_kinds=True)
    return next((each.entries for each in conflicts if each.field == field), ())


def kept(device, field):
    return [entry.value for entry in entries(device, field)]


def actors(device, field):
    return [entry.actor for entry in entries(device, field)]


def test_a_list_that_says_the_same_again_takes_no_news_of_another_back(devices):
    (anna,) = devices("anna")
    take(anna, *JANUARY, file="crm")
    assert take(anna, *JANUARY, file="shop").unchanged == 1
    take(anna, *FEBRUARY, file="crm")
    head = anna.log_length()
    assert take(anna, *JANUARY, file="shop").unchanged == 1
    assert shown(anna) == FEBRUARY[1:]
    assert anna.log_length() == head


def test_news_of_a_list_that_said_the_same_as_another_are_compared_with_what_it_said(devices):
    (anna,) = devices("anna")
    take(anna, *JANUARY, file="crm")
    take(anna, *JANUARY, file="shop")
    take(anna, *JANUARY[:4], "gladly calls on Monday", "3", "vip", file="shop")
    assert shown(anna) == (*JANUARY[1:4], "gladly calls on Monday", "3", "vip")
    take(anna, *FEBRUARY, file="crm")
    assert shown(anna) == (*FEBRUARY[1:4], "gladly calls on Tuesday", "13", "vip; new")


def test_what_a_list_says_first_takes_nothing_back_that_was_there_before(devices):
    (anna,) = devices("anna")
    take(anna, *JANUARY, file="crm")
    take(anna, *FEBRUARY, file="crm")
    report = take(anna, *JANUARY, file="shop")
    assert (report.cells_written, shown(anna)) == (0, FEBRUARY[1:])


def test_what_another_list_says_first_is_kept_beside_what_is_there(devices):
    (anna,) = devices("anna")
    take(anna, *JANUARY, file="crm")
    take(anna, *FEBRUARY, file="crm")
    there = FEBRUARY
    report = take(anna, *OTHER, file="shop")
    assert kept(anna, "city") == [OTHER[2], there[2]]
    assert kept(anna, "phone") == [OTHER[3], there[3]]
    assert kept(anna, "notes") == [there[4], OTHER[4]]
    assert actors(anna, "notes") == ["import crm", "import shop"]
    assert shown(anna)[4] == there[5]
    assert report.cells_both_changed == 4
    again = take(anna, *OTHER, file="shop")
    assert (again.cells_written, again.unchanged) == (0, 1)
