"""One door for updates of others: each gets a verdict, and what is new one change, whatever way it came."""

import pytest

from crdt_sync.errors import StoreFailed
from crdt_sync.principal import Principal
from crdt_sync.protocol.hub import StoredUpdates
from crdt_sync.protocol.messages import UpdatesEntry
from crdt_sync.records import Document
from crdt_sync.records.lineages.renewal import renewed
from crdt_sync.replica.intake import Intake
from crdt_sync.replica.origin import Origin
from crdt_sync.replica.pushed import PushedUpdates
from crdt_sync.replica.source import change_of
from crdt_sync.storage.values import Batch
from crdt_sync.verdicts import VerdictCode

THEM = b"t" * 16
OTHER = b"o" * 16
RECORD = "customers/a"


def written(value="x", writer=5, updates=()):
    document = Document.load(updates, writer)
    vector = document.state_vector()
    with document.transaction() as transaction:
        document.array(transaction, "c.name").insert(transaction, 0, [value, 1, "them"])
    return document.diff(vector)


def taken(replica, origin, *updates):
    intake = Intake(replica.context)
    result = intake.take(RECORD, updates, origin)
    return intake.batch(), [verdict.code for verdict in result.verdicts]


@pytest.fixture
def partners(replica):
    for peer in (THEM, OTHER):
        replica.context.meet(peer)
    return replica


@pytest.mark.parametrize(
    ("way", "owed"), [("session", {OTHER}), ("bundle", {OTHER}), ("push", {THEM, OTHER}), ("kept", {THEM, OTHER})]
)
def test_what_is_new_is_owed_to_those_who_may_lack_it(partners, way, owed):
    batch, codes = taken(partners, Origin.of(way, THEM), written())
    assert codes == [VerdictCode.ACCEPTED]
    assert [(change.record, change.origin) for change in batch.changes] == [(RECORD, THEM)]
    assert {peer for peer, _ in batch.outbox} == owed


def test_what_is_known_changes_nothing(partners):
    update = written()
    batch, _ = taken(partners, Origin.of("session", THEM), update)
    partners.store.commit([batch])
    assert taken(partners, Origin.of("push", OTHER), update) == (Batch(), [VerdictCode.ACCEPTED])


def test_each_update_is_judged_by_itself(partners):
    first = written("1")
    second = written("2", 6, [first])
    lacking = written("3", 5, [first, second])
    batch, codes = taken(partners, Origin.of("session", THEM), lacking, first, b"no update")
    assert codes[1:] == [VerdictCode.ACCEPTED, VerdictCode.MALFORMED]
    assert codes[0] is VerdictCode.GAP
    assert [change.updates for change in batch.changes] == [(first,)]


@pytest.mark.parametrize("way", ["session", "bundle", "push"])
def test_who_may_only_read_brings_nothing_in(partners, way):
    reader = Origin(way, Principal(THEM, grant="read"))
    update = written()
    assert taken(partners, reader, update, update) == (Batch(), [VerdictCode.FORBIDDEN] * 2)
    assert not Intake(partners.context).replace(RECORD, (update,), reader)


def test_a_renewed_record_takes_the_place_of_what_it_was_made_of_and_of_nothing_beyond(partners):
    update, more = written(), written("2", 6, [written()])
    fresh = renewed(Document.load((update,))).diff()
    batch, _ = taken(partners, Origin.of("session", THEM), update)
    partners.store.commit([batch])
    intake = Intake(partners.context)
    assert intake.replace(RECORD, (fresh,), Origin.of("session", THEM))
    assert [change.updates for change in intake.changes] == [(fresh,)]
    batch, _ = taken(partners, Origin.of("session", THEM), more)
    partners.store.commit([batch])
    assert not Intake(partners.context).replace(RECORD, (fresh,), Origin.of("session", THEM))


def test_a_session_of_one_who_may_only_read_stores_nothing_and_says_why(partners):
    reader = Origin("session", Principal(THEM, grant="read"))
    assert partners.integrate([UpdatesEntry(RECORD, written(), b"")], reader, (), None) == []
    assert partners.count() == 0
    assert "forbidden" in partners.status().unreadable[RECORD]


def test_bytes_that_nobody_has_examined_are_read_strictly_first(partners):
    """A root that no layout has is integrated from a relay, which has examined it, and refused otherwise."""
    document = Document.load((), 7)
    with document.transaction() as transaction:
        document.array(transaction, "x.name").insert(transaction, 0, ["value"])
    update = document.diff()
    assert taken(partners, Origin.of("session", THEM), update)[1] == [VerdictCode.ACCEPTED]
    strict = Origin("session", Principal(THEM), examined=False)
    assert taken(partners, strict, update)[1] == [VerdictCode.MALFORMED]


READER, WRITER, CLERK = Principal(THEM, grant="read"), Principal(OTHER), Principal(THEM, user="clerk")


@pytest.mark.parametrize(
    ("principals", "stored"), [((WRITER,), 1), ((WRITER, CLERK), 1), ((READER,), 0), ((WRITER, READER), 0), ((), 1)]
)
def test_what_was_pushed_is_asked_about_for_each_of_those_who_pushed_it(partners, principals, stored):
    update = written()
    vector = Document.load([update]).state_vector()
    asked = StoredUpdates(RECORD, (update,), (OTHER,), vector, None, None, principals)
    batch = Batch(changes=(change_of(asked, 0),))
    if stored:
        assert PushedUpdates(partners).commit([batch])[0].seqs == ((1,),)
    else:
        with pytest.raises(StoreFailed, match="may read"):
            PushedUpdates(partners).commit([batch])
    assert partners.count() == stored


def test_the_intake_of_a_push_has_the_principal(partners, monkeypatch):
    seen = []
    take = Intake.take

    def noted(intake, record, updates, origin, *more, **named):
        seen.append(origin)
        return take(intake, record, updates, origin, *more, **named)

    monkeypatch.setattr(Intake, "take", noted)
    update = written()
    vector = Document.load([update]).state_vector()
    asked = StoredUpdates(RECORD, (update,), (THEM,), vector, None, None, (CLERK,))
    PushedUpdates(partners).commit([Batch(changes=(change_of(asked, 0),))])
    assert seen == [Origin("push", CLERK)]
