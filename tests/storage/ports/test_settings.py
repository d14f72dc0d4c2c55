"""What any store keeps for its caller, and the space that it belongs to."""

import pytest

from crdt_sync.errors import ForeignSpace
from crdt_sync.ids import Space, own_space
from tests.storage.committing import OTHER, PARTNER, put


def test_metadata_is_kept_and_removed(store):
    put(store, meta={"schema": b"1", "other": b""})
    assert (store.meta("schema"), store.meta("other"), store.meta("none")) == (b"1", b"", None)
    put(store, meta={"schema": None})
    assert store.meta("schema") is None
    with pytest.raises(ValueError, match="511"):
        put(store, meta={"x" * 512: b""})


def test_a_store_has_a_space_of_its_own_until_it_joins_one_and_keeps_that(opened):
    own = opened.store.space
    assert own == own_space(opened.store.replica)
    assert not own.joined
    opened.store.join(PARTNER)
    opened.store.join(PARTNER)
    assert opened.store.space == Space(PARTNER, joined=True) == opened.reopen().space


def test_a_store_leaves_its_space_only_on_purpose(opened):
    opened.store.join(PARTNER)
    with pytest.raises(ForeignSpace):
        opened.store.join(OTHER)
    assert opened.reopen().space == Space(PARTNER, joined=True)
    opened.store.join(OTHER, leave=True)
    assert opened.reopen().space == Space(OTHER, joined=True)
