"""Renewed records: whatever is renewed, wherever and whenever, all devices come to show what they would have without.

Each device keeps a twin of its document that is never renewed, edited and merged at the same moments: it says what must
be shown, on the device itself after each step and on all of them in the end.
"""

import base64
from dataclasses import replace
from decimal import Decimal
from itertools import permutations
from random import Random
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crdt_sync import limits
from crdt_sync.clock import HybridClock
from crdt_sync.errors import CrdtSyncError, UpdateRefused
from crdt_sync.limits import INTEGER_EXACT_MAX
from crdt_sync.records import Document, Editor, bundled_schema, conflicts_of, parse_schema, reading_of, values_of
from crdt_sync.records.imported import ImportedChange, bring
from crdt_sync.records.lineages import document_dots, dots, first_update, renewal
from crdt_sync.records.lineages.document_dots import dots_of
from crdt_sync.records.lineages.dots import Dots, Piece
from crdt_sync.records.lineages.lineage import is_of, lineage_of
from crdt_sync.records.lineages.provenance import Lineage, parsed
from crdt_sync.records.lineages.renewal import carried, renewed
from crdt_sync.records.memory.memories import remember, sources_of
from crdt_sync.records.text_field import TextField
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.records.updates.update import scan
from crdt_sync.records.values import exact_sum

SCHEMA = bundled_schema("customers")
START = 1_700_000_000_000_000
DEVICES = 3
EDITS = (
    "company",
    "phone",
    "add",
    "remove",
    "visits",
    "timeline",
    "type",
    "erase",
    "stage",
    "delete",
    "import",
    "remember",
)
VALUES = ("Ann", "張偉", "Zoë 😀", "")


class Device:
    """A document that is renewed now and then, and its twin, which never is."""

    def __init__(self, number: int, company: "Company") -> None:
        self.number = number
        self.company = company
        self.writer = 0
        self.document = Document()
        self.twin = Document()

    def edit(self, what: str, detail: int) -> None:
        """The same edit of both, by one writer at one time."""
        self.company.time += 1000
        if not self.writer or detail % 3 == 0 or self.writer in lineage_of(self.document).cover:
            self.writer = self.company.new_writer()
        letter = self.company.letter()
        self.document = self._edited(self.document, what, detail, letter)
        self.twin = self._edited(self.twin, what, detail, letter)
        self.check()

    def _edited(self, document: Document, what: str, detail: int, letter: str) -> Document:
        copy = Document.load((document.diff(),), self.writer)
        clock = HybridClock(lambda: self.company.time)
        name = f"device{self.number}"
        editor = Editor(copy, SCHEMA, clock, name, "customers")
        if what == "delete":
            editor.delete()
            return copy
        source = f"source{self.number} {self.company.time}"
        if what == "remember":  # which is no edit
            remember(copy, clock, name, f"source{self.number}" if detail % 2 else source, {"company": letter})
            return copy
        if copy.deleted:
            editor.restore()
        if what == "import":
            value = VALUES[detail % len(VALUES)]
            bring(
                copy, SCHEMA, source, [ImportedChange("beside", "company", value), ImportedChange("add", "tags", value)]
            )
            remember(copy, clock, name, source, {"company": value, "tags": [value]})
        else:
            _edit(copy, editor, what, detail, letter)
        return copy

    def receive(self, other: "Device") -> None:
        """Take over everything that `other` holds."""
        self.document = merged(self.document, other.document)
        self.twin.apply(other.twin.diff(self.twin.state_vector()))
        self.check()

    def renew(self) -> None:
        before = reading_of(self.document, SCHEMA)
        self.document = renewed(self.document)
        assert reading_of(self.document, SCHEMA) == before
        assert self.writer == 0 or self.writer not in vectors.decode(self.document.state_vector())
        self.check()

    def check(self) -> None:
        """The document shows what its twin shows; of texts the same letters, in an order that joins may choose."""
        assert shown(self.document) == shown(self.twin)


