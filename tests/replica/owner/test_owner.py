"""Several programs over one store: one owns it, the others read beside it and edit through it."""

import threading
from dataclasses import replace

import pytest

from crdt_sync import Replica, bundled_schema, limits
from crdt_sync.errors import IncompatibleSchema, NotServed, RecordDeleted, StoreInUse, UnknownRecord
from crdt_sync.exchange import import_table, open_table
from crdt_sync.protocol.messages import UpdatesEntry
from crdt_sync.records import FieldSpec, Schema, parse_schema
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.replica.owner import asking
from crdt_sync.replica.owner.asking import Owner
from crdt_sync.storage.values import Batch
from tests.replica.owner.conftest import THEM, US, edit_both, enter_both


def writers(replica, record=US):
    return vectors.decode(replica.store.record_head(record).state_vector)


def test_a_second_program_reads_and_edits_through_the_owner(owner, store):
    owner.ask("edit", US, name="Us", tags=["vip"])
    with Replica.open(store) as replica:
        assert replica.owner.about.process == owner.process.pid
        assert dict(replica.get(US)) == {"name": "Us", "tags": ["vip"]}
        with replica.edit(US) as customer:
            customer["city"] = "Köln"
            customer.remove("tags", "vip")
        assert replica.get(US)["city"] == "Köln"
        with replica.edit("customers") as customer:
            customer["name"] = "New"
        new = customer.record
        assert {view["name"] for view in replica.find("customers")} == {"Us", "New"}
        replica.delete(new)
        with pytest.raises(RecordDeleted), replica.edit(new) as customer:
            customer["name"] = "again"
        with pytest.raises(UnknownRecord):
            replica.get("customers/nobody")
        assert replica.status().records == 2
    assert owner.ask("get", US) == {"name": "Us", "city": "Köln"}


def test_edits_through_an_owner_come_from_one_writer_whatever_number_of_programs_makes_them(owner, store):
    owner.ask("edit", US, name="Us")
    for number in range(20):
        with Replica.open(store, share=False) as replica, replica.edit(US) as customer:
            customer["phone"] = str(number)
    with Replica.open(store, share=False) as replica:
        assert len(writers(replica)) == 1
        assert replica.get(US).conflicts == ()


def test_a_block_of_another_program_and_one_of_the_owner_overlap(owner, store):
    owner.ask("edit", US, name="Us", visits=1)
    owner.ask("begin", US, visits=11, city="Köln")
    with Replica.open(store, share=False) as replica:
        with replica.edit(US) as customer:
            customer.increment("visits", 5)
            owner.ask("end")
        assert replica.get(US)["visits"] == 16
        assert replica.get(US)["city"] == "Köln"
        assert len(writers(replica)) == 2
        assert replica.store.verify().findings == ()


def test_a_batch_of_another_program_is_stored_as_a_whole_or_not_at_all(owner, store):
    with Replica.open(store, share=False) as replica:
        with pytest.raises(ZeroDivisionError), replica.batch():  # noqa: PT012 - the batch is what is tested
            with replica.edit(US, create=True) as customer:
                customer["name"] = "Us"
            assert replica.get(US)["name"] == "Us"
            raise ZeroDivisionError
        assert replica.count() == 0
        before = replica.store.head()
        with replica.batch():
            for number in range(300):
                with replica.edit(f"customers/{number}", create=True) as customer:
                    customer["name"] = "x" * 30_000  # more than one message holds
        assert replica.count() == 300
        assert replica.store.head() == before + 300


def test_an_import_and_a_new_collection_go_through_the_owner(owner, store, tmp_path):
    file = tmp_path / "guests.csv"
    file.write_text("Number;Name\n1;Ann\n2;Ben\n", "utf-8")
    with Replica.open(store, share=False) as replica:
        table = open_table(file)
        report = import_table(replica, table, "guests", key_columns=["Number"])
        assert report.created == 2
        assert sorted(view["name"] for view in replica.find("guests")) == ["Ann", "Ben"]


def test_a_natural_key_is_one_record_whichever_program_enters_it(start, store):
    schema = parse_schema('collection = "guests"\nversion = 1\nnatural_key = ["email"]\n[fields.email]\n', "test")
    first = start("owner")
    assert first.ready()
    with Replica.open(store, share=False) as replica:
        replica.add_schema(schema)
        for _ in range(2):
            with replica.edit("guests") as guest:
                guest["email"] = "a@x"
        assert [view["email"] for view in replica.list("guests")] == ["a@x"]


@pytest.mark.parametrize("times", [1, 2])
def test_a_record_that_is_renewed_while_another_program_edits_it_has_both(owner, store, times):
    enter_both(owner)
    with Replica.open(store, share=False) as replica:
        with replica.batch():
            edit_both(replica)
            for record in (US, THEM) * times:
                assert owner.ask("renew", record)
                owner.ask("edit", record, city="Köln")
        with replica.edit(US) as customer:
            owner.ask("renew", US)
            customer.increment("visits", 100)
        with replica.edit(US) as customer:
            customer.increment("visits", 1000)
        assert (replica.get(US)["visits"], replica.get(US)["city"]) == (1111, "Köln")
        assert (replica.get(THEM)["tags"], replica.get(THEM)["city"]) == (["b"], "Köln")


