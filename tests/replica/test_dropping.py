"""A record that may not be held here any more: it goes, what was not sent of it stays aside, and nothing comes back."""

from dataclasses import replace

import cbor2
import pytest

from crdt_sync import limits
from crdt_sync.errors import EditOvertaken, UnknownRecord
from crdt_sync.policy.in_force import InForce
from crdt_sync.policy.reading import parse_policy
from crdt_sync.protocol.effects import Acknowledge, Integrate, Pushed
from crdt_sync.protocol.entries import UpdatesEntry
from crdt_sync.protocol.messages import Verdict, VerdictCode
from crdt_sync.records import parse_schema
from crdt_sync.replica import Replica, unsent, withdrawing
from crdt_sync.replica.loading import stored_document
from crdt_sync.replica.partner import Partner
from crdt_sync.replica.refused import drop, refused_edits
from crdt_sync.replica.told import Told, note_told
from crdt_sync.replica.withdrawing import NOT_SENT
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch, OutboxEntry, Peer

SCHEMA = parse_schema('collection = "customers"\nversion = 1\n[fields.name]\n[fields.city]\nfilter = true\n', "test")
TEXTS = parse_schema(
    'collection = "texts"\nversion = 1\n[fields.notes]\nkind = "text"\n[fields.tags]\nkind = "set"\n[fields.by]\n',
    "test",
)
POLICY = """
[[role.sales.grant]]
collection = "customers"
where = "city in user.cities"
read = ["*"]
write = ["*"]
operations = ["create", "edit"]
[user.ann]
[user.ben]
role = "sales"
attributes = { cities = "South" }
"""
RELAY = b"r" * 16
EPOCH, LATER = b"e" * 16, b"l" * 16


@pytest.fixture
def ann() -> Replica:
    store = MemoryStore()
    store.commit([Batch(meta={"name": b"ann"}, peers=(Peer(RELAY, EPOCH, 7, 1, "ws://relay", 7),))])
    replica = Replica.over(store, lambda: 1_760_000_000_000_000)
    replica.add_schema(SCHEMA)
    return replica


@pytest.fixture
def partner(ann: Replica) -> Partner:
    found = Partner(ann, "ws://relay")
    found.standing.epoch = EPOCH
    ann.context.epochs[RELAY] = EPOCH
    return found


def customer(replica: Replica, name: str, **fields: str) -> str:
    with replica.edit("customers") as record:
        record["name"] = name
        for field, value in fields.items():
            record[field] = value
    return str(record.record)


def sent(replica: Replica, record: str) -> None:
    """The relay has all of it."""
    entry = replica.store.outbox_entry(RELAY, record)
    assert entry is not None
    replica.store.commit([Batch(outbox_done=((RELAY, record, entry.edit),))])


def dropped(*records: str, cursor: int | None = 9) -> Integrate:
    return Integrate(1, (), cursor, 9, owe=False, dropped=records)


def test_a_dropped_record_is_nowhere(ann, partner):
    record, other = customer(ann, "Nord AG"), customer(ann, "Süd AG")
    sent(ann, record)
    heard = []
    ann.subscribe(heard.extend)
    partner.regrant(dropped(record))
    assert ann.store.records("", 9, "customers/") == [other]
    assert [found.record for found in ann.find("customers", "nord")] == []
    with pytest.raises(UnknownRecord):
        ann.get(record)
    assert [(event.kind, event.record) for event in heard] == [("dropped", record)]
    assert ann.store.peer(RELAY).cursor == 9
    assert ann.status().unsent == ()


def test_edits_that_were_not_sent_are_kept_aside_in_the_commit_of_the_drop(ann, partner):
    record = customer(ann, "Nord AG")
    commits = []
    commit = ann.store.commit
    ann.store.commit = lambda batches: (commits.append(batches), commit(batches))[1]
    partner.regrant(dropped(record))
    (batch,) = [batch for batches in commits for batch in batches if batch.drop]
    assert batch.drop == (record,)
    (kept,) = unsent.known(ann.store)
    assert (kept.record, kept.key in batch.meta) == (record, True)
    assert b"Nord AG" in (unsent.update_of(ann.store, kept) or b"")


def forbid(replica: Replica, record: str, reason: str = "'ann' may not create this") -> None:
    """The relay has said that it does not take the record."""
    entry = replica.store.outbox_entry(RELAY, record)
    assert entry is not None
    refused = replace(entry, refusal=VerdictCode.FORBIDDEN.value, reason=reason)
    replica.store.commit([Batch(outbox=((RELAY, refused),))])


