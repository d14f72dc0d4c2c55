"""Audits: what differs is found at the right depth, named, healed from the log or the partner, and nothing else is."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crdt_sync import Address, Replica, bundled_schema, keep_syncing, sync, sync_once
from crdt_sync.protocol.messages import Standing
from crdt_sync.records import Document, values_of
from crdt_sync.runtime import Audit, Mended, audit_once, certificate, heal_once
from crdt_sync.runtime.listening import listening
from crdt_sync.storage.lmdb import LmdbStore
from crdt_sync.storage.port import Store
from crdt_sync.storage.values import Batch
from tests.runtime import planted
from tests.runtime.test_syncing import TOKEN, RelayThread, add

pytestmark = pytest.mark.usefixtures("local_workers")
Plant = Callable[[Store, str], None]


def content(store: Store, record: str) -> None:
    planted.other_content(store, record, b"Customer 3", b"Custumer 3")


def deletions(store: Store, record: str) -> None:
    planted.other_deletions(store, record, digest_too=False)


def told_deletions(store: Store, record: str) -> None:
    planted.other_deletions(store, record, digest_too=True)


class Pair:
    """A device and a relay that hold the same ten records."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.relay = RelayThread(folder / "relay")
        self.ann = Replica.create(folder / "ann", "ann", [bundled_schema("customers")])
        self.records = [add(self.ann, f"Customer {number}") for number in range(10)]
        self.sync()
        self.sync()  # reads on in the feed, so that what is planted is not exchanged before it is looked for
        assert self.audit(content=False).equal

    @property
    def address(self) -> Address:
        return Address(self.relay.url, TOKEN)

    def sync(self) -> None:
        sync(self.ann, self.address)

    def there(self, change: Callable[[LmdbStore], object]) -> None:
        """Change the relay's store while it does not run."""
        self.relay.stop()
        with LmdbStore.open(self.folder / "relay") as store:
            change(store)
        self.relay = RelayThread(self.folder / "relay", self.relay.port)

    def plant(self, side: str, plant: Plant, record: str) -> None:
        if side == "here":
            plant(self.ann.store, record)
        else:
            self.there(lambda store: plant(store, record))

    def audit(self, *, content: bool) -> Audit:
        return asyncio.run(audit_once(self.ann, self.address, content=content))

    def repair(self, *, content: bool = True) -> Mended:
        return asyncio.run(heal_once(self.ann, self.address, content=content))

    def close(self) -> None:
        self.ann.close()
        self.relay.stop()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    made = Pair(tmp_path)
    yield made
    made.close()


def named(audit: Audit) -> list[tuple[str, str]]:
    return [(difference.record, difference.kind) for difference in audit.differences]


def test_nothing_differs(pair) -> None:
    for depth in (False, True):
        found = pair.audit(content=depth)
        assert found.equal
        assert (found.differences, found.changing, found.more) == ((), (), 0)


@pytest.mark.parametrize("side", ["here", "there"])
def test_other_content_is_found_by_content_only_and_made_anew_from_the_log(pair, side) -> None:
    record = pair.records[3]
    pair.plant(side, content, record)
    assert pair.audit(content=False).equal
    found = pair.audit(content=True)
    assert named(found) == [(record, "content")]
    (difference,) = found.differences
    wrong, right = (difference.here, difference.there) if side == "here" else (difference.there, difference.here)
    assert (wrong.standing, right.standing) == (Standing.DISAGREES, Standing.AGREES)
    mended = pair.repair()
    assert mended.healed == (record,)
    assert mended.after.equal
    assert pair.ann.get(record)["name"] == "Customer 3"
    assert values_of(pair.ann.document(record))["name"] == "Customer 3"
    assert pair.audit(content=True).equal


@pytest.mark.parametrize("side", ["here", "there"])
def test_bytes_that_are_no_record_are_made_anew_from_the_log(pair, side) -> None:
    record = pair.records[3]
    pair.plant(side, planted.nonsense, record)
    assert pair.audit(content=False).equal
    assert named(pair.audit(content=True)) == [(record, "damaged")]
    mended = asyncio.run(heal_once(pair.ann, pair.address, content=True))
    assert mended.healed == (record,)
    assert mended.after.equal
    assert values_of(pair.ann.document(record))["name"] == "Customer 3"