class Company:
    """Some devices that edit one record."""

    def __init__(self, count: int = DEVICES) -> None:
        self.time = START
        self._writers = 0
        self._letters = 0
        self.devices = [Device(number, self) for number in range(count)]

    def new_writer(self) -> int:
        self._writers += 1
        return (1 << 52) - 7919 * self._writers

    def letter(self) -> str:
        """A letter that nobody has typed yet; every third takes two UTF-16 units."""
        self._letters += 1
        return chr((0x20000 if self._letters % 3 == 0 else 0x4E00) + self._letters)

    def play(self, script: list[tuple[int, str, int]]) -> None:
        for who, what, detail in script:
            device = self.devices[who % len(self.devices)]
            if what == "receive":
                device.receive(self.devices[detail % len(self.devices)])
            elif what == "renew":
                device.renew()
            else:
                device.edit(what, detail)

    def meet(self) -> None:
        """Exchange until nothing changes any more, which must come to an end."""
        for _ in range(len(self.devices) + 3):
            before = [device.document.digest() for device in self.devices]
            for device in self.devices:
                for other in self.devices:
                    if other is not device:
                        device.receive(other)
            if before == [device.document.digest() for device in self.devices]:
                break
        digests = {device.document.digest() for device in self.devices}
        assert len(digests) == 1, "devices that hold the same differ"
        assert len({device.document.content_digest() for device in self.devices}) == 1
        assert len({str(reading_of(device.document, SCHEMA)) for device in self.devices}) == 1


def merged(one: Document, other: Document) -> Document:
    """A document with all of both."""
    if lineage_of(one).writer == lineage_of(other).writer:
        together = Document.load((one.diff(),))
        together.apply(other.diff(one.state_vector()))
        return together
    return carried(one, other)


def shown(document: Document) -> tuple[object, ...]:
    """What a record shows, texts as their letters."""
    reading = reading_of(document, SCHEMA, all_kinds=True)
    values = dict(reading.values)
    letters = sorted(str(values.pop("notes", "")))
    return values, letters, reading.conflicts, reading.deleted, reading.sources


def _edit(document: Document, editor: Editor, what: str, detail: int, letter: str) -> None:
    value = VALUES[detail % len(VALUES)]
    match what:
        case "company":
            editor["company"] = value + letter
        case "phone" | "stage":
            wanted = value + letter if what == "phone" else SCHEMA.fields["stage"].states[detail % 2]
            if editor.conflict(what) is None:
                editor[what] = wanted
            else:
                editor.resolve(what, wanted)
        case "add":
            editor.add("tags", value)
        case "remove":
            editor.remove("tags", value)
        case "visits":
            editor.increment("visits", detail - 1)
        case "timeline":
            editor.append("timeline", {"note": value})
        case "type":  # beside a letter that both have, wherever it stands in them
            text = TextField(document, "notes")
            text.insert(_place(str(text), detail), letter * (1 + detail % 2))
        case "erase":
            text = TextField(document, "notes")
            if str(text):
                place = _place(str(text), detail)
                place = min(place, len(text) - 1)
                text.delete(place, place + 1)


def _place(text: str, detail: int) -> int:
    """Where the letter stands that is at a place of all letters in order."""
    return text.index(sorted(text)[detail % len(text)]) if text else 0