def test_what_was_not_sent_is_listed_field_by_field_and_what_the_relay_has_is_not(ann, partner):
    record = customer(ann, "Nord AG", city="Kiel")
    sent(ann, record)
    with ann.edit(record) as edited:
        edited["city"] = "Rom"
    partner.regrant(dropped(record))
    (shown,) = refused_edits(ann.store)
    assert (shown.record, shown.field, shown.value, shown.author) == (record, "city", "Rom", "ann")
    assert (shown.reason, shown.unsent) == (NOT_SENT, unsent.known(ann.store)[0].edit)


def test_of_texts_and_sets_that_were_not_sent_only_what_was_added_stays_on_the_device(ann, partner):
    """The rest may be somebody else's, of a record that is not to be held here."""
    ann.add_schema(TEXTS)
    with ann.edit("texts") as record:
        record.update({"notes": "MARKER of others", "tags": ["MARKER"]})
    sent(ann, record.record)
    with ann.edit(record.record) as edited:
        edited["notes"] = "MARKER of others, and mine"
        edited.add("tags", "own")
    partner.regrant(dropped(record.record))
    found = {each.field: each.value for each in refused_edits(ann.store)}
    assert (found["tags"], "and mine" in found["notes"], "MARKER" in found["notes"]) == (["own"], True, False)
    assert not any(b"MARKER" in (ann.store.meta(key) or b"") for key in ann.store.meta_keys(""))


def test_of_what_was_not_sent_nothing_is_listed_any_more_once_the_partner_has_it_after_all(ann, partner):
    record = customer(ann, "Nord AG")
    edit = ann.store.outbox_entry(RELAY, record).edit
    partner.regrant(dropped(record, cursor=None))
    assert [each.value for each in refused_edits(ann.store)] == ["Nord AG"]
    verdict = Pushed(record, edit, b"\0", Verdict(VerdictCode.ACCEPTED, 9))
    partner.acknowledge(Acknowledge(1, (verdict,), None, 9))
    assert (refused_edits(ann.store), unsent.known(ann.store)) == ([], [])


def test_what_was_not_sent_is_dropped_for_good_when_all_of_it_is(ann, partner):
    record = customer(ann, "Nord AG", city="Kiel")
    partner.regrant(dropped(record))
    drop(ann, [1])
    assert [each.record for each in unsent.known(ann.store)] == [record]
    drop(ann, [2])
    assert (refused_edits(ann.store), unsent.known(ann.store)) == ([], [])


@pytest.mark.parametrize("gone", ["a word", "a member", "a colleague's"])
def test_what_was_not_sent_stays_aside_where_the_list_does_not_say_all_of_it(ann, partner, gone):
    ann.add_schema(TEXTS)
    with ann.edit("texts") as record:
        record.update({"notes": "known wrong", "tags": ["vip", "debtor"]})
    sent(ann, record.record)
    known = stored_document(ann.store, record.record).state_vector()
    if gone == "a colleague's":
        store = MemoryStore()
        store.commit([Batch(meta={"name": b"ben"})])
        ben = Replica.over(store, lambda: 1_760_000_000_500_000)
        ben.add_schema(TEXTS)
        ben.integrate(
            [UpdatesEntry(record.record, stored_document(ann.store, record.record).diff(), b"")], RELAY, (), None
        )
        with ben.edit(record.record) as edited:
            edited["by"] = "ben's"
        update = stored_document(ben.store, record.record).diff(known)
        ann.integrate([UpdatesEntry(record.record, update, b"")], b"b" * 16, (), RELAY)
    with ann.edit(record.record) as edited:
        edited.add("tags", "own")
        if gone == "a word":
            edited["notes"] = "known"
        elif gone == "a member":
            edited.remove("tags", "debtor")
    entry = ann.store.outbox_entry(RELAY, record.record)
    ann.store.commit([Batch(outbox=((RELAY, replace(entry, acknowledged=known)),))])
    partner.regrant(dropped(record.record))
    listed = [each.number for each in refused_edits(ann.store)]
    drop(ann, listed)
    assert (listed, refused_edits(ann.store)) == ([1], [])
    assert [each.record for each in unsent.known(ann.store)] == [record.record]