def test_workers_that_are_processes_die_of_such_bytes_as_local_ones_do(worker_processes, pair) -> None:
    pair.plant("there", planted.nonsense, pair.records[3])
    assert named(pair.audit(content=True)) == [(pair.records[3], "damaged")]


def test_where_the_log_is_no_record_either_the_others_are_made_anew_all_the_same(pair) -> None:
    lost, other = pair.records[3], pair.records[4]

    def spoil(store: LmdbStore) -> None:
        planted.nonsense(store, lost, log_too=True)
        planted.nonsense(store, other)

    pair.there(spoil)
    mended = pair.repair()
    assert mended.healed == (other,)
    assert [(difference.record, difference.there.standing) for difference in mended.after.differences] == [
        (lost, Standing.UNREADABLE)
    ]


def test_bytes_that_are_no_record_and_have_no_log_come_back_from_the_partner(pair) -> None:
    record = pair.records[3]
    for number in range(70):
        with pair.ann.edit(record) as customer:
            customer["city"] = f"Town {number}"
    pair.sync()
    assert pair.ann.store.compact().dropped > 0
    planted.nonsense(pair.ann.store, record)
    assert named(pair.audit(content=True)) == [(record, "damaged")]
    mended = asyncio.run(heal_once(pair.ann, pair.address, content=True))
    assert mended.healed == (record,)
    assert values_of(pair.ann.document(record))["city"] == "Town 69"


@pytest.mark.parametrize("side", ["here", "there"])
@pytest.mark.parametrize(("plant", "shallow"), [(deletions, False), (told_deletions, True)])
def test_other_deletions_are_found_and_do_not_spread(pair, side, plant, shallow) -> None:
    record = pair.records[3]
    pair.plant(side, plant, record)
    assert named(pair.audit(content=False)) == ([(record, "state")] if shallow else [])
    assert named(pair.audit(content=True)) == [(record, "state")]
    assert pair.repair(content=not shallow).after.equal
    assert pair.audit(content=True).equal
    assert values_of(pair.ann.document(record))["name"] == "Customer 3"


def test_a_record_that_is_missing_here_or_there_is_named_and_brought_back(pair) -> None:
    here, there = pair.records[2], pair.records[7]
    pair.plant("here", planted.missing, here)
    pair.plant("there", planted.missing, there)
    found = pair.audit(content=False)
    assert not found.equal
    assert sorted(named(found)) == sorted([(here, "there"), (there, "here")])
    mended = pair.repair(content=False)
    assert sorted(mended.healed) == sorted([here, there])
    assert mended.after.equal
    assert pair.ann.get(here)["name"] == "Customer 2"


def test_a_record_that_nobody_was_told_of_is_named_and_sent(pair) -> None:
    record = "customers/unannounced"
    planted.unannounced(pair.ann.store, record, Document.load(pair.ann.store.load(pair.records[0]).updates).diff())
    assert named(pair.audit(content=False)) == [(record, "here")]
    assert pair.repair().healed == (record,)


def test_where_our_log_is_gone_the_partners_record_replaces_ours(pair) -> None:
    record = pair.records[3]
    for number in range(70):
        with pair.ann.edit(record) as customer:
            customer["city"] = f"Town {number}"
    pair.sync()
    assert pair.ann.store.compact().dropped > 0
    planted.other_content(pair.ann.store, record, b"Town 69", b"Down 69")
    (difference,) = pair.audit(content=True).differences
    assert (difference.here.standing, difference.there.standing) == (Standing.INCOMPLETE, Standing.AGREES)
    mended = pair.repair()
    assert mended.healed == (record,)
    assert pair.ann.get(record)["city"] == "Town 69"
    with pair.ann.edit(record) as customer:
        customer["city"] = "Bonn"
    pair.sync()
    after = pair.audit(content=True)
    assert after.equal
    assert pair.ann.store.verify().findings == ()


