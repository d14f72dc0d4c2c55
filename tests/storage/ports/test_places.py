"""What records show in their filter fields, in any store: kept with the updates, and what was left with it."""

import pytest

from crdt_sync import limits
from crdt_sync.policy.values import Whereabouts
from crdt_sync.storage import Batch, OutboxEntry, Placement
from tests.storage.committing import ANN, BOB, CID, PARTNER, put

FIELDS = Placement(b"region")
HEAD = 1 << 40


def keep(store, placement=FIELDS):
    store.commit([Batch(placement=Placement(placement.fields, "")), Batch(placement=placement)])


def shows(forms, change):
    return change._replace(fields=b"region", forms=forms)


def at(store, region):
    return store.placed("customers", "region", region, "", 100)


def test_nothing_is_kept_before_a_batch_asks_for_it(store, change):
    put(store, shows({"region": "North"}, change(ANN, b"1")))
    assert (store.placement(), store.whereabouts(ANN, 0), at(store, "North"), store.moves_from()) == (None, None, [], 0)


def test_what_a_record_shows_is_there_with_its_update(store, change, opened):
    keep(store)
    put(store, shows({"region": "North", "owner": "", "note": None}, change(ANN, b"1")))
    put(
        store,
        shows({"region": "North"}, change(BOB, b"1")),
        shows({}, change("orders/a", b"1")),
    )
    for reopened in (False, True):
        each = opened.reopen() if reopened else store
        assert each.placement() == FIELDS
        assert each.whereabouts(ANN, HEAD) == Whereabouts({"region": "North", "owner": ""}, (), new=False)
        assert at(each, "North") == [ANN, BOB]
        assert each.placed("customers", "region", "North", ANN, 1) == [BOB]
        assert each.placed("customers", "owner", "", "", 9) == [ANN]
        assert each.placed("orders", "region", "North", "", 9) == []
        assert each.whereabouts(CID, 0) is None
        assert each.verify().findings == ()


def test_several_are_asked_at_once(store, change):
    keep(store)
    put(store, shows({"region": "North"}, change(ANN, b"1")), shows({}, change(BOB, b"1")))
    expected = [store.whereabouts(record, 0) for record in (BOB, CID, ANN)]
    assert store.whereabouts_of([BOB, CID, ANN], 0) == expected
    assert None in expected


def test_what_is_left_is_known_to_older_cursors_and_outlasts_compaction(store, change):
    keep(store)
    put(store, shows({"region": "North"}, change(ANN, b"1", snapshot=b"1")))
    put(store, shows({"region": "South"}, change(ANN, b"2", snapshot=b"2")))
    put(store, shows({"region": "South"}, change(ANN, b"3", snapshot=b"3")))
    store.compact()
    assert store.whereabouts(ANN, 0) == Whereabouts({"region": "South"}, ({"region": "North"},), new=True)
    assert store.whereabouts(ANN, 1) == Whereabouts({"region": "South"}, ({"region": "North"},), new=False)
    assert store.whereabouts(ANN, 2) == Whereabouts({"region": "South"}, (), new=False)
    assert (at(store, "North"), at(store, "South")) == ([], [ANN])


def test_of_a_record_that_comes_back_only_what_it_does_not_show_is_left(store, change):
    keep(store)
    for number, region in enumerate(("North", "South", "North", "West"), 1):
        put(store, shows({"region": region}, change(ANN, b"%d" % number)))
    assert store.whereabouts(ANN, 0).left == ({"region": "South"}, {"region": "North"})
    put(store, shows({"region": "North"}, change(ANN, b"5")))
    assert store.whereabouts(ANN, 0).left == ({"region": "South"}, {"region": "West"})
    assert store.whereabouts(ANN, 3).left == ({"region": "West"},)


@pytest.mark.parametrize("moves", [limits.MOVES_KEPT_MAX, limits.MOVES_KEPT_MAX + 1])
def test_what_a_record_left_is_bounded_and_older_cursors_are_told(store, change, moves):
    keep(store)
    for number in range(moves + 1):
        put(store, shows({"region": f"r{number}"}, change(ANN, b"%d" % number)))
    assert len(store.whereabouts(ANN, 0).left) == limits.MOVES_KEPT_MAX
    assert store.moves_from() == (1 if moves == limits.MOVES_KEPT_MAX else 2)


def test_several_moves_in_one_commit_are_all_known(store, change):
    keep(store)
    put(store, *(shows({"region": region}, change(ANN, b"1")) for region in ("a", "b", "c")))
    assert store.whereabouts(ANN, 1) == Whereabouts({"region": "c"}, ({"region": "a"}, {"region": "b"}), new=False)
    assert (at(store, "a"), at(store, "c")) == ([], [ANN])


def test_a_change_that_does_not_say_what_is_shown_has_all_read_anew(store, change):
    keep(store)
    put(store, shows({"region": "North"}, change(ANN, b"1")))
    put(store, change(ANN, b"2"))
    assert store.placement() == Placement(b"region", "")


