"""Devices whose schemas differ, as those of releases that share none: nobody's fields are lost, and a new schema shows
what was there before it."""

import pytest

from crdt_sync.errors import IncompatibleSchema, UnknownCollection, UsageError
from crdt_sync.records import parse_schema
from crdt_sync.storage.values import Batch
from tests.replica.wire import exchange

HEAD = 'collection = "shops"\nversion = {version}\n'
OLD = HEAD.format(version=1) + "[fields.name]\n[fields.phone]\n[fields.level]\n"
NEW = (
    HEAD.format(version=2)
    + '[fields.name]\n[fields.phone]\nkind = "review"\n[fields.level]\n[fields.rating]\ntype = "integer"\n'
    + '[fields.visits]\nkind = "counter"\n[fields.tags]\nkind = "set"\n[fields.notes]\nkind = "text"\n'
    + '[fields.timeline]\nkind = "log"\n'
)
RECORD = "shops/a"


@pytest.fixture
def old_schema():
    return parse_schema(OLD, "old")


@pytest.fixture
def new_schema():
    return parse_schema(NEW, "new")


@pytest.fixture
def old(make_replica, old_schema):
    return make_replica("old", old_schema)


@pytest.fixture
def new(make_replica, new_schema):
    return make_replica("new", new_schema)


@pytest.fixture
def meet(old, new, relay):
    def _meet():
        for replica in (old, new, old):
            assert exchange(replica, relay).settled
        assert old.receipt().root == new.receipt().root

    return _meet


def everything(replica):
    with replica.edit(RECORD, create=True) as shop:
        shop.update({"name": "A", "rating": 5, "tags": ["x"], "notes": "hello"})
        shop.increment("visits", 2)
        shop.append("timeline", "call")


def test_an_old_device_keeps_and_passes_on_what_it_does_not_know(old, new, meet):
    everything(new)
    meet()
    with old.edit(RECORD) as shop:
        shop["name"] = "B"
    view = old.get(RECORD)
    assert (view["rating"], view["visits"], view["tags"], view["notes"]) == (5, 2, ["x"], "hello")
    meet()
    view = new.get(RECORD)
    assert (view["name"], view["rating"], view["visits"], view["tags"], view["notes"]) == ("B", 5, 2, ["x"], "hello")
    assert [entry["value"] for entry in view["timeline"]] == ["call"]


def test_an_old_device_does_not_destroy_new_fields_by_deleting_and_restoring(old, new, meet):
    everything(new)
    meet()
    old.delete(RECORD)
    old.restore(RECORD)
    meet()
    assert new.get(RECORD)["notes"] == "hello"


def test_a_device_without_the_schema_keeps_records_and_passes_them_on(make_replica, new, relay):
    stranger = make_replica("stranger")
    everything(new)
    exchange(new, relay)
    exchange(stranger, relay)
    assert stranger.get(RECORD)["rating"] == 5
    with pytest.raises(UnknownCollection), stranger.edit(RECORD):
        pass
    relay.wipe()
    exchange(stranger, relay)
    other = make_replica("other", parse_schema(NEW, "new"))
    exchange(other, relay)
    assert other.get(RECORD) == new.get(RECORD)


def test_an_older_schema_is_refused(new, old_schema, new_schema):
    with pytest.raises(UsageError):
        new.shared_schemas.add(old_schema, share=False)
    new.shared_schemas.add(new_schema, share=False)
    assert new.schemas["shops"] == new_schema


def staged(version: int, *states: str):
    fields = f'[fields.level]\nkind = "stage"\nstates = {list(states)}\n' if states else "[fields.x]\n"
    return parse_schema(f'collection = "shops"\nversion = {version}\n{fields}', "staged")


def test_a_stage_keeps_the_order_of_its_states_also_after_it_was_taken_out(make_replica):
    replica = make_replica("one", staged(1, "open", "won"))
    for refused in (staged(1, "won", "open"), staged(2, "won", "open"), staged(2, "won")):
        with pytest.raises(IncompatibleSchema):
            replica.shared_schemas.add(refused, share=False)
    replica.shared_schemas.add(staged(2, "new", "open", "won"), share=False)
    replica.shared_schemas.add(staged(3), share=False)
    with pytest.raises(IncompatibleSchema):
        replica.shared_schemas.add(staged(4, "won", "open", "new"), share=False)
    again = type(replica).over(replica.store, replica.wall_clock)
    with pytest.raises(IncompatibleSchema):
        again.shared_schemas.add(staged(4, "won", "open", "new"), share=False)
    again.shared_schemas.add(staged(4, "new", "open", "won"), share=False)


def test_a_schema_stays_when_the_replica_is_opened_again(new, new_schema):
    again = type(new).over(new.store, new.wall_clock)
    assert again.schemas == {"shops": new_schema}


def test_a_new_schema_shows_the_conflicts_that_it_asks_about(make_replica, old_schema, new_schema, relay):
    """Two phones were written when nobody asked for a decision; the newer schema does."""
    one, other = make_replica("one", old_schema), make_replica("other", old_schema)
    for replica, phone in ((one, "1"), (other, "2")):
        with replica.edit(RECORD, create=True) as shop:
            shop["phone"] = phone
    for replica in (one, other, one):
        exchange(replica, relay)
    assert one.conflicts() == ()
    one.shared_schemas.add(new_schema, share=False)
    assert [(record, conflict.field) for record, conflict in one.conflicts()] == [(RECORD, "phone")]
    assert one.get(RECORD).conflicts == ("phone",)