def test_a_new_record_that_is_forbidden_is_put_aside_field_by_field_with_the_reason(ann, partner):
    record, other = customer(ann, "Nord AG", city="Kiel"), customer(ann, "Süd AG")
    forbid(ann, record)
    partner.regrant(dropped(record, other))
    edits = [each for each in refused_edits(ann.store) if not each.unsent]
    assert [(each.number, each.record, each.field, each.value, each.author) for each in edits] == [
        (1, record, "city", "Kiel", "ann"),
        (2, record, "name", "Nord AG", "ann"),
    ]
    assert {each.reason for each in edits} == {"'ann' may not create this"}
    assert [each.record for each in unsent.known(ann.store)] == [other]
    assert ann.store.record_head(record) is None


def test_where_there_is_no_room_for_its_fields_a_forbidden_record_is_kept_as_it_was(ann, partner, monkeypatch):
    monkeypatch.setattr("crdt_sync.replica.refused.REFUSED_EDITS_MAX", 1)
    record = customer(ann, "Nord AG", city="Kiel")
    forbid(ann, record)
    partner.regrant(dropped(record))
    assert refused_edits(ann.store) == []
    (kept,) = unsent.known(ann.store)
    assert b"Nord AG" in (unsent.update_of(ann.store, kept) or b"")


def test_of_a_record_that_the_relay_had_told_no_value_of_others_is_put_aside_as_refused(ann, partner):
    record = customer(ann, "Nord AG")
    whole = ann.context.diff(record, b"\x00")
    partner.regrant(dropped(record))
    ann.integrate([UpdatesEntry(record, whole.update, b"")], RELAY, (), None)
    with ann.edit(record) as edited:
        edited["city"] = "Kiel"
    entry = ann.store.outbox_entry(RELAY, record)
    ann.store.commit([Batch(outbox=((RELAY, replace(entry, acknowledged=b"\x00")),))])
    forbid(ann, record)
    partner.regrant(dropped(record))
    assert {each.reason for each in refused_edits(ann.store)} == {NOT_SENT}
    assert unsent.known(ann.store)[-1].record == record


def test_a_record_that_goes_twice_leaves_what_was_not_sent_of_either(ann, partner):
    """And of the later ones alone it can be told that they were stored after all."""
    record = customer(ann, "Nord AG")
    whole = ann.context.diff(record, b"\x00")
    first = ann.store.outbox_entry(RELAY, record).edit
    partner.regrant(dropped(record, cursor=None))
    ann.integrate([UpdatesEntry(record, whole.update, b"")], RELAY, (), None)
    with ann.edit(record) as edited:
        edited["city"] = "Kiel"
    second = ann.store.outbox_entry(RELAY, record).edit
    partner.regrant(dropped(record, cursor=None))
    assert [each.edit for each in unsent.known(ann.store)] == [first, second]
    verdict = Pushed(record, second, b"\0", Verdict(VerdictCode.ACCEPTED, 9))
    partner.acknowledge(Acknowledge(1, (verdict,), None, 9))
    (kept,) = unsent.known(ann.store)
    assert b"Nord AG" in (unsent.update_of(ann.store, kept) or b"")
    assert len(ann.store.meta_keys("unsent/")) == 1


def test_of_what_the_partner_has_told_nothing_is_kept_aside_whoever_it_is_owed_to(ann, partner):
    """Where digests are compared what is hidden there is owed like what is not there."""
    record = customer(ann, "Nord AG")
    whole = ann.context.diff(record, b"\x00")
    partner.regrant(dropped(record))
    kept = unsent.known(ann.store)
    ann.integrate([UpdatesEntry(record, whole.update, b"")], RELAY, (), None)
    ann.store.commit([Batch(outbox=((RELAY, OutboxEntry(record, b"\x00", 99)),))])
    partner.regrant(dropped(record))
    assert ann.store.record_head(record) is None
    assert unsent.known(ann.store) == kept


def test_what_a_release_has_kept_that_kept_one_for_each_record_is_known(ann):
    meta = {"unsent/customers/a": b"update", "unsent_sizes": cbor2.dumps([["customers/a", 1, 6, 3]])}
    ann.store.commit([Batch(meta=meta)])
    (kept,) = unsent.known(ann.store)
    assert (kept.record, kept.edit, unsent.update_of(ann.store, kept)) == ("customers/a", 3, b"update")
    ann.store.commit([Batch(meta=unsent.forget(ann.store, [kept]))])
    assert (unsent.known(ann.store), ann.store.meta_keys("unsent/")) == ([], [])


