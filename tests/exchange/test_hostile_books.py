"""Whoever knows the token may write what it likes into the books of imported tables: imports go on all the same."""

import random

import pytest

from crdt_sync import Replica, ids
from crdt_sync.errors import RecordTooLarge
from crdt_sync.exchange.imported_tables import ImportedTables
from crdt_sync.limits import RECORD_GROWN_BYTES_MAX
from crdt_sync.protocol.messages import UpdatesEntry
from crdt_sync.records import Document
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch

BOOK = ids.import_book("customers", "list")
NEW, OLD = "a" * 32, "b" * 32
LIST = ("customers", "list")


@pytest.fixture
def replica():
    store = MemoryStore(rng=random.Random(1))
    store.commit([Batch(meta={"name": b"ann"})])
    with Replica.over(store) as opened:
        yield opened


def imported(tables: ImportedTables, digest: str) -> int:
    stamp = tables.first_import(*LIST, digest)
    assert stamp is not None
    return stamp


def written(replica, write):
    """What somebody writes into the book without asking an editor, as it comes from a relay."""
    document = Document(writer=99)
    with document.transaction() as transaction:
        write(document, transaction)
    replica.integrate([UpdatesEntry(BOOK, document.diff(), document.state_vector())], b"s" * 16, (), None)


def members(values):
    def write(document, transaction):
        for number, value in enumerate(values):
            document.map(transaction, "s.versions").insert(transaction, f"{number}\n99", value)

    return write


def text(document, transaction):
    document.text(transaction, "t.versions").insert(transaction, 0, "z" * 1_500_000)


def other(document, transaction):
    for _ in range(7):
        document.array(transaction, "c.other").insert(transaction, 0, ["z" * 200_000, 1, "stranger"])


HOSTILE = {
    "odd": members([{"a": 1}, ["a"], None, True, 1.5, "x"]),
    "junk": members(["z" * 50_000] * 40),
    "versions": members([f"{number:032x} {number + 10**9}" for number in range(12_000)]),
    "text": text,
    "another field": other,
    "no source": lambda document, transaction: [
        document.array(transaction, "c.source").insert(transaction, 0, [each, 1, "stranger"]) for each in ("", None)
    ],
}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_others_write_into_a_book_keeps_no_import_from_noting_its_version(replica, hostile):
    tables = ImportedTables(replica)
    tables.note(*LIST, OLD)
    first = imported(tables, OLD)
    written(replica, HOSTILE[hostile])
    tables.note(*LIST, NEW)
    assert imported(tables, OLD) == first < imported(tables, NEW)
    for number in range(3):  # and what was taken out leaves traces
        tables.note(*LIST, f"{number:032x}"[::-1])
    assert imported(tables, NEW)
    assert replica.document(BOOK).content_bytes() < RECORD_GROWN_BYTES_MAX // 2


def test_who_deletes_a_book_keeps_no_import_from_noting_its_version(replica):
    tables = ImportedTables(replica)
    tables.note(*LIST, OLD)
    with replica.edit_reserved(BOOK) as book:
        book.delete()
    tables.note(*LIST, NEW)
    assert imported(tables, OLD) < imported(tables, NEW)
    assert not replica.get(BOOK).deleted


def test_a_book_without_room_keeps_no_table_out(replica, monkeypatch, caplog):
    def full(_record):
        raise RecordTooLarge("the book is full", "")

    monkeypatch.setattr(replica, "edit_reserved", full)
    ImportedTables(replica).note(*LIST, NEW)
    assert "not noted: the book is full" in caplog.text


def test_a_book_whose_deletions_have_grown_keeps_what_it_holds(replica):
    tables = ImportedTables(replica)
    for number in range(20):
        tables.note(*LIST, f"{number:032x}")
    # as thousands of imports leave it: versions were added, and taken out again when they were old
    versions = [f"{number:032x} {number}\n99" for number in range(10_000)]
    document = Document(writer=99)
    with document.transaction() as transaction:
        for version in versions:
            document.map(transaction, "s.versions").insert(transaction, version, version)
    with document.transaction() as transaction:
        for version in versions:
            document.map(transaction, "s.versions").remove(transaction, version)
    replica.integrate([UpdatesEntry(BOOK, document.diff(), document.state_vector())], b"s" * 16, (), None)
    size = replica.document(BOOK).size
    assert size > RECORD_GROWN_BYTES_MAX // 2
    for number in range(5):
        tables.note(*LIST, f"{100 + number:032x}")
    assert replica.document(BOOK).size < size + 5 * 200
    assert replica.get(BOOK).raw["source"] == "customers: list"
    assert len(replica.get(BOOK).raw["versions"]) == 25


def test_what_takes_too_much_room_takes_no_honest_version_with_it(replica):
    tables = ImportedTables(replica)
    tables.note(*LIST, OLD)
    honest = set(replica.get(BOOK).raw["versions"])
    written(replica, HOSTILE["junk"])
    with replica.edit_reserved(BOOK) as book:
        assert set(book["versions"]) == honest
