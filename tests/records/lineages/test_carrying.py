"""The gate takes updates of any lineage, in whatever parts they come, and puts none into a document of another."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdt_sync.clock import HybridClock
from crdt_sync.limits import STAMP_AHEAD_US_MAX
from crdt_sync.records import Document, Editor, Integrator, bundled_schema, values_of
from crdt_sync.records.gate.integrate import Integration
from crdt_sync.records.lineages.lineage import current, lineage_of
from crdt_sync.records.lineages.renewal import renewed

SCHEMA = bundled_schema("customers")
START = 1_700_000_000_000_000
RECORD = "customers/ann"


def edited(document: Document, writer: int, time: int, note: str) -> Document:
    copy = Document.load((document.diff(),), writer)
    editor = Editor(copy, SCHEMA, HybridClock(lambda: time), f"writer{writer}", "customers")
    editor["company"] = note
    editor.increment("visits", 1)
    editor["notes"] = f"{editor['notes']}{note} "
    return copy


def renewal() -> tuple[Document, Document]:
    """A record of one edit, and the same renewed."""
    old = edited(Document(), 1, START, "Ann")
    return old, renewed(old)


class Store:
    """What a replica has stored of the record: what its gate said to store."""

    def __init__(self) -> None:
        self.updates: tuple[bytes, ...] = ()

    def receive(self, *updates: bytes, checked: bool = True) -> Integration:
        done = Integrator(1).integrate(RECORD, self.updates, updates, START + 10**9, checked, False)
        if done.renewed:
            assert done.snapshot is not None
            self.updates = (done.snapshot,)
        else:
            fresh = [update for update, verdict in zip(updates, done.verdicts, strict=True) if verdict.new]
            self.updates = (*self.updates, *fresh)
        return done

    @property
    def document(self) -> Document:
        return Document.load(self.updates)


def codes(done: Integration) -> list[str]:
    return [verdict.code for verdict in done.verdicts]


@pytest.mark.parametrize("checked", [True, False])
def test_a_fresh_document_takes_the_place_of_the_old_one(checked: bool) -> None:
    old, fresh = renewal()
    store = Store()
    store.receive(old.diff())
    done = store.receive(fresh.diff(), checked=checked)
    assert (codes(done), done.renewed, done.snapshot) == (["accepted"], True, fresh.diff())
    assert done.lineage == lineage_of(fresh).writer
    assert store.receive(fresh.diff(), old.diff(), checked=checked).verdicts[0].new is False
    assert store.updates == (fresh.diff(),)
    empty = Store()
    assert empty.receive(fresh.diff(), checked=checked).lineage == lineage_of(fresh).writer
    assert empty.updates == (fresh.diff(),)


@pytest.mark.parametrize("checked", [True, False])
def test_the_difference_to_another_lineage_is_a_gap_that_the_whole_record_closes(checked: bool) -> None:
    old, fresh = renewal()
    store = Store()
    store.receive(fresh.diff())
    late = edited(old, 2, START + 1000, "Bob")
    assert codes(store.receive(late.diff(old.state_vector()), checked=checked)) == ["gap"]
    done = store.receive(late.diff(done_vector(store)), checked=checked)
    assert (codes(done), done.renewed) == (["accepted"], True)
    values = values_of(store.document, SCHEMA)
    assert (values["company"], values["visits"], values["notes"]) == ("Bob", 2, "Ann Bob ")
    assert not store.receive(late.diff(), fresh.diff(), checked=checked).changed


def done_vector(store: Store) -> bytes:
    return store.document.state_vector()


def test_an_edit_of_a_fresh_document_is_a_gap_where_that_is_not_known() -> None:
    old, fresh = renewal()
    later = edited(fresh, 2, START + 1000, "Bob")
    store = Store()
    store.receive(old.diff())
    assert codes(store.receive(later.diff(fresh.state_vector()))) == ["gap"]
    assert codes(store.receive(later.diff(store.document.state_vector()))) == ["accepted"]
    assert store.document.digest() == later.digest()


def test_several_updates_of_one_batch_go_through_a_renewal_between_them() -> None:
    old = edited(Document(), 1, START, "Ann")
    before = edited(old, 2, START + 1000, "Bob")
    fresh = renewed(old)
    after = edited(fresh, 3, START + 2000, "Cid")
    store = Store()
    store.receive(old.diff())
    done = store.receive(before.diff(old.state_vector()), after.diff())
    assert codes(done) == ["accepted", "accepted"]
    values = values_of(store.document, SCHEMA)
    assert (values["visits"], sorted(str(values["notes"]).split())) == (3, ["Ann", "Bob", "Cid"])


def test_who_wrote_in_an_earlier_lineage_writes_nothing_here() -> None:
    _, fresh = renewal()
    store = Store()
    store.receive(fresh.diff())
    done = store.receive(edited(fresh, 1, START + 1000, "Bob").diff(fresh.state_vector()))
    assert (codes(done), done.verdicts[0].reason) == (["malformed"], "writer 1 wrote in a lineage before this one")


def test_stamps_of_the_future_and_foreign_roots_are_refused_in_any_lineage() -> None:
    store = Store()
    store.receive(edited(Document(), 1, START, "Ann").diff())
    ahead = renewed(edited(Document(), 2, START + 10**9 + STAMP_AHEAD_US_MAX, "Bob"))
    assert codes(store.receive(ahead.diff())) == ["clock_ahead"]
    claims = Document(7)
    with claims.transaction() as transaction:
        claims.array(transaction, "g.lineage").insert(transaction, 0, "AAAA")
    assert codes(store.receive(claims.diff())) == ["malformed"]
    with claims.transaction() as transaction:
        claims.array(transaction, "x.other").insert(transaction, 0, 1)
    assert codes(store.receive(claims.diff())) == ["malformed"]


def test_of_updates_in_order_those_count_that_follow_the_last_renewal() -> None:
    old, fresh = renewal()
    later = edited(fresh, 2, START + 1000, "Bob")
    edit = later.diff(fresh.state_vector())
    assert current((old.diff(), fresh.diff(), edit)) == [fresh.diff(), edit]
    assert current((old.diff(), fresh.diff(), edit, fresh.diff())) == [fresh.diff(), edit, fresh.diff()]
    assert current((old.diff(),)) == (old.diff(),)
    again = renewed(later)
    assert current((fresh.diff(), edit, again.diff())) == [again.diff()]


def test_what_was_accepted_of_another_lineage_before_it_is_stored_is_not_merged_into_the_record() -> None:
    """A device renewed the record while an edit of the old one, which its gate had accepted, waited for the disk."""
    old, fresh = renewal()
    late = edited(old, 1, START + 1000, "Bob")
    waiting = late.diff(old.state_vector())
    own = edited(fresh, 2, START + 2000, "Eve").diff(fresh.state_vector())
    assert current((fresh.diff(), waiting, own)) == [fresh.diff(), own]
    store = Store()
    store.updates = (fresh.diff(), waiting)
    assert codes(store.receive(own)) == ["accepted"]
    store.updates = (fresh.diff(), waiting)
    assert codes(store.receive(late.diff())) == ["accepted"]
    assert values_of(store.document, SCHEMA)["visits"] == 2


STEPS = st.lists(
    st.tuples(
        st.integers(0, 2), st.sampled_from(["edit", "edit", "renew", "whole", "part", "part"]), st.integers(0, 2)
    ),
    max_size=16,
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_replicas_that_send_differences_as_sessions_do_come_to_hold_the_same(
    script: Sequence[tuple[int, str, int]],
) -> None:
    stores = [Store() for _ in range(3)]
    time, writer, visits = START, 0, 0
    told: dict[tuple[int, int], bytes] = {}
    for who, what, other in script:
        time, writer = time + 1000, writer + 1000  # ids that follow each other would be of one life
        document = stores[who].document
        if what == "edit":
            copy = edited(document, writer, time, f"note{writer}")
            stores[who].receive(copy.diff(document.state_vector()), checked=False)
            visits += 1
        elif what == "renew":
            stores[who].receive(renewed(document).diff())
        else:
            _send(stores, who, other, told.get((who, other), b"\x00") if what == "part" else b"\x00", told)
    for _ in range(7):
        for who in range(3):
            for other in range(3):
                _send(stores, who, other, told.get((who, other), b"\x00"), told)
    assert len({store.document.digest() for store in stores}) == 1
    values = values_of(stores[0].document, SCHEMA)
    assert values.get("visits", 0) == visits
    assert len(str(values.get("notes", "")).split()) == visits


def _send(stores: list[Store], who: int, other: int, vector: bytes, told: dict[tuple[int, int], bytes]) -> None:
    """A difference to what `other` is known to have, and to what it says where that is a gap."""
    if who == other:
        return
    document = stores[who].document
    done = stores[other].receive(document.diff(vector))
    if codes(done) == ["gap"]:
        assert codes(stores[other].receive(document.diff(done.state_vector))) == ["accepted"]
    told[who, other] = document.state_vector()
