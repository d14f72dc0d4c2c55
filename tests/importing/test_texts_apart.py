"""A text that people write on one device while others import what a table says of it: no word joined, none lost.

Histories have two devices, versions of one table that either imports, and people who write anew. Words tell who wrote
them: `p` a person, `t` a table.
"""

import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crdt_sync.records import reading_of, text_bringing
from crdt_sync.records.lineages import first_update
from tests.importing.conftest import Device, meet
from tests.importing.test_emptied_cells import Sheet
from tests.importing.test_two_devices import same

FIRST = "t0 calls gladly. t1 likes tea."
device = st.integers(0, 1)
step = st.one_of(
    st.tuples(st.just("version"), device, st.integers(0, 99)),
    st.tuples(st.just("again"), device, st.just(0)),
    st.tuples(st.just("type"), device, st.integers(0, 99)),
    st.tuples(st.just("resolve"), device, st.integers(0, 3)),
    st.tuples(st.just("delete"), device, st.just(0)),
    st.tuples(st.just("renew"), device, st.just(0)),
    st.tuples(st.just("meet"), st.just(0), st.just(0)),
)
REWRITTEN = [("type", 1, 4), ("version", 0, 0)]
REWRITTEN_AND_IMPORTED_BY_BOTH = [*REWRITTEN, ("again", 1, 0), ("meet", 0, 0), ("again", 0, 0)]
DECIDED_BESIDE_A_DELETE = [
    ("type", 1, 0),
    ("delete", 1, 0),
    ("version", 0, 0),
    ("meet", 0, 0),
    ("resolve", 0, 0),
]
REWRITTEN_ON_BOTH = [("version", 0, 0), ("type", 0, 1), ("type", 1, 4)]
DECIDED = [("type", 0, 4), ("version", 0, 4), ("resolve", 0, 1), ("version", 1, 0)]


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))


