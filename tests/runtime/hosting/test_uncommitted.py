"""What is on its way to the disk is found by the worker, until it is stored or given up with an earlier commit."""

from crdt_sync.protocol.hub import StoredUpdates
from crdt_sync.runtime.hosting.uncommitted import Uncommitted

US = "customers/us"


def changes(update: bytes) -> tuple[StoredUpdates, ...]:
    return (StoredUpdates(US, (update,), (bytes(16),), b"\x00", None),)


def test_updates_are_found_in_order_until_their_commit_is_on_disk() -> None:
    uncommitted = Uncommitted()
    uncommitted.begin(1, changes(b"one"))
    uncommitted.begin(2, changes(b"two"))
    assert uncommitted.of(US) == [b"one", b"two"]
    uncommitted.end(1, changes(b"one"), failed=False)
    assert uncommitted.of(US) == [b"two"]
    uncommitted.end(2, changes(b"two"), failed=False)
    assert US not in uncommitted


def test_a_commit_that_fails_takes_the_later_ones_with_it_at_once() -> None:
    uncommitted = Uncommitted()
    uncommitted.begin(1, changes(b"one"))
    uncommitted.begin(2, changes(b"two"))
    uncommitted.end(1, changes(b"one"), failed=True)
    assert uncommitted.of(US) == []


def test_the_refusal_of_a_commit_given_up_before_leaves_newer_ones_alone() -> None:
    uncommitted = Uncommitted()
    uncommitted.begin(1, changes(b"one"))
    uncommitted.begin(2, changes(b"two"))
    uncommitted.end(1, changes(b"one"), failed=True)
    uncommitted.begin(3, changes(b"three"))
    uncommitted.end(2, changes(b"two"), failed=True)
    assert uncommitted.of(US) == [b"three"]
