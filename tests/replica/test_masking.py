"""What a relay is to derive of what masks show, read off its store: which records, and how far that came."""

import random

import pytest

from crdt_sync import ids
from crdt_sync.records import Document
from crdt_sync.replica.masking import Masker, Masks, Unit, is_begun
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch, Change

MASKS: Masks = {"people": [("finance", "iban", "last4"), ("finance", "iban", "phone"), ("contact", "phone", "phone")]}


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(rng=random.Random(1))


def write(store: MemoryStore, *records: str) -> None:
    changes = []
    for number, record in enumerate(records):
        head = store.record_head(record)
        document = Document.load(store.load(record).updates if head else (), 7 + number)
        before = document.state_vector()
        with document.transaction() as transaction:
            document.array(transaction, "c.iban").insert(transaction, 0, ["DE1", 1, "anna"])
        changes.append(Change(record, (document.diff(before),), bytes(16), "", 1, document.state_vector()))
    store.commit([Batch(changes=tuple(changes))])


def everything(store: MemoryStore, masks: Masks = MASKS) -> list[Unit]:
    """All that is to be derived, each page committed, by a reader that begins anew with each page."""
    found: list[Unit] = []
    while (page := (masker := Masker(store, masks)).page()) is not None:
        found += page.units
        meta = masker.meta(page)
        if not meta:  # nothing was to be derived of it: it may be read again
            masker.done(page)
            assert masker.page() is None
            break
        store.commit([Batch(meta=meta)])
    return found


def companion(key: str, section: str = "finance") -> str:
    return ids.in_section(f"people/{key}", section)


def test_first_all_that_is_there_is_read_and_then_what_is_written(store):
    write(store, "people/a", companion("a"), companion("a", "contact"), companion("a", "file"), "shops/a")
    assert not is_begun(store)
    iban, phone = (("iban", "last4"), ("iban", "phone")), (("phone", "phone"),)
    assert everything(store) == [
        Unit(companion("a", "contact"), phone, shown=True),
        Unit(companion("a"), iban, shown=True),
    ]
    assert is_begun(store)
    assert everything(store) == []
    write(store, "people/a", companion("b"), companion("a", "file"))
    assert everything(store) == [Unit(companion("b"), iban, shown=True)]


def test_pages_are_small_and_none_is_read_twice_or_left_out(store):
    keys = [f"{number:03}" for number in range(200)]
    write(store, *map(companion, keys))
    masker = Masker(store, MASKS)
    page = masker.page()
    assert page is not None
    assert len(page.units) == 64
    store.commit([Batch(meta=masker.meta(page))])
    write(store, companion("000"))  # while all is read
    assert [unit.record for unit in everything(store)] == [*map(companion, keys[64:]), companion("000")]


def test_other_masks_have_all_read_anew_and_what_none_shows_any_more_emptied(store):
    write(store, companion("a"))
    everything(store)
    rows = [ids.in_part("people/a", "iban", mask) for mask in ("last4", "phone")]
    write(store, *rows)
    fewer: Masks = {"people": [("finance", "iban", "last4")]}
    assert everything(store, fewer) == [
        Unit(companion("a"), (("iban", "last4"),), shown=True),
        Unit("people/a", (("iban", "phone"),), shown=False),
    ]
    assert [unit.shown for unit in everything(store, {})] == [False, False]
    assert everything(store, {}) == []


def test_what_is_shown_of_nothing_is_emptied(store):
    write(store, ids.in_part("people/a", "iban", "last4"), ids.in_part("people/a", "region", "last4"))
    assert everything(store) == [
        Unit("people/a", (("iban", "last4"),), shown=False),
        Unit("people/a", (("region", "last4"),), shown=False),
    ]


def test_what_was_derived_is_not_read_for_more(store):
    write(store, companion("a"))
    everything(store)
    write(store, ids.in_part("people/a", "iban", "last4"))
    assert everything(store) == []


def test_that_others_were_written_is_kept_now_and_then(store):
    write(store, companion("a"))
    everything(store)
    masker = Masker(store, MASKS)
    for number in range(70):
        write(store, *(f"shops/{number * 64 + at}" for at in range(64)))
    kept = 0
    while (page := masker.page()) is not None:
        kept += bool(masker.meta(page))
        masker.done(page)
    assert kept == 1
