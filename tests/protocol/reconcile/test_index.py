"""The index answers as a plain dictionary would, at every moment; a pinned view stays as it was."""

import random
import time
from itertools import pairwise

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdt_sync.protocol.reconcile import Index, leaf
from crdt_sync.protocol.reconcile.index import BLOCK_RECORDS, CHANGES_WAITING_MAX
from crdt_sync.storage import MemoryStore
from crdt_sync.storage.keys import leaf as store_leaf
from crdt_sync.storage.values import Batch, Change
from tests.protocol.reconcile.runs import records

MODULUS = 1 << 256
KEYS = st.text("abc", min_size=1, max_size=4).map("a/{}".format)
DIGESTS = st.binary(min_size=16, max_size=16)
BOUNDS = st.text("/abc\x7f", min_size=1, max_size=5).map("a{}".format)


def expected(held, after, through):
    chosen = sorted(item for item in held.items() if item[0] > after and (through is None or item[0] <= through))
    return chosen, (len(chosen), sum(leaf(*item) for item in chosen) % MODULUS)


def assert_same(pinned, held, after, through):
    chosen, aggregate = expected(held, after, through)
    assert pinned.aggregate(after, through) == aggregate
    assert pinned.items(after, through, len(held) + 1) == chosen
    assert pinned.items(after, through, 2) == chosen[:2]


@given(st.lists(st.tuples(KEYS, DIGESTS | st.none()), max_size=60), BOUNDS, BOUNDS)
def test_changes_in_any_order(changes, one, other):
    index, held = Index(), {}
    for record, digest in changes:
        if digest is None:
            index.remove(record)
            held.pop(record, None)
        else:
            index.put(record, digest)
            held[record] = digest
    assert len(index) == len(held)
    for after, through in ((min(one, other), max(one, other)), ("", one), (other, None), ("", None)):
        assert_same(index.pin(), held, after, through)


@settings(max_examples=20)
@given(st.integers(0, 2**32))
def test_many_changes_over_many_blocks_leave_pinned_views_alone(seed):
    rng = random.Random(seed)
    every = records(3 * BLOCK_RECORDS, seed)
    held = dict(every[::2])
    index = Index(sorted(held.items()))
    pinned, then = index.pin(), dict(held)
    twin, twin_held = index.copy(), dict(held)
    for _ in range(400):
        record, _ = rng.choice(every)
        if rng.random() < 0.3:
            index.remove(record)
            held.pop(record, None)
        else:
            held[record] = rng.randbytes(16)
            index.put(record, held[record])
        record, _ = rng.choice(every)
        twin_held[record] = b"t" * 16
        twin.put(record, b"t" * 16)
    bounds = sorted(rng.choice(every)[0] for _ in range(2))
    for view, content in ((pinned, then), (index.pin(), held), (twin.pin(), twin_held)):
        assert_same(view, content, "", None)
        assert_same(view, content, *bounds)


def test_blocks_split_and_vanish_as_records_come_and_go():
    every = records(5 * BLOCK_RECORDS)
    assert len(every) > CHANGES_WAITING_MAX
    index = Index()
    for record, digest in reversed(every):
        index.put(record, digest)
    assert_same(index.pin(), dict(every), "", None)
    for record, _ in every[:-1]:
        index.remove(record)
    assert_same(index.pin(), dict(every[-1:]), "", None)
    index.remove(every[-1][0])
    assert index.pin().aggregate("", None) == (0, 0)
    assert len(index.pin()) == 0


@given(st.integers(2, 40), st.integers(2, 16))
def test_a_split_makes_parts_of_equal_size(count, parts):
    every = records(count + 10)
    after, through = every[4][0], every[4 + count][0]
    pinned = Index(every).pin()
    if count < parts:
        with pytest.raises(ValueError, match="do not make"):
            pinned.split(after, through, parts)
        return
    ends = [after, *pinned.split(after, through, parts), through]
    sizes = [pinned.aggregate(*pair)[0] for pair in pairwise(ends)]
    assert sum(sizes) == count
    assert max(sizes) - min(sizes) <= 1


def test_bounds_are_short():
    pinned = Index(records(50_000)).pin()
    bounds = pinned.split("", None, 16)
    assert max(map(len, bounds)) <= len("customers/") + 6


def test_an_index_is_loaded_from_the_pages_of_a_store():
    every = records(9000)
    stale = {every[0][0], every[4095][0], every[8999][0]}
    rows = [(record, None if record in stale else digest) for record, digest in every]
    index, without = Index.load(lambda after, limit: [row for row in rows if row[0] > after][:limit])
    assert without == sorted(stale)
    assert_same(index.pin(), {record: digest for record, digest in every if record not in stale}, "", None)


def test_an_index_follows_a_store():
    store = MemoryStore(rng=random.Random(1))
    index, _ = Index.load(store.digests)
    assert len(index) == 0

    def commit(record, digest):
        change = Change(record, (b"update",), b"o" * 16, "anna", 1, b"\0", digest=digest)
        store.commit([Batch(changes=(change,))])
        index.put(record, digest)

    for record, digest in records(300):
        commit(record, digest)
    commit(records(300)[7][0], b"7" * 16)
    root = store.root()
    assert index.pin().aggregate("", None) == (root.count, root.sum)
    again, stale = Index.load(store.digests)
    assert stale == []
    assert again.pin().items("", None, 300) == index.pin().items("", None, 300)