def test_what_the_partner_had_stored_after_all_is_kept_no_more(ann, partner):
    record = customer(ann, "Nord AG")
    edit = ann.store.outbox_entry(RELAY, record).edit
    partner.regrant(dropped(record, cursor=None))
    for number, left in ((edit - 1, 1), (edit, 0)):
        verdict = Pushed(record, number, b"\0", Verdict(VerdictCode.ACCEPTED, 9))
        partner.acknowledge(Acknowledge(1, (verdict,), None, 9))
        assert len(unsent.known(ann.store)) == left


def test_a_device_that_is_behind_drops_nothing_here(ann):
    record = customer(ann, "Nord AG")
    near = Partner(ann, "wss://near", RELAY)
    near.standing.epoch = EPOCH
    ann.context.epochs[RELAY] = EPOCH
    near.regrant(dropped(record))
    assert ann.get(record)["name"] == "Nord AG"


def test_the_standing_is_one_of_the_new_epoch_before_anything_else_comes(ann, partner):
    partner.regrant(Integrate(1, (), None, 0, owe=False, epoch=LATER))
    assert (ann.store.peer(RELAY).epoch, ann.store.peer(RELAY).cursor, partner.stands) == (LATER, 7, True)


def test_what_is_to_be_fetched_is_known_in_the_new_epoch_too(ann):
    ann.store.commit([Batch(meta=note_told(RELAY, Told(EPOCH, 9, 1, 7)))])
    partner = Partner(ann, "ws://relay", RELAY)
    partner.standing.epoch = EPOCH
    ann.context.epochs[RELAY] = EPOCH
    partner.regrant(Integrate(1, (), None, 9, owe=False, epoch=LATER))
    (standing,) = ann.status().partners
    assert (standing.to_fetch, standing.percent) == (2, 0)


def test_a_new_record_that_went_before_it_was_forbidden_is_put_aside_with_the_reason(ann, partner):
    record, stored = customer(ann, "Nord AG"), customer(ann, "Süd AG")
    edits = {each: ann.store.outbox_entry(RELAY, each).edit for each in (record, stored)}
    partner.regrant(dropped(record, stored))
    assert len(unsent.known(ann.store)) == 2
    verdicts = Verdict(VerdictCode.FORBIDDEN, reason="'ann' may not create here"), Verdict(VerdictCode.ACCEPTED, 9)
    partner.acknowledge(
        Acknowledge(
            1,
            tuple(Pushed(each, edits[each], b"\0", verdict) for each, verdict in zip(edits, verdicts, strict=True)),
            None,
            9,
        )
    )
    assert unsent.known(ann.store) == []
    (kept,) = refused_edits(ann.store)
    assert (kept.field, kept.value, kept.reason) == ("name", "Nord AG", "'ann' may not create here")


def test_what_builds_on_what_the_relay_had_stays_as_it_was_when_it_is_forbidden(ann, partner):
    """An edit of a new life begins at 0, as a new record does: by itself it shows nothing, or too little."""
    record = customer(ann, "Nord AG")
    sent(ann, record)
    known = stored_document(ann.store, record).state_vector()
    ann.context.abandon_writer()
    with ann.edit(record) as edited:
        edited["city"] = "Kiel"
        edited["name"] = "Süd AG"
    entry = ann.store.outbox_entry(RELAY, record)
    ann.store.commit([Batch(outbox=((RELAY, replace(entry, acknowledged=known)),))])
    partner.regrant(dropped(record))
    verdict = Verdict(VerdictCode.FORBIDDEN, reason="'ann' may not edit here")
    partner.acknowledge(Acknowledge(1, (Pushed(record, entry.edit, b"\0", verdict),), None, 9))
    assert {each.reason for each in refused_edits(ann.store)} == {NOT_SENT}
    (kept,) = unsent.known(ann.store)
    assert "Süd AG".encode() in (unsent.update_of(ann.store, kept) or b"")


def test_a_device_that_takes_any_edit_for_a_whole_record_is_noticed(ann, partner, monkeypatch):
    monkeypatch.setattr(withdrawing, "_holds_all", lambda *_: True)
    with pytest.raises(AssertionError):
        test_what_builds_on_what_the_relay_had_stays_as_it_was_when_it_is_forbidden(ann, partner)