STEPS = st.lists(
    st.tuples(
        st.integers(0, DEVICES - 1),
        st.sampled_from((*EDITS, "receive", "receive", "receive", "renew", "renew")),
        st.integers(0, 11),
    ),
    max_size=24,
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_devices_that_renew_come_to_show_what_they_would_have_without(script: list[tuple[int, str, int]]) -> None:
    company = Company()
    company.play(script)
    company.meet()
    before = [device.document.digest() for device in company.devices]
    for device in company.devices:
        for other in company.devices:
            device.receive(other)
    assert before == [device.document.digest() for device in company.devices], "a repeat changed something"


# --- planted bugs ------------------------------------------------------------------------------------------------


def _nothing_is_dead(self: Dots) -> dict[int, list[tuple[int, int]]]:
    return {}


def _everything_again(kept: list[Piece], others: list[Piece], known: object) -> list[Piece]:
    return [*kept, *others]


def _nothing_carried(kept: list[Piece], others: list[Piece], known: object) -> list[Piece]:
    return kept


def _cover_of_what_is_live(one: Dots, other: Dots) -> Dots:
    whole = _JOINED(one, other)
    return replace(whole, known={writer: whole.known[writer] for writer in whole.live_ranges()})


def _vector_as_it_was(found: Dots, piece: Piece, writer: int, count: int) -> Piece:
    return piece


def _latest_by_place(one: Document, other: Document) -> Document:
    return one if one.diff() > other.diff() else other


_JOINED = dots.joined
_STARTS: property = vars(Lineage)["starts"]

PLANTED = {
    "what was deleted in one comes back": (Dots, "dead_ranges", _nothing_is_dead),
    "what both have is written twice": (dots, "_placed", _everything_again),
    "what only the earlier has is dropped": (dots, "_placed", _nothing_carried),
    "members and counters of the earlier are dropped": (dots, "_by_key", lambda pieces: list(pieces)[:1]),
    "who has nothing left is no longer covered": (renewal, "joined", _cover_of_what_is_live),
    "a deletion forgets what it saw": (first_update, "_with_vector", _vector_as_it_was),
    "dots are shifted by one": (
        Lineage,
        "starts",
        property(lambda self: [start + 1 for start in _STARTS.__get__(self)]),
    ),
    "the later wins and nothing is joined": (dots.Dots, "holds", lambda self, other: True),
    "one of two is taken": (renewal, "carried", _latest_by_place),
    "a memory is an edit": (document_dots, "MEMORY_ROOTS", frozenset()),
}


def _random_scripts() -> list[list[tuple[int, str, int]]]:
    random = Random(11)
    steps = (*EDITS, *["receive"] * 6, *["renew"] * 3)
    return [
        [(random.randrange(DEVICES), random.choice(steps), random.randrange(12)) for _ in range(20)] for _ in range(40)
    ]


def _is_found() -> bool:
    for script in _random_scripts():
        company = Company()
        try:
            company.play(script)
            company.meet()
        except (AssertionError, CrdtSyncError):
            return True
    return False


@pytest.mark.parametrize("bug", PLANTED)
def test_planted_bugs_are_found(bug: str) -> None:
    owner, name, planted = PLANTED[bug]
    with patch.object(owner, name, planted), patch(f"{__name__}.carried", renewal.carried):
        assert _is_found()


# --- one thing each ----------------------------------------------------------------------------------------------


def _person(document: Document, writer: int, time: int) -> tuple[Document, Editor]:
    copy = Document.load((document.diff(),), writer)
    return copy, Editor(copy, SCHEMA, HybridClock(lambda: time), f"writer{writer}", "customers")


def _grown(lives: int) -> Document:
    """A record that each of so many lives edited once in each of its fields."""
    document = Document()
    for life in range(lives):
        document, editor = _person(document, (1 << 51) + 104729 * life, START + 1000 * life)
        editor["company"] = f"Company number {life}"
        editor["notes"] = f"{'Met them at the fair. ' * 30}Call again in week {life}."
        editor.add("tags", f"year {life % 4}")
    return document


def test_equal_states_make_equal_bytes_and_different_ones_do_not() -> None:
    document = _grown(5)
    other = Document.load((document.diff(),), 77)
    assert renewed(document).diff() == renewed(other).diff()
    copy, editor = _person(document, 78, START * 2)
    editor["company"] = "Other"
    assert lineage_of(renewed(copy)).writer != lineage_of(renewed(document)).writer


def test_a_record_of_many_lives_is_small_once_it_is_renewed() -> None:
    document = _grown(200)
    fresh = renewed(document)
    assert reading_of(fresh, SCHEMA) == reading_of(document, SCHEMA)
    assert fresh.size < 10 * fresh.content_bytes() < document.size
    assert (
        fresh.size - renewed(_grown(1)).size < 24 * 200
    )  # of each life: in the cover, and beside the tag that it added
    copy, editor = _person(fresh, 5, START * 2)
    editor["company"] = "Last"
    assert len(copy.diff_of_edit(fresh.state_vector(), fresh.deletions())) < 100


def test_every_update_of_a_lineage_names_it() -> None:
    fresh = renewed(_grown(40))
    tags, editor = _person(fresh, 5, START * 2)
    for number in range(60):  # many deletions, so that an edit leaves the earlier ones out
        editor["company"] = str(number)
        editor.append("timeline", {"note": "x"})
    again, editor = _person(tags, 6, START * 2)
    editor.increment("visits", 1)
    update = again.diff_of_edit(tags.state_vector(), tags.deletions())
    assert scan(update).deletes == {lineage_of(fresh).writer: [(0, 1)]}
    assert is_of(lineage_of(fresh).writer, scan(update))
    assert is_of(lineage_of(fresh).writer, scan(fresh.diff()))
    assert not is_of(0, scan(fresh.diff()))
    assert not is_of(lineage_of(fresh).writer, scan(_grown(2).diff()))
    assert not is_of(lineage_of(fresh).writer, scan(renewed(fresh).diff()))


def test_a_late_edit_of_the_old_lineage_stands_where_it_was_made() -> None:
    start, editor = _person(Document(), 1, START)
    editor["notes"] = "Call Ann on Monday about the offer."
    fresh, editor = _person(renewed(start), 2, START + 1000)
    editor["notes"] = "Call Ann on Tuesday about the offer."
    late, editor = _person(start, 3, START + 2000)
    editor["notes"] = "Call Ann and Bob on Monday about the new offer."
    both = carried(fresh, late)
    assert values_of(both, SCHEMA)["notes"] == "Call Ann and Bob on Tuesday about the new offer."
    assert carried(late, fresh).diff() == both.diff()
    assert carried(both, late) is both
    assert carried(both, fresh) is both


def test_counters_conflicts_and_deletions_are_those_of_both() -> None:
    start, editor = _person(Document(), 1, START)
    editor["company"] = "Ann"
    editor.increment("visits", 2)
    one, editor = _person(renewed(start), 2, START + 1000)
    editor.increment("visits", 3)
    editor["phone"] = "1"
    other, editor = _person(start, 3, START + 2000)
    editor.increment("visits", 5)
    editor["phone"] = "2"
    both = carried(one, renewed(other))
    assert values_of(both, SCHEMA)["visits"] == 10
    assert [entry.value for entry in conflicts_of(both, SCHEMA)[0].entries] == ["2", "1"]
    gone, editor = _person(both, 4, START + 3000)
    editor.delete()
    assert renewed(gone).deleted
    assert carried(gone, other).deleted
    edited, editor = _person(both, 5, START + 4000)
    editor.increment("visits", 1)
    beside = carried(renewed(gone), edited)
    assert not beside.deleted
    assert [conflict.field for conflict in conflicts_of(beside, SCHEMA)] == ["phone", "_deleted"]


def test_what_imports_have_to_know_survives() -> None:
    start, editor = _person(Document(), 1, START)
    bring(start, SCHEMA, "shop", [ImportedChange("beside", "company", "Ann"), ImportedChange("add", "tags", "a")])
    remember(start, HybridClock(lambda: START), "me", "shop", {"company": "Ann", "tags": ["a"], "visits": {"+": 4}})
    editor["email"] = "first@example.com"
    editor["phone"] = "1"
    changed, editor = _person(start, 2, START + 1000)
    editor["phone"] = "2"
    editor.add("tags", "b")
    editor.remove("tags", "b")
    for document in (renewed(changed), renewed(renewed(changed)), carried(renewed(start), changed)):
        assert sources_of(document) == sources_of(changed)
        assert document.written_once() == changed.written_once()
        assert document.removed_members() == changed.removed_members() == {"tags": {'"b"'}}
        assert values_of(document, SCHEMA) == values_of(changed, SCHEMA)


def test_what_is_written_once_takes_no_id_that_the_cover_names() -> None:
    start = Document(1)
    bring(start, SCHEMA, "shop", [ImportedChange("add", "tags", "a")])
    (writer,) = vectors.decode(start.state_vector())
    fresh = renewed(start)
    assert writer in lineage_of(fresh).cover
    with patch("crdt_sync.records.write_once.hashlib.blake2b") as hashed:
        hashed.return_value.digest.side_effect = [(each << 11).to_bytes(8, "big") for each in (writer, writer + 1)]
        bring(fresh, SCHEMA, "shop", [ImportedChange("add", "tags", "b")])
    assert writer + 1 in vectors.decode(fresh.state_vector())


def _deleted_and_remembered() -> tuple[Document, Document]:
    """A record that somebody deleted, and one with what an import remembered of it meanwhile, twice."""
    start, editor = _person(Document(), 1, START)
    editor["company"] = "Ann"
    gone, editor = _person(start, 2, START + 1000)
    editor.delete()
    beside, _ = _person(start, 3, START + 2000)
    for company in ("Ann", "Ben"):
        remember(beside, HybridClock(lambda: START + 2000), "me", "shop", {"company": company})
    return gone, beside


def test_what_an_import_remembered_and_remembers_no_more_is_no_edit() -> None:
    gone, beside = _deleted_and_remembered()
    for both in (carried(renewed(gone), beside), carried(gone, renewed(beside)), renewed(merged(gone, beside))):
        assert both.deleted
        assert renewed(both).deleted
        assert dots_of(both).holds(dots_of(carried(both, renewed(beside))))


def test_what_was_written_and_taken_back_is_an_edit_that_a_deletion_had_not_seen() -> None:
    gone, beside = _deleted_and_remembered()
    edited, editor = _person(beside, 4, START + 3000)
    editor.add("tags", "a")
    editor.remove("tags", "a")
    for both in (carried(renewed(gone), edited), carried(gone, renewed(edited)), renewed(merged(gone, edited))):
        assert [conflict.field for conflict in conflicts_of(renewed(both), SCHEMA)] == ["_deleted"]


def test_two_deletions_delete_together_what_neither_had_seen_alone() -> None:
    start, editor = _person(Document(), 1, START)
    editor["company"] = "Ann"
    sides = []
    for writer in (2, 3):
        side, editor = _person(start, writer, START + writer)
        editor.increment("visits")
        editor.delete()
        sides.append(side)
    both = renewed(merged(*sides))
    assert both.deleted
    assert renewed(both).deleted
    back, editor = _person(sides[0], 4, START + 5000)  # who takes back one deletion knew nothing of the other
    editor.restore()
    assert shown(carried(both, back)) == shown(merged(merged(*sides), back))
    assert not carried(both, back).deleted


def test_a_provenance_without_memories_is_read() -> None:
    """Form 1, of records renewed by an earlier build: all of its dots count as edits."""
    (cover, clock), (run, *_) = (7, 3), [(0, 0, 1)]
    data = bytes([1, 1, 1, cover, clock, 1, *run, 0])
    told = parsed(base64.urlsafe_b64encode(data).decode().rstrip("="), 99, 2)
    assert told.edited == told.cover == {7: 3}


def test_a_provenance_of_form_2_is_read() -> None:
    """Ids and clocks as they are: writers 7 and 9, a run of what is live, what both counted, and a memory of 9."""
    told = [2, 1, 2, 7, 3, 2, 200, 1, 0, 0, 1, 1, 2, 2, 0, 2, 10, 1, 99, 5, 1, 1, 4]
    data = bytes(byte for number in told for byte in ([number] if number < 128 else [number & 127 | 128, number >> 7]))
    assert parsed(base64.urlsafe_b64encode(data).decode().rstrip("="), 99, 2) == Lineage(
        1, 99, 2, {7: 3, 9: 200}, ((7, 0, 1),), {2: ((7, 2, 5), (9, 99, -3))}, {7: 3, 9: 196}
    )


LIFE = 1 << 40  # ids of one life follow it


def test_a_life_whose_record_is_renewed_again_and_again_is_told_of_in_few_bytes() -> None:
    document, sizes = Document(), []
    for number in range(60):
        writer = lineage_of(document).following(LIFE)
        assert writer == LIFE + number
        document, editor = _person(document, writer, START + 1000 * number)
        editor.increment("visits", 2 if number % 7 else -1)
        editor["city"] = f"City {number % 10}"
        document = renewed(document)
        sizes.append(document.size)
    made_of = lineage_of(document)
    assert made_of.cover.keys() == set(range(LIFE, LIFE + 60))
    assert made_of.shared == {}  # one dot has what all of them counted
    assert values_of(document, SCHEMA)["visits"] == 2 * 60 - 3 * 9
    assert sizes[-1] - sizes[9] <= 50 * 3


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["count", "renew", "join", "join"])), max_size=24))
def test_what_lives_counted_under_ids_that_follow_each_other_adds_up(script: list[tuple[int, str]]) -> None:
    """Three devices go on under the next id whenever a lineage covers theirs."""
    documents, counted = [Document() for _ in range(3)], [0, 0, 0]
    for step, (device, act) in enumerate(script):
        document = documents[device]
        if act == "count":
            writer = lineage_of(document).following(LIFE * (device + 1))
            documents[device], editor = _person(document, writer, START + 1000 * step)
            editor.increment("visits", 10**device)
            counted[device] += 1
        elif act == "renew":
            documents[device] = renewed(document)
        else:
            other = documents[(device + 1) % 3]
            documents[device] = merged(document, other)
    together = merged(merged(documents[0], documents[1]), documents[2])
    assert values_of(together, SCHEMA).get("visits", 0) == sum(
        10**device * times for device, times in enumerate(counted)
    )


