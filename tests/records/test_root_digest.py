import hashlib

from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.records.root_digest import leaf, replace, root_bytes, root_of

RECORDS = st.dictionaries(st.text("abc/", min_size=1, max_size=6), st.binary(min_size=16, max_size=16), max_size=8)


def test_a_leaf_is_the_hash_of_record_and_digest():
    digest = bytes(range(16))
    expected = hashlib.blake2b(b"customers/a\x00" + digest, digest_size=32).digest()
    assert leaf("customers/a", digest) == int.from_bytes(expected, "big")


@given(RECORDS, st.randoms(use_true_random=False))
def test_the_root_ignores_order_and_can_be_kept_up_to_date(records, random):
    shuffled = list(records.items())
    random.shuffle(shuffled)
    root = 0
    for record, digest in shuffled:
        root = replace(root, 0, leaf(record, digest))
    assert root == root_of(records.items())
    assert len(root_bytes(root)) == 32
    for record, digest in shuffled:
        root = replace(root, leaf(record, digest), 0)
    assert root == 0


@given(RECORDS.filter(bool), st.binary(min_size=16, max_size=16))
def test_another_digest_or_a_missing_record_changes_the_root(records, digest):
    record = min(records)
    changed = {**records, record: digest}
    assert (root_of(changed.items()) == root_of(records.items())) == (digest == records[record])
    fewer = {name: value for name, value in records.items() if name != record}
    assert root_of(fewer.items()) != root_of(records.items())