def test_what_our_log_confirms_is_never_replaced(pair) -> None:
    """The relay is wrong, and its log is too short to mend it: told, and left."""
    record = pair.records[3]
    for number in range(70):
        with pair.ann.edit(record) as customer:
            customer["city"] = f"Town {number}"
        if number % 10 == 9:
            pair.sync()

    def spoil(store: LmdbStore) -> None:
        whole = Document.load(store.load(record).updates).diff()
        planted.other_content(store, record, b"Town 69", b"Down 69")
        assert whole
        store.compact()

    pair.there(spoil)
    mended = pair.repair()
    assert mended.healed == ()
    (difference,) = mended.after.differences
    assert (difference.here.standing, difference.there.standing) == (Standing.AGREES, Standing.INCOMPLETE)
    assert pair.ann.get(record)["city"] == "Town 69"


def test_a_stored_digest_that_is_wrong_is_dropped_and_named_nowhere(pair) -> None:
    pair.there(lambda store: _digest(store, pair.records[4]))
    found = pair.audit(content=False)
    assert found.equal
    assert found.differences == ()


def _digest(store: LmdbStore, record: str) -> None:
    store.commit([Batch(digests={record: b"w" * 16})])


def test_an_edit_right_after_the_receipt_makes_no_difference_of_it(pair, monkeypatch) -> None:
    receipt, edits = pair.ann.receipt, []

    def followed_by_an_edit():
        found = receipt()
        if not edits:
            edits.append(True)
            pair.ann.context.lock.afterwards(lambda: add(pair.ann, "Late"))
        return found

    monkeypatch.setattr(pair.ann, "receipt", followed_by_an_edit)
    assert pair.audit(content=False).comparison.equal
    assert edits


def test_two_devices_audit_and_heal_each_other(tmp_path: Path) -> None:
    async def scenario(ann: Replica, bob: Replica) -> None:
        records = [add(ann, f"Customer {number}") for number in range(5)]
        async with listening(ann, "127.0.0.1", 0, TOKEN, certificate.own(tmp_path / "ann")) as listener:
            address = Address(listener.url, TOKEN, direct=True)
            for _ in range(2):
                await sync_once(bob, address)
            planted.other_content(ann.store, records[3], b"Customer 3", b"Custumer 3")
            planted.missing(bob.store, records[1])
            found = await audit_once(bob, address, content=True)
            assert sorted(named(found)) == sorted([(records[3], "content"), (records[1], "there")])
            mended = await heal_once(bob, address, content=True)
        assert sorted(mended.healed) == sorted([records[1], records[3]])
        assert mended.after.equal
        assert values_of(ann.document(records[3]))["name"] == bob.get(records[3])["name"] == "Customer 3"

    schema = bundled_schema("customers")
    with (
        Replica.create(tmp_path / "ann", "ann", [schema]) as ann,
        Replica.create(tmp_path / "bob", "bob", [schema]) as bob,
    ):
        asyncio.run(scenario(ann, bob))


def test_a_deep_audit_holds_up_no_edit_of_others(pair, monkeypatch) -> None:
    """The relay computes contents in small pieces: between two of them, pushes are integrated and acknowledged."""
    schema = bundled_schema("customers")
    with Replica.create(pair.folder / "bob", "bob", [schema]), pair.ann.batch():
        for number in range(10, 700):
            add(pair.ann, f"Customer {number}")
    pair.sync()
    engine = pair.relay.relay.engine
    digests, order = engine.pool._digest, []

    async def digest(kind, items):
        order.append("piece")
        return await digests(kind, items)

    engine.pool._digest = digest
    committed = engine.hub.committed

    def told(*arguments):
        order.append("commit")
        return committed(*arguments)

    monkeypatch.setattr(engine.hub, "committed", told)
    with Replica.open(pair.folder / "bob") as bob, keep_syncing(bob, pair.address) as syncing:
        syncing.wait_caught_up(60)
        order.clear()
        auditing = threading.Thread(target=lambda: found.append(pair.audit(content=True)))
        found: list[Audit] = []
        auditing.start()
        while auditing.is_alive():
            syncing.wait_stored(add(bob, "Late"), 60)
        auditing.join()
    first, last = order.index("piece"), len(order) - order[::-1].index("piece")
    assert "commit" in order[first:last]
    (audit,) = found
    assert audit.differences == ()