COUNTERS = parse_schema(
    'collection="meters"\nversion=1\n[fields.whole]\nkind="counter"\n[fields.exact]\nkind="counter"\ntype="decimal"\n',
    "meters",
)
WHOLE = (1, -1, dots.COUNTED_MAX - 1, -dots.COUNTED_MAX, INTEGER_EXACT_MAX, 600_000_000_000_000)
EXACT = (Decimal("0.5"), Decimal("-0.01"), Decimal(7), Decimal(10) ** 60)


def _counting(document: Document, life: int) -> tuple[Document, Editor]:
    copy = Document.load((document.diff(),), lineage_of(document).following(life))
    return copy, Editor(copy, COUNTERS, HybridClock(lambda: START), f"life{life}", "meters")


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.sampled_from([*WHOLE, *EXACT]) | st.sampled_from(["renew", "renew", "from 1", "from 2", "from 2"]),
        ),
        max_size=24,
    )
)
@example([(0, 600_000_000_000_000), (0, "renew"), (0, 1), (1, "from 2"), (1, "renew"), (0, 600_000_000_000_000)])
def test_no_count_is_lost_however_large_the_totals_and_whoever_renews(
    script: list[tuple[int, int | Decimal | str]],
) -> None:
    """Devices 0 to 2 go on under the next id whenever a lineage covers theirs; `from` tells whom one hears."""
    documents = [Document() for _ in range(3)]
    whole, exact = 0, Decimal(0)
    for device, act in script:
        document = documents[device]
        if act == "renew":
            documents[device] = renewed(document)
            assert _counts(documents[device]) == _counts(document)
        elif isinstance(act, str):
            documents[device] = merged(document, documents[(device + int(act[-1])) % 3])
        else:
            documents[device], editor = _counting(document, LIFE * (device + 1))
            if isinstance(act, int):
                editor.increment("whole", act)
                whole += act
            else:
                editor.increment("exact", act)
                exact = exact_sum((exact, act))
    together = [
        merged(merged(documents[one], documents[other]), documents[last]) for one, other, last in permutations(range(3))
    ]
    for document in [*together, *map(renewed, together)]:
        assert _counts(document) == [whole, exact]