def rewritten(text: str, how: int, word: str) -> str:
    """`text` with `word` written into it: at an end, in the place of a word or a stop, between words, or of all."""
    found = list(re.finditer(r"\w+|\.", text))
    where = found[how // 5 % len(found)] if found else re.match("", text)
    assert where is not None
    match how % 5:
        case 0:
            return f"{text} {word}"
        case 1:
            return f"{word} {text}"
        case 2:
            return f"{text[: where.start()]} {word} {text[where.end() :]}"
        case 3:
            return f"{text[: where.start()]} {word} {text[where.start() :]}"
    return text.replace(".", f"! {word}") if "." in text else word


class Note:
    """The note of one customer on two devices; with another column beside it, or alone.

    `known` is what either device has been told, and `deleted_knowing` what those who deleted the record had.
    """

    def __init__(self, *devices: Device, alone: bool = True) -> None:
        self.devices = devices
        self.alone = alone
        self.known: tuple[set[str], set[str]] = set(), set()
        self.deleted_knowing: set[str] | None = None
        self.superseded: set[str] = set()  # versions, by one that a device with them took
        self.renewed = False
        self.unsure = False
        self.said = FIRST
        self.words = words(FIRST)
        self.gone: set[str] = set()  # of a person, by a person who saw it
        self.number = 0
        self.typing: set[int] = set()  # who typed since they met
        self.typed_at_once = False  # two people who write at one place at once may join their own words
        self.take(0, FIRST)
        meet(*devices)
        self.known[1].update(self.known[0])

    def take(self, which: int, text: str) -> None:
        columns, cells = (["notes"], [text]) if self.alone else (["city", "notes"], ["Kiel", text])
        self.devices[which].take(columns, ("1", *cells))
        said = f"said {text}"
        self.superseded |= {each for each in self.known[which] if each.startswith("said ")} - {said}
        self.known[which].add(said)

    def is_gone(self, which: int) -> bool:
        return self.devices[which].replica.get(self.devices[which].record).deleted

    def new(self, who: str) -> str:
        self.number += 1
        word = f"{who}{self.number:03}"
        self.words.add(word)
        return word

    def within(self, text: str) -> set[str]:
        return {word for word in self.words if word in text}

    def shown(self, which: int) -> str:
        return str(self.devices[which].shows("notes") or "")

    def listed(self, which: int) -> list[str]:
        return [str(value) for value in self.devices[which].conflict("notes")]

    def do(self, what: str, which: int, how: int) -> None:
        here = self.devices[which]
        if what == "meet":
            self.meet()
            return
        if what == "renew":
            self.meet()
            self.renewed = here.replica.renew(here.record) or self.renewed
            self.meet()
            return
        if self.is_gone(which):
            return
        if what == "delete":
            here.replica.delete(here.record)
            self.deleted_knowing = (self.deleted_knowing or set()) | self.known[which]
            return
        if what in ("version", "again"):
            if what == "version":
                self.said = rewritten(self.said, how, self.new("t"))
            standing = self.standing(which)
            self.take(which, self.said)
            self.check_kept(which, standing)
        elif what == "type" or not self.listed(which):
            self.write(which, rewritten(self.shown(which), how, self.new("p")), self.shown(which))
        else:
            values = self.listed(which)
            value, before = values[how % len(values)], self.shown(which)
            self.gone |= self.within(" ".join([before, *values])) - self.within(value)
            with here.replica.edit(here.record) as person:
                person.resolve("notes", value)
            assert (self.shown(which), self.listed(which)) == (value, [])
            self.typing.add(which)
            self.superseded |= {each for each in self.known[which] if each.startswith("said ")}
            deleted = here.replica.document(here.record).contents().get("c._deleted")
            self.unsure = True  # it may take no operation that a delete has not seen, or some
            if value != before or deleted:
                self.known[which].add(f"decided {value} {len(self.known[which])}")
        self.check_words(which)

    def write(self, which: int, text: str, before: str) -> None:
        self.gone |= self.within(before) - self.within(text)
        with self.devices[which].replica.edit(self.devices[which].record) as person:
            person["notes"] = text
        assert self.shown(which) == text
        self.typing.add(which)
        self.known[which].add(f"typed {text}")

    def meet(self) -> None:
        meet(*self.devices)
        for each in self.devices if self.renewed else ():
            each.restart()  # nobody goes on under an id of before in a renewed record
        self.typed_at_once |= len(self.typing) > 1
        self.typing = set()
        for mine, others in (self.known, self.known[::-1]):
            mine.update(others)

    def check_words(self, which: int) -> None:
        assert self.typed_at_once or words(self.shown(which)) <= self.words, "words were joined"

    def standing(self, which: int) -> set[str]:
        """The words that are shown or listed."""
        return words(" ".join([self.shown(which), *self.listed(which)]))

    def check_kept(self, which: int, written: set[str]) -> None:
        standing = self.standing(which)
        lost = {word for word in self.persons(written) if not any(word in each for each in standing)}
        assert not lost, "a word that a person wrote is lost"

    def persons(self, found: set[str]) -> set[str]:
        return {word for word in found if word.startswith("p")} - self.gone

    def check(self) -> None:
        self.meet()
        same(*self.devices)
        gone = self.deleted_knowing is not None and self.known[0] - self.superseded <= self.deleted_knowing
        assert self.is_gone(0) == self.is_gone(1)
        assert self.unsure or self.is_gone(0) == gone
        for which in (0, 1):
            self.check_words(which)
            self.check_kept(which, self.words)
        assert self.listed(0) == self.listed(1)


def play(devices: Any, steps: Any, *, alone: bool = True) -> Note:
    note = Note(*devices("anna", "bert"), alone=alone)
    for each in steps:
        note.do(*each)
    note.check()
    return note


@settings(max_examples=150, deadline=None)
@given(st.lists(step, min_size=1, max_size=12), st.booleans())
@example(REWRITTEN, True)
@example(REWRITTEN_AND_IMPORTED_BY_BOTH, True)
@example(REWRITTEN_ON_BOTH, True)
@example(DECIDED, True)
@example(DECIDED_BESIDE_A_DELETE, False)
def test_no_word_is_joined_or_lost_whoever_writes_imports_and_deletes(steps, alone):
    now = [1_700_000_000_000_000]
    play(lambda *names: [Device(name, now) for name in names], steps, alone=alone)


HERE = "Ruft gern an."
TYPED = "Ruft gern an! Anna war da"
NEXT = "Ruft gern an. Zusatz B"


@pytest.fixture(params=["only said", "written down"])
def pair(request, devices):
    anna, bert = devices("anna", "bert")
    anna.take(["notes"], ("1", HERE))
    if request.param == "written down":  # as somebody edited it once
        type_in(anna, HERE + " ")
        type_in(anna, HERE)
    meet(anna, bert)
    return anna, bert


def type_in(device, text):
    with device.replica.edit(device.record) as person:
        person["notes"] = text


@pytest.mark.parametrize("importing", [(0,), (1,), (0, 1), (1, 0)])
@pytest.mark.parametrize("typed_first", [True, False])
def test_what_a_person_typed_stays_whole_and_the_tables_text_waits(pair, importing, typed_first):
    anna, bert = pair
    if typed_first:
        type_in(bert, TYPED)
    for which in importing:
        pair[which].take(["notes"], ("1", NEXT))
    if not typed_first and 1 not in importing:
        type_in(bert, TYPED)
    elif not typed_first:
        return  # whoever types then has seen it
    meet(anna, bert)
    same(anna, bert)
    assert anna.shows("notes") == TYPED
    assert anna.conflict("notes") == [TYPED, NEXT]
    for device in pair:
        head = device.log_length()
        assert device.take(["notes"], ("1", NEXT)).unchanged == 1
        assert device.log_length() == head


def test_other_places_are_joined_without_a_question(pair):
    anna, bert = pair
    type_in(bert, "Anna: " + HERE)
    anna.take(["notes"], ("1", NEXT))
    meet(anna, bert)
    same(anna, bert)
    assert (anna.shows("notes"), anna.conflict("notes")) == ("Anna: " + NEXT, [])


@pytest.mark.parametrize("decided", [TYPED, NEXT, "Beides"])
def test_what_was_decided_stays_whatever_is_imported_again_elsewhere(pair, decided):
    anna, bert = pair
    type_in(bert, TYPED)
    anna.take(["notes"], ("1", NEXT))
    meet(anna, bert)
    with bert.replica.edit(bert.record) as person:
        person.resolve("notes", decided)
    anna.take(["notes"], ("1", NEXT))
    meet(anna, bert)
    same(anna, bert)
    assert (anna.shows("notes"), anna.conflict("notes")) == (decided, [])


def test_what_was_decided_and_news_that_did_not_know_of_it_stand_beside_each_other(pair):
    anna, bert = pair
    type_in(bert, TYPED)
    anna.take(["notes"], ("1", NEXT))
    meet(anna, bert)
    with bert.replica.edit(bert.record) as person:
        person.resolve("notes", "Beides")
    anna.take(["notes"], ("1", "Zieht um"))
    meet(anna, bert)
    same(anna, bert)
    assert (anna.shows("notes"), anna.conflict("notes")) == ("Beides", ["Beides", "Zieht um"])


def test_what_waits_is_not_lost_when_the_next_version_changes_another_place(pair):
    anna, bert = pair
    type_in(anna, "Ruft nie an.")
    bert.take(["notes"], ("1", "Ruft oft an."))
    meet(anna, bert)
    report = bert.take(["notes"], ("1", "Neu: Ruft oft an."))
    assert (report.cells_both_changed, report.cells_written) == (1, 0)
    meet(anna, bert)
    assert anna.conflict("notes") == bert.conflict("notes") == ["Ruft nie an.", "Neu: Ruft oft an."]
    anna.take(["notes"], ("1", "Neu: Ruft nie an."))
    assert (anna.shows("notes"), anna.conflict("notes")) == ("Neu: Ruft nie an.", [])


def test_a_text_that_becomes_too_long_to_be_remembered_is_there_once(devices):
    anna, bert = devices("anna", "bert")
    words = " ".join(["Wort"] * 800)
    anna.take(["notes"], ("1", f"Anfang {words} Ende"))
    meet(anna, bert)
    type_in(anna, f"Anfang {words} Schluss")
    bert.take(
        ["notes"], ("1", f"Anfang der Notiz, die jetzt sehr viel laenger ist: {words} {'und noch mehr ' * 10}Ende")
    )
    meet(anna, bert)
    shown = str(anna.shows("notes"))
    assert shown.count("Anfang") == 1
    assert "Schluss" in shown


def test_two_sources_and_a_person_who_knew_of_one_make_one_text(devices, tmp_path):
    anna, bert, phone = devices("anna", "bert", "phone")
    first = "Ruft gern an. Zahlt sofort. Mag Kaffee."
    anna.take(["name", "notes"], ("1", "Anna", first))
    meet(anna, bert, phone)
    sheet = Sheet(anna, tmp_path, for_editing=True)
    sheet.edit(notes=first.replace("sofort", "spaet"))
    type_in(phone, first.replace("gern", "nie"))
    sheet.bring(anna)
    meet(anna, bert, phone)
    merged = "Ruft nie an. Zahlt spaet. Mag Kaffee."
    assert anna.shows("notes") == merged
    bert.take(["name", "notes"], ("1", "Anna", first.replace("sofort", "immer")))
    meet(anna, bert, phone)
    for device in (anna, bert, phone):
        assert device.shows("notes") == merged
        assert device.conflict("notes") == [merged, first.replace("sofort", "immer")]


def test_two_people_who_edit_other_places_on_different_versions_make_one_text(pair):
    anna, bert = pair
    anna.take(["notes"], ("1", NEXT))
    type_in(anna, NEXT + " Anna")
    type_in(bert, "Bert: " + HERE)
    meet(anna, bert)
    same(anna, bert)
    assert (anna.shows("notes"), anna.conflict("notes")) == ("Bert: " + NEXT + " Anna", [])


def test_two_people_who_edit_one_place_on_different_versions_are_both_there(pair):
    anna, bert = pair
    anna.take(["notes"], ("1", NEXT))
    type_in(anna, NEXT + " Anna")
    type_in(bert, TYPED)
    meet(anna, bert)
    same(anna, bert)
    assert "! Anna war da" in anna.shows("notes")
    assert "Zusatz B Anna" in anna.shows("notes")


def test_people_may_go_on_writing_while_a_tables_text_waits(pair):
    anna, bert = pair
    type_in(bert, TYPED)
    anna.take(["notes"], ("1", NEXT))
    meet(anna, bert)
    type_in(anna, TYPED + ", Bert auch")
    meet(anna, bert)
    assert bert.shows("notes") == TYPED + ", Bert auch"
    assert bert.conflict("notes") == [TYPED + ", Bert auch", NEXT]


def test_the_next_version_that_fits_closes_the_conflict(pair):
    anna, bert = pair
    type_in(bert, TYPED)
    anna.take(["notes"], ("1", NEXT))
    meet(anna, bert)
    anna.take(["notes"], ("1", TYPED))
    meet(anna, bert)
    assert (bert.shows("notes"), bert.conflict("notes")) == (TYPED, [])


@pytest.mark.parametrize("whose", [0, 1])
def test_news_of_a_text_bring_back_who_was_deleted_elsewhere_as_a_conflict(pair, whose):
    importing, deleting = pair[whose], pair[1 - whose]
    importing.take(["notes"], ("1", NEXT))
    with deleting.replica.edit(deleting.record) as person:
        person.delete()
    meet(*pair)
    same(*pair)
    assert importing.shows("notes") == NEXT
    assert importing.replica.get(importing.record).conflicts == ("_deleted",)


def test_the_same_news_of_a_text_that_the_deleter_knew_bring_nobody_back(pair):
    anna, bert = pair
    for device in pair:
        device.take(["notes"], ("1", NEXT))
    with anna.replica.edit(anna.record) as person:
        person.delete()
    meet(anna, bert)
    assert anna.replica.get(anna.record).deleted
    assert bert.replica.get(bert.record).deleted


@pytest.mark.parametrize("pair", ["written down"], indirect=True)
def test_an_import_that_writes_between_what_people_type_is_noticed(pair, monkeypatch):
    monkeypatch.setattr(text_bringing, "_will_show", lambda *_: None)
    with pytest.raises(AssertionError):
        test_what_a_person_typed_stays_whole_and_the_tables_text_waits(pair, (0,), True)


@pytest.mark.parametrize("typed", [None, "Anna: " + HERE, TYPED])
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("gone", [False, True])
def test_a_renewed_record_shows_the_same(pair, typed, gone, known):
    anna, bert = pair
    anna.take(["notes"], ("1", NEXT))
    if known:
        bert.take(["notes"], ("1", NEXT))
    if typed:
        type_in(bert, typed)
    if gone:
        bert.replica.delete(bert.record)
    meet(anna, bert)
    before = reading_of(anna.replica.document(anna.record), anna.schema)
    assert anna.replica.renew(anna.record)
    meet(anna, bert)
    for device in pair:
        after = reading_of(device.replica.document(device.record), device.schema)
        assert (after.values, after.conflicts, after.deleted) == (before.values, before.conflicts, before.deleted)
    assert before.deleted == (gone and known)


@pytest.mark.parametrize("pair", ["written down"], indirect=True)
def test_a_renewal_that_takes_news_of_a_text_for_a_memory_is_noticed(pair, monkeypatch):
    monkeypatch.setattr(first_update, "brings_news", lambda _: False)
    with pytest.raises(AssertionError):
        test_a_renewed_record_shows_the_same(pair, None, True, False)
