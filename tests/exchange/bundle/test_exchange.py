"""Two or three devices that meet by bundle only: what is carried, what is not, what is believed."""

import pytest

from crdt_sync.errors import UsageError
from crdt_sync.exchange.bundle.partner import find_partner
from crdt_sync.replica.callers import Caller, remembered
from crdt_sync.replica.carried import carried
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch, Peer
from tests.replica.wire import VirtualTime

from .conftest import Device, InProcess, MakeDevice


def test_a_bundle_of_everything_makes_an_empty_device_equal(device: MakeDevice) -> None:
    anna, ben = device("anna"), device("ben")
    records = [anna.new(name=f"customer {number}", notes="x" * number) for number in range(700)]
    anna.replica.delete(records[3])
    done = ben.read(anna.write())
    assert (done.updates, done.received, done.known, done.obstacle) == (700, 700, 0, None)
    assert ben.state() == anna.state()


def test_applying_again_changes_nothing_and_says_so(device: MakeDevice) -> None:
    anna, ben = device("anna"), device("ben")
    anna.new(name="Müller")
    path = anna.write()
    ben.read(path)
    head = ben.store.head()
    done = ben.read(path)
    assert (done.received, done.known, done.resumed) == (0, 1, 0)
    assert ben.store.head() == head


def test_after_a_bundle_came_back_the_next_holds_only_what_changed(device: MakeDevice) -> None:
    anna, ben = device("anna"), device("ben")
    records = [anna.new(name=f"customer {number}") for number in range(50)]
    ben.read(anna.write())
    anna.read(ben.write("anna"))
    assert ben.made.end.updates == 0  # all that ben has came from anna
    for record in records[:3]:
        with anna.replica.edit(record) as customer:
            customer["phone"] = "+49 30 1"
    path = anna.write("ben")
    assert anna.made.end.updates == 3
    assert anna.made.size < 2000
    assert ben.read(path).obstacle is None
    assert ben.state() == anna.state()


def test_making_a_bundle_does_not_count_as_delivering_it(device: MakeDevice) -> None:
    anna, ben = device("anna"), device("ben")
    ben.read(anna.write())
    anna.read(ben.write("anna"))
    anna.new(name="one")
    anna.write("ben")  # lost in the mail
    anna.new(name="two")
    ben.read(anna.write("ben"))
    assert anna.made.end.updates == 2
    assert ben.state() == anna.state()


def test_an_incremental_bundle_carries_differences_not_whole_records(device: MakeDevice) -> None:
    anna, ben = device("anna"), device("ben")
    with anna.replica.edit("customers") as customer:
        customer["name"] = "Müller"
        customer.text("notes").replace("a long story. " * 500)
    ben.read(anna.write())
    anna.read(ben.write("anna"))
    with anna.replica.edit(customer.record) as again:
        again["phone"] = "1"
    ben.read(anna.write("ben"))
    assert (anna.made.end.updates, anna.made.end.size < 300) == (1, True)
    assert ben.state() == anna.state()


def test_a_compacted_log_costs_whole_records_and_loses_nothing(device: MakeDevice) -> None:
    anna, ben = device("anna"), device("ben")
    record = anna.new(name="Müller", notes="y" * 500)
    ben.read(anna.write())
    anna.read(ben.write("anna"))
    for number in range(80):
        with anna.replica.edit(record) as customer:
            customer["phone"] = str(number)
    anna.store.compact()
    ben.read(anna.write("ben"))
    assert anna.made.end.size > 500
    assert ben.state() == anna.state()


def test_a_bundle_that_comes_before_the_one_it_follows_waits_for_it(device: MakeDevice) -> None:
    anna, ben = device("anna"), device("ben")
    ben.read(anna.write())
    old = anna.new(name="old")
    first = anna.write()
    carla = device("carla")
    carla.read(first)
    anna.read(carla.write("anna"))
    with anna.replica.edit(old) as customer:
        customer["phone"] = "1"
    new = anna.new(name="new")
    second = anna.write("carla")
    done = ben.read(second)
    assert (done.received, done.waiting, done.obstacle) == (1, 1, "waiting")
    assert [(entry.record, entry.code) for entry in done.left_out] == [(old, "gap")]
    assert ben.replica.get(new)["name"] == "new"
    ben.read(first)
    done = ben.read(second)
    assert (done.received, done.waiting, done.obstacle) == (1, 0, "other_partner")
    assert ben.state() == anna.state()