def _counts(document: Document) -> list[Decimal]:
    values = values_of(document, COUNTERS)
    return [Decimal(str(values.get(field, 0))) for field in ("whole", "exact")]


@pytest.mark.parametrize(
    ("field", "amounts"),
    [
        ("whole", [dots.COUNTED_MAX - 1] * 3),
        ("whole", [INTEGER_EXACT_MAX] * 3),
        ("exact", [Decimal("0.1")] * 30),
        ("exact", [Decimal(10) ** 60, Decimal("1e-60"), Decimal(1)]),
    ],
)
def test_what_a_life_counted_is_one_total_whatever_number_it_is(field: str, amounts: list[int | Decimal]) -> None:
    document = Document()
    for amount in amounts:
        document, editor = _counting(document, LIFE)
        editor.increment(field, amount)
        document = renewed(document)
    (content,) = (each for root, each in document.contents().items() if root == f"n.{field}")
    assert isinstance(content, dict)
    assert [Decimal(total) for total in content.values()] == [exact_sum(map(Decimal, amounts))]


def test_devices_that_renew_apart_what_was_counted_in_decimals_make_the_same() -> None:
    document = Document()
    for number in range(4):
        document, editor = _counting(document, LIFE * (1 + number % 2))
        editor.increment("exact", Decimal("0.1"))
        document = renewed(document) if number < 3 else document
    assert renewed(document).diff() == renewed(Document.load((document.diff(),), 77)).diff()
    assert _counts(renewed(document)) == [0, Decimal("0.4")]