def test_what_was_read_before_a_record_moved_on_counts_no_more(store, change):
    keep(store)
    put(store, shows({"region": "North"}, change(ANN, b"1")))
    put(store, shows({"region": "South"}, change(ANN, b"2")))
    store.commit([Batch(forms={ANN: (1, {"region": "North"})})])
    assert store.whereabouts(ANN, 2) == Whereabouts({"region": "South"})


def test_a_change_that_tells_of_other_fields_has_all_read_anew(store, change):
    keep(store)
    put(store, change(ANN, b"1")._replace(fields=b"owner", forms={"owner": "anna"}))
    assert (store.placement(), store.whereabouts(ANN, 0)) == (Placement(b"region", ""), None)


def test_what_was_read_anew_and_differs_is_no_move_that_older_cursors_know(store, change):
    keep(store)
    put(store, shows({"region": "North"}, change(ANN, b"1")))
    store.commit([Batch(forms={ANN: (1, {"region": "North"}), BOB: (1, {"region": "North"})}, placement=FIELDS)])
    assert (store.whereabouts(ANN, 0).new, store.moves_from(), store.whereabouts(BOB, 0)) == (True, 1, None)
    store.commit([Batch(forms={ANN: (1, {"region": "South"})})])
    assert store.whereabouts(ANN, 0) == Whereabouts({"region": "South"}, (), new=False)
    assert store.moves_from() == 2
    assert (at(store, "North"), at(store, "South")) == ([], [ANN])


def test_keeping_begins_anew_with_an_empty_through(store, change):
    keep(store)
    put(store, shows({"region": "North"}, change(ANN, b"1")))
    store.commit([Batch(placement=Placement(b"owner", ""))])
    assert (store.whereabouts(ANN, 0), at(store, "North"), store.moves_from()) == (None, [], 2)
    store.commit([Batch(placement=Placement(b"owner", ANN), forms={ANN: (1, {"owner": "anna"})})])
    assert store.placement() == Placement(b"owner", ANN)
    assert store.placed("customers", "owner", "anna", "", 9) == [ANN]


def test_a_quarantined_record_is_nowhere_and_what_it_left_is_not_known(store, change):
    keep(store)
    put(store, shows({"region": "North"}, change(ANN, b"1")))
    store.quarantine(ANN)
    assert (store.whereabouts(ANN, 0), at(store, "North"), store.moves_from()) == (None, [], 2)
    assert store.verify().findings == ()


def test_a_dropped_record_leaves_nothing(store, change):
    keep(store)
    put(store, shows({"region": "North"}, change(BOB, b"1", digest=b"b" * 16)))
    before = (store.root(), store.count())
    put(store, shows({"region": "North"}, change(ANN, b"1", view=b"v", digest=b"d" * 16)),
        outbox=((PARTNER, OutboxEntry(ANN, b"", 1, "quota")), (PARTNER, OutboxEntry(BOB, b"", 1))))  # fmt: skip
    put(store, shows({"region": "North"}, change(ANN, b"2", snapshot=b"12")))
    put(store, shows({"region": "North"}, change(ANN, b"3")), drop=(ANN, CID))
    assert (store.root(), store.count()) == before
    assert store.record_head(ANN) is None
    assert (store.load(ANN).updates, store.view(ANN), store.history(ANN), store.whereabouts(ANN, 0)) == (
        (),
        None,
        [],
        None,
    )
    assert store.outbox_count(PARTNER) == (1, 0)
    assert store.outbox_entry(PARTNER, ANN) is None
    assert [entry.record for entry in store.feed(0, 9)] == [BOB]
    assert (store.stale(9), at(store, "North"), store.head()) == ([], [BOB], 4)
    assert store.remains([ANN])[ANN].entries == ()
    assert store.verify().findings == ()


def test_a_dropped_record_may_come_back_in_the_same_commit(store, change):
    keep(store)
    put(store, shows({"region": "North"}, change(ANN, b"1")))
    store.commit([Batch(drop=(ANN,)), Batch(changes=(shows({"region": "South"}, change(ANN, b"9")),))])
    assert store.load(ANN).updates == (b"9",)
    assert store.whereabouts(ANN, 1) == Whereabouts({"region": "South"}, (), new=True)
    assert (at(store, "North"), at(store, "South")) == ([], [ANN])
    assert store.verify().findings == ()


def test_a_record_that_was_damaged_and_came_back_is_dropped_with_what_was_before(store, change):
    put(store, change(ANN, b"1"))
    store.quarantine(ANN)
    put(store, change(ANN, b"2"))
    store.commit([Batch(drop=(ANN,))])
    assert store.remains([ANN])[ANN].entries == ()
    put(store, change(ANN, b"3"))
    store.quarantine(ANN)
    store.commit([Batch(changes=(change(ANN, b"4"),)), Batch(drop=(ANN,))])
    assert store.remains([ANN])[ANN].entries == ()


def test_a_renewed_record_is_dropped_with_what_was_before(store, change):
    put(store, change(ANN, b"old"), change(BOB, b"1"))
    put(store, change(ANN, b"new", snapshot=b"new")._replace(renewed=True, lineage=7))
    store.commit([Batch(drop=(ANN,))])
    assert store.remains([ANN])[ANN].entries == ()
    assert store.verify().findings == ()