def test_an_edit_under_way_of_a_dropped_record_is_refused(ann, partner):
    record = customer(ann, "Nord AG")
    sent(ann, record)
    block = ann.edit(record)
    block.__enter__()["city"] = "Kiel"
    partner.regrant(dropped(record))
    with pytest.raises(EditOvertaken):
        block.__exit__(None, None, None)
    assert ann.store.records("", 9, "customers/") == []


@pytest.mark.parametrize("more", [0, 1])
def test_what_is_kept_aside_is_bounded_and_the_oldest_make_room(ann, monkeypatch, more):
    monkeypatch.setattr("crdt_sync.replica.unsent.UNSENT_RECORDS_MAX", 3)
    for number in range(3 + more):
        meta = unsent.set_aside(ann.store, [(f"customers/{number}", b"u", number)], number)
        ann.store.commit([Batch(meta=meta)])
    assert [each.record for each in unsent.known(ann.store)] == [
        f"customers/{number}" for number in range(more, 3 + more)
    ]
    assert len(ann.store.meta_keys("unsent/")) == 3
    assert limits.UNSENT_KEPT_BYTES_MAX > limits.RECORD_BYTES_MAX


def test_what_is_listed_makes_room_first_and_what_is_lost_is_counted(ann, monkeypatch):
    monkeypatch.setattr("crdt_sync.replica.unsent.UNSENT_RECORDS_MAX", 2)
    for number, listed in enumerate((False, True, False, False, False)):
        record = f"customers/{number}"
        meta = unsent.set_aside(ann.store, [(record, b"u", number)], number, [record] if listed else [])
        ann.store.commit([Batch(meta=meta)])
        if number == 2:
            assert ([each.edit for each in unsent.known(ann.store)], unsent.lost(ann.store)) == ([0, 2], 0)
    assert ([each.edit for each in unsent.known(ann.store)], unsent.lost(ann.store)) == ([3, 4], 2)
    ann.store.commit([Batch(meta=unsent.forget_lost())])
    assert unsent.lost(ann.store) == 0


def test_the_bytes_of_what_is_kept_aside_are_bounded(ann, monkeypatch):
    monkeypatch.setattr("crdt_sync.replica.unsent.UNSENT_KEPT_BYTES_MAX", 10)
    meta = unsent.set_aside(ann.store, [("customers/a", bytes(6), 1), ("customers/b", bytes(6), 1)], 1)
    ann.store.commit([Batch(meta=meta)])
    assert [each.record for each in unsent.known(ann.store)] == ["customers/b"]
    assert len(ann.store.meta_keys("unsent/")) == 1


def test_nothing_is_pushed_to_a_device_that_may_not_hold_it(ann):
    north = customer(ann, "Nord AG", city="North")
    south = customer(ann, "Süd AG", city="South")
    owed = tuple((RELAY, OutboxEntry(record, b"\0", 1)) for record in (north, south))
    ann.store.commit([Batch(outbox=owed)])
    ben, stranger = (Partner(ann, "wss://ben", RELAY, user=user) for user in ("ben", ""))
    assert ben.outgoing(north) is not None
    policies = [POLICY, POLICY.replace("South", "North")]
    for version, (policy, given) in enumerate(zip(policies, (south, north), strict=True), 1):
        held = InForce(version, parse_policy(policy, "a test"))
        ann.go_by(lambda held=held: held, "ann")
        assert [record for record in (north, south) if ben.outgoing(record) is not None] == [given]
        assert [record for record, _ in ben.compare().items("customers/", None, 9)] == [given]
        assert stranger.outgoing(north) is stranger.outgoing(south) is None
        assert stranger.compare().items("customers/", None, 9) == []


def test_a_device_that_gives_what_may_not_be_held_here_is_not_believed(ann):
    store = MemoryStore()
    store.commit([Batch(meta={"name": b"ben"})])
    other = Replica.over(store, lambda: 1_760_000_000_000_000)
    other.add_schema(SCHEMA)
    record, kept = customer(other, "Nord AG", city="North"), customer(other, "Süd AG", city="South")
    held = InForce(1, parse_policy(POLICY, "a test"))
    ann.go_by(lambda: held, "ben")
    entries = tuple(UpdatesEntry(each, stored_document(other.store, each).diff(), b"") for each in (record, kept))
    ben = Partner(ann, "wss://ben", b"b" * 16, user="ben")
    ben.id = b"b" * 16
    ben.integrate(Integrate(1, entries, None, 9, owe=False))
    assert ann.store.record_head(record) is None
    assert ann.get(kept)["name"] == "Süd AG"