def test_a_record_of_many_lives_that_counted_in_decimals_is_grown_only_until_it_is_renewed() -> None:
    document = Document()
    for life in range(200):
        document, editor = _counting(document, LIFE * (life + 1))
        for number in range(5):
            editor.increment("exact", Decimal(f"{number}.5"))
    assert renewal.is_grown(document)
    assert renewed(document).size > limits.RENEWED_BYTES_MIN
    assert not renewal.is_grown(renewed(document))


def test_texts_of_one_lineage_only_are_merged() -> None:
    start = _grown(1)
    with pytest.raises(ValueError, match="one lineage"):
        carried(start, _grown(2))


@given(st.text(alphabet="ABCabc019-_", max_size=24))
def test_a_provenance_that_makes_no_sense_is_refused(text: str) -> None:
    document = Document(5)
    with document.transaction() as transaction:
        document.array(transaction, "g.lineage").insert(transaction, 0, text)
    with pytest.raises(UpdateRefused):
        dots_of(document)


def test_a_record_of_a_layout_to_come_is_left_as_it_is() -> None:
    document = Document(5)
    with document.transaction() as transaction:
        document.array(transaction, "x.new").insert(transaction, 0, 1)
    with pytest.raises(UpdateRefused, match=r"'x\.new'"):
        renewed(document)
