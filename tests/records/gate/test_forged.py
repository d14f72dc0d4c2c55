"""Whatever somebody makes up, nothing changes that they may not change: drawn updates, and renewals by hand."""

import random

import pycrdt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdt_sync.records.deleted import is_deleted
from crdt_sync.records.gate import loaded
from crdt_sync.records.lineages.document_dots import dots_of
from crdt_sync.records.lineages.dots import Dots, Piece
from crdt_sync.records.lineages.first_update import first_update
from crdt_sync.records.lineages.lineage import lineage_of
from crdt_sync.records.lineages.renewal import renewed
from crdt_sync.records.updates import state_vector as vectors

from .permitting import BEGUN, Place, used_up

ARRAYS = ["c.iban", "c.phone", "c.name", "c.stage", "c.region", "c._deleted", "c._begun", "c._source", "l.calls"]
MAPS = ["s.tags", "n.visits"]
TEXTS = ["t.notes", "t._@abcd.iban"]
GUARDED = ["c.iban", "c._begun", "c._source", "t._@abcd.iban"]  # all that Anna may not write
VALUES = ["x", "lead", "customer", "2026-01-01", None, "North"]


class Forger:
    """Makes up updates of a record, under ids of its own and of others; `writer` is the id of somebody who is away."""

    def __init__(self, place: Place, writer: int, rng: random.Random) -> None:
        self._place = place
        self._writer = writer
        self._rng = rng

    def update(self) -> bytes:
        kind = self._rng.choice([self._native, self._native, self._used_up, self._renewal, self._renewal])
        return kind()

    def _native(self) -> bytes:
        rng, document = self._rng, self._place.document
        writer = rng.choice([self._writer, *range(100, 103), rng.randrange(200, 300)])
        made = pycrdt.Doc(client_id=writer)
        made.apply_update(document.diff())
        before = made.get_state()
        for _ in range(rng.randrange(1, 4)):
            rng.choice([self._list, self._list, self._map, self._text])(made, writer)
        return made.get_update(before if rng.random() < 0.7 else b"\0")

    def _list(self, made: pycrdt.Doc, _: int) -> None:
        rng = self._rng
        array = made.get(rng.choice(ARRAYS), type=pycrdt.Array)
        if rng.random() < 0.6:
            array.insert(rng.randrange(len(array) + 1), self._entry())
        if len(array) and rng.random() < 0.5:
            del array[rng.randrange(len(array))]

    def _map(self, made: pycrdt.Doc, writer: int) -> None:
        root = self._rng.choice(MAPS)
        entries = made.get(root, type=pycrdt.Map)
        if root == "s.tags":
            entries[f'"a"\n{writer}'] = "a"
        else:
            entries[str(writer)] = 5.0

    def _text(self, made: pycrdt.Doc, _: int) -> None:
        text = made.get(self._rng.choice(TEXTS), type=pycrdt.Text)
        text.insert(0, "zz")
        if self._rng.random() < 0.3:
            del text[0:1]

    def _entry(self) -> list[object]:
        rng = self._rng
        stamp = rng.choice([0, 1, 1_700_000_000_000_500])
        return [rng.choice(VALUES), stamp, rng.choice(["anna", "chen", "ben", "@abcd"])]

    def _used_up(self) -> bytes:
        clock = vectors.decode(self._place.document.raw_state_vector()).get(self._writer, 0)
        return used_up(self._rng.choice([*ARRAYS, *MAPS, *TEXTS]), self._writer, clock, self._rng.choice([1, 1000]))

    def _renewal(self) -> bytes:
        rng, document = self._rng, self._place.document
        state = dots_of(document)
        known, live = dict(state.known), {root: list(pieces) for root, pieces in state.live.items()}
        for _ in range(rng.randrange(1, 4)):
            root = rng.choice([*live, *ARRAYS])
            pieces = live.setdefault(root, [])
            match rng.randrange(3):
                case 0:
                    known[self._writer] = known.get(self._writer, 0) + rng.choice([1, 1000])
                case 1 if pieces:
                    pieces.pop(rng.randrange(len(pieces)))
                case 2 if root in ARRAYS:
                    clock = known.get(self._writer, 0)
                    known[self._writer] = clock + 1
                    pieces.append(Piece(self._writer, clock, 1, self._entry()))
        seen = {dot: dict(state.known) if rng.random() < 0.5 else vector for dot, vector in state.seen.items()}
        made = Dots(known, {root: tuple(each) for root, each in live.items() if each}, state.gone, known, seen)
        return first_update(made, lineage_of(document).generation + rng.choice([0, 1, 5]))


def guarded(place: Place) -> object:
    contents = place.document.contents()
    return [contents.get(root) or None for root in GUARDED]


def history(seed: int) -> None:
    """Some forged updates, of users who may change a part or nothing."""
    rng = random.Random(seed)
    place = Place()
    assert place.write("chen", **BEGUN) == ""
    away = place.person("chen")
    place.told("chen", away.edit(lambda editor: editor.update({"amount": "1"})))
    if rng.random() < 0.3:
        assert place.told("chen", renewed(place.document).diff()) == ""
    before = guarded(place)
    forger = Forger(place, away.document.writer, rng)
    for _ in range(3):
        user = rng.choice(["anna", "anna", "guest", "eve", ""])
        (verdict,) = place.push(user, forger.update()).verdicts
        assert guarded(place) == before
        assert not is_deleted(place.document)
        assert not (verdict.new and user != "anna")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 32))
def test_nothing_changes_that_somebody_may_not_change_whatever_they_make_up(seed: int) -> None:
    history(seed)


@pytest.mark.parametrize(
    "planted",
    [
        (loaded, "touches_of", lambda *_: {}),
        (loaded, "touches_between", lambda *_: {}),
        (loaded, "renewable", lambda *_, **__: ""),
    ],
    ids=lambda planted: planted[1],
)
def test_a_gate_that_overlooks_something_is_noticed(monkeypatch: pytest.MonkeyPatch, planted: tuple) -> None:
    monkeypatch.setattr(*planted)
    with pytest.raises(AssertionError):
        any(map(history, range(300)))