def test_a_record_that_is_renewed_between_a_look_and_the_commit_has_both(owner, store, monkeypatch):
    """The store was looked at, and the edit of the record as it was is on its way, when the owner renews it."""
    commit = Owner.commit
    enter_both(owner)
    late = [THEM, US]

    def overtaken(link, edits, clock):
        if late:
            assert owner.ask("renew", late.pop())
        return commit(link, edits, clock)

    monkeypatch.setattr(Owner, "commit", overtaken)
    with Replica.open(store, share=False) as replica:
        with replica.batch():
            edit_both(replica)
        assert not late
        assert (replica.get(US)["visits"], replica.get(THEM)["tags"]) == (11, ["b"])
        late.append(US)
        with replica.edit(US) as customer:
            customer["visits"] -= 1
        assert replica.get(US)["visits"] == 10


def test_a_record_that_has_grown_is_renewed_by_the_owner_whoever_edits_it(owner, store, monkeypatch):
    """Also where it is full: then nobody but the owner can tell whether it may be edited."""
    owner.ask("edit", US, name="Us")
    small = {"RECORD_GROWN_BYTES_MAX": 12_000}
    with Replica.open(store, share=False) as replica:
        with replica.edit(US) as customer:
            customer["notes"] = "ab" * 1_500
            for place in range(1_500):
                customer.text("notes").delete(place, place + 1)
        assert replica.store.record_head(US).lineage == 0
        assert replica.document(US).size > 12_000
        owner.ask("limit", **small)
        for name, value in small.items():
            monkeypatch.setattr(limits, name, value)
        with replica.edit(US) as customer:
            customer["city"] = "Bonn"
        assert replica.store.record_head(US).lineage != 0
        assert replica.document(US).size < 12_000
        with replica.edit(US) as customer:
            customer.delete()
        assert dict(replica.get(US)) == {"name": "Us", "notes": "b" * 1_500, "city": "Bonn"}


def test_each_program_hears_of_what_the_others_change(owner, store):
    heard = threading.Event()
    events = []
    with Replica.open(store) as replica:
        replica.subscribe(lambda news: events.extend(news) or heard.set())
        with replica.edit(US, create=True) as customer:
            customer["name"] = "Us"
        assert heard.wait(60)
        heard.clear()
        owner.ask("edit", THEM, name="Them")
        assert heard.wait(60)
    assert [(event.kind, event.record) for event in events] == [("edited", US), ("received", THEM)]
    assert owner.ask("heard") == [["edited", US], ["edited", THEM]]


def test_what_takes_the_store_alone_says_who_has_it(owner, store):
    with Replica.open(store, share=False) as replica:
        with pytest.raises(NotServed, match=f"process {owner.process.pid}"):
            replica.repair()
        owner.ask("edit", US, name="Us")
        with pytest.raises(NotServed):
            replica.renew(US)
        with pytest.raises(NotServed):
            replica.store.commit([Batch(forget_outbox=(bytes(16),))])


def test_a_program_that_does_not_share_keeps_its_store(tmp_path, monkeypatch):
    with Replica.create(tmp_path / "anna", "anna", [bundled_schema("customers")], share=False):
        assert asking.find(tmp_path / "anna") is None
        with pytest.raises(StoreInUse):
            Replica.open(tmp_path / "anna")
    with Replica.open(tmp_path / "anna"), pytest.raises(StoreInUse):  # its own objects are there to be used
        Replica.open(tmp_path / "anna")


@pytest.mark.parametrize("count", [2, 4, 8])
def test_programs_under_load_write_as_few_and_lose_nothing(start, store, count):
    first = start("owner")
    assert first.ready()
    others = [start(f"p{number}") for number in range(count - 1)]
    assert not any(other.ready() for other in others)
    for number, program in enumerate((first, *others)):
        program.begin_to("count", US, 10)
        program.begin_to("batches", f"p{number}", 2, 20)
    for program in (first, *others):
        assert [program.answer(), program.answer()] == [None, None]
    with Replica.open(store, share=False) as replica:
        assert replica.get(US)["visits"] == 10 * count
        assert replica.receipt().count == replica.count()
        assert replica.count() == 1 + 40 * count
        assert len(writers(replica)) <= count
        assert replica.store.verify().findings == ()


def test_a_schema_that_comes_to_the_owner_is_used_by_all_and_anybody_decides(owner, store, tmp_path):
    def shops(version: int, kind: str) -> Schema:
        return parse_schema(f'collection = "shops"\nversion = {version}\n[fields.a]\nkind = "{kind}"\n', "test")

    record = "crdt-sync-schemas/shops"
    with Replica.create(tmp_path / "ben", "ben", [shops(2, "set")]) as ben:
        copy = ben.document(record)
    with Replica.open(store) as replica:
        replica.add_schema(shops(1, "text"))
        replica.integrate([UpdatesEntry(record, copy.diff(), copy.state_vector())], b"b" * 16, (), None)
    with Replica.open(store, share=False) as another:
        assert another.schemas["shops"] == shops(2, "set")
        assert len(another.disputed_schemas()["shops"]) == 2
        assert another.resolve_schema("shops", 2) == shops(3, "text")
    with Replica.open(store, share=False) as another:
        assert another.schemas["shops"] == shops(3, "text")
        assert another.disputed_schemas() == {}
        loose = shops(4, "text")
        strict = replace(loose, fields={**loose.fields, "b": FieldSpec(required=True)})
        with pytest.raises(IncompatibleSchema):
            another.add_schema(strict)
        another.add_schema(strict, stricter=True)
        assert another.schemas["shops"] == strict