def test_the_whole_sum_is_the_root_of_the_store():
    record, digest = "customers/a", bytes(range(16))
    assert leaf(record, digest) == store_leaf(record, digest)
    assert Index([(record, digest)]).pin().aggregate("", None) == (1, store_leaf(record, digest))


@pytest.mark.parametrize("wrong", [[("b/b", b"d" * 16), ("a/a", b"d" * 16)], [("a/a", b"d" * 16)] * 2])
def test_unsorted_entries_are_refused(wrong):
    with pytest.raises(ValueError, match="ascending"):
        Index(wrong)
    filler = [(f"a/{number:05}", b"d" * 16) for number in range(BLOCK_RECORDS - 1)]
    with pytest.raises(ValueError, match="ascending"):
        Index([*filler, ("b/z", b"d" * 16), ("b/a", b"d" * 16)])


def test_digests_of_the_wrong_length_are_refused():
    for wrong in (b"", b"d" * 15, b"d" * 17):
        with pytest.raises(ValueError, match="16 bytes"):
            Index([("a/a", wrong)])
        with pytest.raises(ValueError, match="16 bytes"):
            Index().put("a/a", wrong)


def test_a_rebuild_of_many_records_is_quick():
    every = records(100_000)
    before = time.process_time()
    Index(every)
    assert time.process_time() - before < 5


# --- kept and taken up again ------------------------------------------------------------------------------------


class Untrue(Exception):
    pass


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.booleans())
def test_an_index_that_was_kept_answers_and_changes_like_the_one_it_was(seed, looked_at):
    rng = random.Random(seed)
    every = records(3 * BLOCK_RECORDS, seed)
    held = dict(every[::2])
    index = Index.restore(Index(sorted(held.items())).dump(), Untrue)
    if looked_at:
        assert_same(index.pin(), held, *sorted(rng.choice(every)[0] for _ in range(2)))
    pinned, then = index.pin(), dict(held)
    for record, _ in rng.sample(every, rng.choice([3, 300])):
        if rng.random() < 0.3:
            index.remove(record)
            held.pop(record, None)
        else:
            held[record] = rng.randbytes(16)
            index.put(record, held[record])
    twice = Index.restore(index.dump(), Untrue)
    bounds = sorted(rng.choice(every)[0] for _ in range(2))
    for view, content in ((pinned, then), (index.pin(), held), (twice.pin(), held)):
        assert_same(view, content, "", None)
        assert_same(view, content, *bounds)


def test_an_index_opens_what_is_looked_at_and_no_more(monkeypatch):
    index = Index.restore(Index(records(20 * BLOCK_RECORDS)).dump(), Untrue)
    pinned = index.pin()
    monkeypatch.setattr("crdt_sync.protocol.reconcile.blocks.leaves", None)  # opening a block would need it
    assert pinned.aggregate("", None)[0] == len(index) == 20 * BLOCK_RECORDS
    with pytest.raises(TypeError):
        pinned.items("", None, 1)


def test_an_empty_index_is_kept_as_nothing():
    assert Index().dump() == []
    assert len(Index.restore([], Untrue)) == 0


ROW = ["a/b", bytes(40), "a/b", bytes(16)]


@pytest.mark.parametrize(
    "page",
    [
        b"",
        b"\xff",
        cbor2.dumps(7),
        cbor2.dumps([[]]),
        cbor2.dumps([["a/b", 7, "a/b", bytes(16)]]),
        cbor2.dumps([["a/b", bytes(40), b"a/b", bytes(16)]]),
        cbor2.dumps([["a/b", bytes(40), "a/b", "0" * 16]]),
        cbor2.dumps([[7, bytes(40), "a/b", bytes(16)]]),
        cbor2.dumps([["a/b", bytes(40), "a/b", bytes(17)]]),
        cbor2.dumps([["a/b", bytes(40), "", b""]]),
        cbor2.dumps([ROW, ROW]),
    ],
)
def test_what_is_no_page_is_refused(page):
    with pytest.raises(ValueError, match=r".+"):
        Index.restore([page], Untrue)


def lying(change):
    """Two blocks, the second of which was changed after it was packed."""
    first, second = cbor2.loads(Index(records(2 * BLOCK_RECORDS)).dump()[0])
    return Index.restore([cbor2.dumps([first, change(*second)])], Untrue)


@pytest.mark.parametrize(
    "change",
    [
        lambda last, total, names, digests: (last, (1).to_bytes(40, "big"), names, digests),
        lambda last, total, names, digests: (last, total, names, bytes(16) + digests[16:]),
        lambda last, total, names, digests: (last, total, names, digests[:-16]),
        lambda last, total, names, digests: (last, total, names.partition("\n")[2], digests),
        lambda last, total, names, digests: (last + "x", total, names, digests),
        lambda last, total, names, digests: (last, total, "A" + names[1:], digests),
    ],
    ids=["total", "digest", "fewer digests", "fewer records", "last", "order"],
)
def test_a_block_that_is_not_what_it_says_is_found_when_it_is_opened(change):
    assert lying(lambda *row: row).pin().items("", None, 600) == records(2 * BLOCK_RECORDS)
    pinned = lying(change).pin()
    assert pinned.items("", None, BLOCK_RECORDS) == records(2 * BLOCK_RECORDS)[:BLOCK_RECORDS]
    with pytest.raises(Untrue):
        pinned.items("", None, BLOCK_RECORDS + 1)


def test_pages_are_of_about_a_megabyte():
    pages = Index(records(40_000)).dump()
    assert len(pages) == 3
    assert max(map(len, pages)) < 1_100_000