def test_a_schema_that_comes_after_the_records_ranks_their_stages(make_replica, relay):
    staged = parse_schema(
        'collection = "shops"\nversion = 1\n[fields.level]\nkind = "stage"\nstates = ["open", "won"]\n', "staged"
    )
    one, other, late = make_replica("one", staged), make_replica("other", staged), make_replica("late")
    for replica, level in ((one, "won"), (other, "open")):
        with replica.edit(RECORD, create=True) as shop:
            shop["level"] = level
        exchange(replica, relay)
    exchange(late, relay)
    assert late.get(RECORD)["level"] == "open"  # the later stamp: without a schema nothing is known of ranks
    late.shared_schemas.add(staged, share=False)
    assert late.get(RECORD)["level"] == "won"
    assert late.get(RECORD).conflicts == ("level",)


def test_a_schema_that_reads_records_as_before_rewrites_nothing(new, monkeypatch):
    everything(new)
    commits = []
    commit = new.store.commit
    monkeypatch.setattr(new.store, "commit", lambda batches: commits.extend(batches) or commit(batches))
    new.shared_schemas.add(
        parse_schema(NEW.replace("version = 2", "version = 3") + '[fields.city]\nlabel = "City"\n', "newer"),
        share=False,
    )
    assert [batch.views for batch in commits] == [Batch().views]


def test_half_of_the_devices_are_upgraded_while_all_write(make_replica, old_schema, new_schema, relay):
    devices = [make_replica(f"device {number}", old_schema) for number in range(4)]
    for number, device in enumerate(devices):
        with device.edit(RECORD, create=True) as shop:
            shop.update({"name": f"A{number}", "phone": str(number)})
    for device in devices[:2]:
        device.shared_schemas.add(new_schema, share=False)
        with device.edit(RECORD) as shop:
            shop.increment("visits", 1)
            shop.add("tags", device.name)
    for device in devices * 2:
        assert exchange(device, relay).settled
    assert len({device.receipt().root for device in devices}) == 1
    for device in devices:
        assert device.get(RECORD)["visits"] == 2
        assert device.get(RECORD)["tags"] == ["device 0", "device 1"]
    assert devices[0].get(RECORD).conflicts == ("phone",)
    assert devices[3].get(RECORD).conflicts == ()
    with devices[3].edit(RECORD) as shop:
        shop["phone"] = "4"
    for device in (devices[3], devices[0]):
        exchange(device, relay)
    assert devices[0].get(RECORD).conflicts == ()
    assert devices[0].get(RECORD)["visits"] == 2


VISITS = HEAD + '[fields.name]\n[fields.visits]\nkind = "{kind}"\ntype = "{of}"\n'


@pytest.mark.parametrize(("kind", "of"), [("value", "integer"), ("counter", "decimal"), ("set", "integer")])
def test_a_field_keeps_its_kind_also_after_it_was_taken_out(make_replica, kind, of):
    counted = parse_schema(VISITS.format(version=1, kind="counter", of="integer"), "1")
    without = parse_schema(HEAD.format(version=2) + "[fields.name]\n", "2")
    changed = parse_schema(VISITS.format(version=3, kind=kind, of=of), "3")
    replica = make_replica("anna", counted)
    with replica.edit(RECORD, create=True) as shop:
        shop.increment("visits", 4)
    replica.shared_schemas.add(without, share=False)
    again = type(replica).over(replica.store, replica.wall_clock)
    if kind == "counter":
        again.shared_schemas.add(changed, share=False)
    else:
        with pytest.raises(IncompatibleSchema, match="visits"):
            again.shared_schemas.add(changed, share=False)
        assert again.schemas["shops"] == without
    assert again.get(RECORD)["visits"] == 4


def test_a_store_that_holds_two_kinds_of_a_field_still_opens(make_replica, relay):
    """As devices of an earlier release made them, which let a schema change the kind of a field."""
    old = make_replica("old", parse_schema(VISITS.format(version=1, kind="counter", of="integer"), "1"))
    new = make_replica("new", parse_schema(VISITS.format(version=2, kind="value", of="integer"), "2"))
    for replica in (old, new):
        with replica.edit(RECORD, create=True) as shop:
            shop["visits"] = 4
    for replica in (old, new, old):
        assert exchange(replica, relay).settled
    for replica in (old, new):
        again = type(replica).over(replica.store, replica.wall_clock)
        with again.edit(RECORD) as shop:
            shop["visits"] = 5
        assert again.get(RECORD)["visits"] == 5


def test_a_whole_number_written_before_the_field_took_decimals_equals_one_written_after(make_replica, relay):
    text = HEAD + '[fields.amount]\nkind = "review"\ntype = "{of}"\n'
    old = make_replica("old", parse_schema(text.format(version=1, of="integer"), "1"))
    new = make_replica("new", parse_schema(text.format(version=2, of="decimal"), "2"))
    for replica in (old, new):
        with replica.edit(RECORD, create=True) as shop:
            shop["amount"] = 5
    for replica in (old, new, old):
        assert exchange(replica, relay).settled
    assert new.conflicts() == ()
    old.shared_schemas.add(new.schemas["shops"], share=False)
    for replica in (old, new):
        assert [view.record for view in replica.find("shops", amount=5)] == [RECORD]


def test_a_replica_takes_no_version_that_moves_a_field_into_a_section_or_out_of_one(make_replica):
    text = HEAD + "[fields.name]\n[fields.iban]\n{iban}"
    known = parse_schema(text.format(version=1, iban='section = "finance"\n'), "known")
    replica = make_replica("one", known)
    for version, iban in ((2, ""), (2, 'section = "other"\n')):
        with pytest.raises(IncompatibleSchema, match="section 'finance'"):
            replica.add_schema(parse_schema(text.format(version=version, iban=iban), "newer"))
    filtered = text.replace("[fields.name]", "[fields.name]\nfilter = true")
    replica.add_schema(parse_schema(filtered.format(version=2, iban='section = "finance"\n'), "newer"))
    assert replica.schemas["shops"].version == 2