def test_the_cursor_stays_where_a_bundle_begins_behind_it(device: MakeDevice) -> None:
    anna, ben = device("anna"), device("ben")
    first = anna.write()
    ben.read(first)
    anna.new(name="one")
    ben.read(anna.write())
    anna.read(ben.write("anna"))  # ben has read up to 1
    anna.new(name="two")
    second = anna.write("ben")
    other = device("carla")
    other.read(first)
    assert other.read(second).obstacle == "other_partner"
    assert carried(other.store)[anna.replica.id].cursor == 0
    assert ben.read(second).obstacle is None
    assert carried(ben.store)[anna.replica.id].cursor == anna.store.head()


@pytest.mark.parametrize("overlooked", [False, True])
def test_a_bundle_for_another_device_moves_no_cursor(
    overlooked: bool, device: MakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna, ben, carla = device("anna"), device("ben"), device("carla")
    carla.read(anna.write())
    anna.new(name="before")
    ben.read(anna.write())
    anna.read(ben.write("anna"))
    anna.new(name="after")
    if overlooked:  # the planted bug
        monkeypatch.setattr("crdt_sync.exchange.bundle.applying._Run._obstacle", lambda self: None)
    carla.read(anna.write("ben"))
    anna.read(carla.write("anna"))
    carla.read(anna.write("carla"))
    assert (carla.state() == anna.state()) is not overlooked


def test_a_partner_that_was_restored_is_sent_what_it_lost(device: MakeDevice) -> None:
    anna, ben = device("anna"), device("ben")
    anna.new(name="before")
    ben.read(anna.write())
    backup = ben.store.clone()
    backup.renew_epoch()
    anna.new(name="after")
    ben.read(anna.write())
    ben.new(name="only ben")
    anna.read(ben.write())
    anna.new(name="last")
    ben.open(backup)
    done = ben.read(anna.write("ben"))  # rests on what ben told before it lost its history
    assert done.obstacle == "earlier_life"
    anna.read(ben.write("anna"))
    done = ben.read(anna.write("ben"))
    assert done.obstacle is None
    assert ben.state() == anna.state()
    assert {view["name"] for view in ben.replica.list()} == {"before", "after", "only ben", "last"}


@pytest.mark.parametrize("planted", [False, True])
def test_a_maker_that_was_put_back_behind_its_back_leaves_no_hole(
    planted: bool, device: MakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its directory was copied back raw: what it writes now takes the numbers of what was lost."""
    if planted:
        monkeypatch.setattr(MemoryStore, "reach", lambda self, _: self.head())
    anna, ben = device("anna"), device("ben")
    anna.new(name="before")
    ben.read(anna.write())
    anna.read(ben.write("anna"))
    backup = anna.store.clone()
    anna.new(name="lost here")
    ben.read(anna.write("ben"))
    anna.open(backup)
    anna.new(name="instead")
    anna.read(ben.write("anna"))  # tells how far ben has read what was lost
    ben.read(anna.write("ben"))
    anna.read(ben.write("anna"))
    names = {view["name"] for view in ben.replica.list()}
    assert (names == {"before", "lost here", "instead"}) is not planted
    assert (ben.state() == anna.state()) is not planted


def test_a_reader_that_was_put_back_behind_its_back_is_sent_what_it_lost(device: MakeDevice) -> None:
    anna, ben = device("anna"), device("ben")
    anna.new(name="before")
    ben.read(anna.write())
    anna.read(ben.write("anna"))
    backup = ben.store.clone()
    ben.new(name="of ben")
    anna.new(name="after")
    ben.read(anna.write("ben"))
    anna.read(ben.write("anna"))
    ben.open(backup)
    assert ben.read(anna.write("ben")).obstacle == "earlier_life"
    anna.read(ben.write("anna"))
    assert ben.read(anna.write("ben")).obstacle is None
    assert {view["name"] for view in ben.replica.list()} == {"before", "of ben", "after"}
    assert ben.state() == anna.state()


def test_lives_that_only_followed_on_each_other_cost_nothing(device: MakeDevice) -> None:
    """As when a device listens every day, or is started again."""
    anna, ben = device("anna"), device("ben")
    for number in range(50):
        anna.new(name=f"customer {number}")
    ben.read(anna.write())
    anna.read(ben.write("anna"))
    for round_ in range(5):
        for who in (anna, ben):
            who.store.begin_life()
            who.open(who.store.clone())
        anna.new(name=f"round {round_}")
        assert ben.read(anna.write("ben")).obstacle is None
        assert anna.made.end.updates == 1
        assert anna.read(ben.write("anna")).obstacle is None
        assert ben.made.end.updates == 0
    assert ben.state() == anna.state()


def test_bundles_that_come_in_the_wrong_order_are_of_one_history(device: MakeDevice) -> None:
    anna, ben = device("anna"), device("ben")
    paths = []
    for number in range(4):
        anna.new(name=f"customer {number}")
        paths.append(anna.write())
    for number, cursor in ((2, 3), (0, 3), (3, 4), (1, 4)):
        assert ben.read(paths[number]).obstacle is None
        assert carried(ben.store)[anna.replica.id].cursor == cursor
    assert ben.state() == anna.state()


def test_what_a_bundle_of_an_earlier_life_says_does_not_outlive_the_next(device: MakeDevice) -> None:
    anna, ben = device("anna"), device("ben")
    ben.new(name="x")
    late = ben.write()
    anna.read(ben.write())
    ben.store.renew_epoch()
    anna.read(ben.write())
    before = carried(anna.store)[ben.replica.id]
    assert before.epoch == ben.store.epoch
    assert anna.read(late).received == 0
    assert carried(anna.store)[ben.replica.id] == before


def test_our_own_bundle_brings_back_what_we_lost(device: MakeDevice) -> None:
    anna = device("anna")
    backup = anna.store.clone()
    backup.renew_epoch()
    anna.new(name="x")
    path, before = anna.write(), anna.state()
    anna.open(backup)
    assert anna.read(path).obstacle is None
    assert anna.state() == before
    assert carried(anna.store) == {}


@pytest.mark.parametrize("cut", [True, False])
def test_text_written_on_in_one_go_meets_a_device_that_has_its_beginning(
    cut: bool, device: MakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One writer's text is one run of operations: a whole record then begins in the middle of what is here."""
    anna, ben = device("anna"), device("ben")
    with anna.replica.edit("customers") as customer:
        customer["name"] = "Müller"
        customer.text("notes").replace("called")
    ben.read(anna.write())
    with anna.replica.edit(customer.record) as again:
        again.text("notes").replace("called twice")
    if not cut:  # the planted bug
        monkeypatch.setattr(InProcess, "trim", lambda self, updates: [None] * len(updates))
        assert ben.read(anna.write()).waiting == 1
        return
    done = ben.read(anna.write())
    assert (done.received, done.waiting) == (1, 0)
    assert ben.replica.get(customer.record)["notes"] == "called twice"
    assert ben.state() == anna.state()


def test_both_sides_of_a_conflict_arrive_and_are_kept(device: MakeDevice) -> None:
    anna, ben = device("anna"), device("ben")
    record = anna.new(name="Müller")
    ben.read(anna.write())
    for who, phone in ((anna, "1"), (ben, "2")):
        with who.replica.edit(record) as customer:
            customer["phone"] = phone
            customer.increment("visits")
            customer.add("tags", who.name)
    anna.read(ben.write())
    ben.read(anna.write())
    assert ben.state() == anna.state()
    ((_, conflict),) = anna.replica.conflicts()
    assert {entry.value for entry in conflict.entries} == {"1", "2"}
    view = ben.replica.get(record)
    assert (view["visits"], sorted(view["tags"])) == (2, ["anna", "ben"])


def test_what_arrives_is_owed_to_the_other_partners(device: MakeDevice) -> None:
    anna, ben = device("anna"), device("ben")
    relay = b"r" * 16
    ben.store.commit([Batch(peers=(Peer(relay, b"e" * 16, 5, 1, "ws://relay"),))])
    ben.open(ben.store)
    record = anna.new(name="Müller")
    ben.read(anna.write())
    assert [entry.record for entry in ben.store.outbox(relay, "", 10)] == [record]
    assert ben.store.outbox_count(anna.replica.id) == (0, 0)


def test_what_a_bundle_brings_is_owed_to_its_source_too_where_sessions_go_there(device: MakeDevice) -> None:
    anna, ben = device("anna"), device("ben")
    ben.store.commit([Batch(peers=(Peer(anna.replica.id, anna.store.epoch, 0, 1, "ws://anna"),))])
    ben.open(ben.store)
    records = [anna.new(name="protected")]
    ben.read(anna.write(token="x"), "x")
    records.append(anna.new(name="plain"))
    ben.read(anna.write())
    assert [entry.record for entry in ben.store.outbox(anna.replica.id, "", 10)] == sorted(records)


def test_for_a_partner_of_sessions_the_outbox_says_what_it_lacks(device: MakeDevice, time: VirtualTime) -> None:
    anna, ben = device("anna"), device("ben")
    records = [anna.new(name=f"customer {number}") for number in range(10)]
    ben.read(anna.write())
    anna.store.commit([Batch(peers=(Peer(ben.replica.id, ben.store.epoch, 0, 1, "ws://ben"),))])
    anna.open(anna.store)
    with anna.replica.edit(records[0]) as customer:
        customer["phone"] = "1"
    path = anna.write("ws://ben")
    assert (anna.made.end.updates, anna.made.header.partner) == (1, (ben.replica.id, ben.store.epoch, 0))
    done = ben.read(path)
    assert (done.received, done.obstacle) == (1, None)
    assert anna.store.outbox_count(ben.replica.id) == (1, 0)  # nothing came back yet
    assert ben.state() == anna.state()


def test_a_partner_is_found_by_name_and_by_the_beginning_of_its_id(device: MakeDevice) -> None:
    anna, ben, other = device("anna"), device("ben"), device("ben")
    anna.read(ben.write())
    for wanted in ("ben", ben.replica.id.hex()[:4], ben.replica.id.hex().upper()):
        assert find_partner(anna.store, wanted).replica == ben.replica.id
    with pytest.raises(UsageError, match="no partner 'carla'") as unknown:
        find_partner(anna.store, "carla")
    assert "ben" in unknown.value.hint
    with pytest.raises(UsageError, match="no partner"):
        find_partner(anna.store, ben.replica.id.hex()[:3])
    anna.read(other.write())
    with pytest.raises(UsageError, match="several partners"):
        find_partner(anna.store, "ben")


def test_after_a_repair_nobody_is_believed_to_hold_anything(device: MakeDevice) -> None:
    anna, ben = device("anna"), device("ben")
    record = anna.new(name="Müller")
    ben.read(anna.write())
    anna.read(ben.write("anna"))
    ben.store.quarantine(record)
    ben.replica.repair()
    known = carried(ben.store)[anna.replica.id]
    assert (known.cursor, known.told, known.name) == (0, 0, "anna")
    anna.read(ben.write("anna"))
    ben.read(anna.write("ben"))
    ben.read(anna.write())
    assert ben.state() == anna.state()


def called(anna: Device, ben: Device, cursor: int) -> None:
    """Ben has called anna, and has read that far of her feed."""
    caller = Caller(ben.replica.id, ben.name, 1, anna.store.epoch, cursor, anna.store.head())
    anna.store.commit([Batch(meta=remembered({ben.replica.id: caller}))])
    ben.store.commit([Batch(peers=(Peer(anna.replica.id, anna.store.epoch, cursor, 1, "ws://anna"),))])


@pytest.mark.parametrize("by_id", [False, True])
def test_who_calls_is_named_as_peers_lists_it_and_gets_what_it_has_not_read(device: MakeDevice, by_id: bool) -> None:
    anna, ben = device("anna"), device("ben")
    for number in range(3):
        anna.new(name=f"customer {number}")
    ben.read(anna.write())
    called(anna, ben, anna.store.head())
    record = anna.new(name="new")
    path = anna.write(ben.replica.id.hex()[:8] if by_id else "ben")
    assert (anna.made.end.updates, anna.made.header.base) == (1, 3)
    done = ben.read(path)
    assert (done.received, done.obstacle, ben.replica.get(record).raw["name"]) == (1, None, "new")


def test_who_called_and_lost_what_it_had_read_finds_out(device: MakeDevice) -> None:
    anna, ben = device("anna"), device("ben")
    anna.new(name="old")
    called(anna, ben, anna.store.head())
    ben.store.commit([Batch(peers=(Peer(anna.replica.id, anna.store.epoch, 0, 1, "ws://anna"),))])
    anna.new(name="new")
    assert ben.read(anna.write("ben")).obstacle == "earlier_bundle"
