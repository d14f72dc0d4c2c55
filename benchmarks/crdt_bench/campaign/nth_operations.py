"""The operations in which every call is made to fail, and what must be true after each.

An operation is begun in a fresh directory, carried out once with the fault and once more without it.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from crdt_bench.minimal.host import MinimalHost
from crdt_bench.minimal.line import exchange
from crdt_sync import Replica, bundled_schema
from crdt_sync.errors import StoreExists
from crdt_sync.exchange import import_table, open_table
from crdt_sync.limits import TAIL_UPDATES_MAX
from crdt_sync.records import values_of
from crdt_sync.replica.receipts import refresh_digests
from crdt_sync.storage import Batch, Change, GroupWriter, LmdbStore
from crdt_sync.storage.port import Store

_HELD = "customers/held"
_SCHEMA = bundled_schema("customers")
_ROWS = 6
_SMALL_MAP_BYTES = 1 << 17
_NOW = 1_700_000_000_000_000


class Operation(ABC):
    """One operation and its promise. `perform` may raise; then `perform` again must succeed, and `check` pass."""

    name: ClassVar[str]
    threaded: ClassVar[bool] = False  # whether its writes are made by a thread that it starts

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.prepare()

    @abstractmethod
    def prepare(self) -> None:
        """What is acknowledged before."""

    @abstractmethod
    def perform(self) -> None:
        """The operation; the second time, whatever is left of it."""

    @abstractmethod
    def stores(self) -> list[LmdbStore]:
        """The stores that are open."""

    @abstractmethod
    def check(self, complete: bool) -> None:
        """Assert what was acknowledged, and with `complete` that all has been done."""

    @abstractmethod
    def reopen(self) -> None:
        """Close everything and open it again."""

    def close(self) -> None:
        """Release everything."""
        for store in self.stores():
            store.close()

    def verify(self) -> None:
        """Assert that every store is sound."""
        for store in self.stores():
            report = store.verify()
            assert report.findings == (), report.findings[:3]


class _OnReplica(Operation):
    def prepare(self) -> None:
        """See `Operation`."""
        self.replica = Replica.create(self.directory / "anna", "anna", [_SCHEMA])
        with self.replica.edit(_HELD, create=True) as editor:
            editor["name"] = "Held"
            editor.increment("visits")
        self.tries = 0

    def stores(self) -> list[LmdbStore]:
        """See `Operation`."""
        assert isinstance(self.replica.store, LmdbStore)
        return [self.replica.store]

    def reopen(self) -> None:
        """See `Operation`."""
        self.replica.close()
        self.replica = Replica.open(self.directory / "anna")


class Edit(_OnReplica):
    """One edit of a record: there as a whole or not at all."""

    name = "edit"

    def perform(self) -> None:
        """See `Operation`."""
        self.tries += 1
        with self.replica.edit(_HELD) as editor:
            editor["city"] = "Berlin"
            editor.increment("visits")

    def check(self, complete: bool) -> None:
        """See `Operation`."""
        view = self.replica.get(_HELD)
        visits = view["visits"]
        assert view["name"] == "Held"
        assert 1 + complete <= visits <= 1 + self.tries, f"{visits} visits after {self.tries} tries"
        assert (view.raw.get("city") == "Berlin") == (visits > 1)
        document = self.replica.document(_HELD)
        assert values_of(document, _SCHEMA)["visits"] == visits


class Open(_OnReplica):
    """A replica opened and edited, which it can be again after a failure."""

    name = "open"

    def prepare(self) -> None:
        """See `Operation`."""
        super().prepare()
        self.replica.close()

    def perform(self) -> None:
        """See `Operation`."""
        self.reopen()

    def check(self, complete: bool) -> None:
        """See `Operation`."""
        if not complete:
            self.reopen()
        assert self.replica.get(_HELD)["visits"] == 1
        assert values_of(self.replica.document(_HELD), _SCHEMA)["name"] == "Held"


class Create(_OnReplica):
    """A replica made: whole, or made again by a retry."""

    name = "create"

    def prepare(self) -> None:
        """See `Operation`."""
        self.made: list[Replica] = []

    def perform(self) -> None:
        """See `Operation`."""
        self.close()
        try:
            self.replica = Replica.create(self.directory / "anna", "anna", [_SCHEMA])
        except StoreExists:
            self.replica = Replica.open(self.directory / "anna")  # it was made, and the disk failed late
        self.made = [self.replica]

    def stores(self) -> list[LmdbStore]:
        """See `Operation`."""
        return [store for replica in self.made if isinstance(store := replica.store, LmdbStore)]

    def reopen(self) -> None:
        """See `Operation`."""
        if self.made:
            super().reopen()
            self.made = [self.replica]

    def check(self, complete: bool) -> None:
        """See `Operation`."""
        if complete:
            assert self.replica.name == "anna"
            assert set(self.replica.schemas) == {"customers"}


class Compact(_OnReplica):
    """The log compacted: what is read stays the same."""

    name = "compact"

    def prepare(self) -> None:
        """See `Operation`."""
        super().prepare()
        for _ in range(2 * TAIL_UPDATES_MAX):
            with self.replica.edit(_HELD) as editor:
                editor.increment("visits")

    def perform(self) -> None:
        """See `Operation`."""
        self.replica.store.compact()

    def check(self, complete: bool) -> None:
        """See `Operation`."""
        visits = 1 + 2 * TAIL_UPDATES_MAX
        assert self.replica.get(_HELD)["visits"] == visits
        assert values_of(self.replica.document(_HELD), _SCHEMA)["visits"] == visits
        if complete:
            assert self.replica.store.compact().dropped == 0


class Copy(_OnReplica):
    """The store copied: the copy is there whole or not at all, and the original as it was."""

    name = "copy"

    @property
    def _target(self) -> Path:
        return self.directory / "copy"

    def perform(self) -> None:
        """See `Operation`."""
        if not self._target.exists():
            self.replica.store.copy(self._target)

    def check(self, complete: bool) -> None:
        """See `Operation`."""
        assert self.replica.get(_HELD)["visits"] == 1
        if complete or self._target.exists():
            with Replica.open(self._target) as copied:
                assert copied.get(_HELD)["visits"] == 1
                assert copied.store.verify().findings == ()


class Import(_OnReplica):
    """A table imported in one batch: all rows or none."""

    name = "import"

    def prepare(self) -> None:
        """See `Operation`."""
        super().prepare()
        rows = "".join(f"c{number},Customer {number},Oslo\n" for number in range(_ROWS))
        self.table = self.directory / "table.csv"
        self.table.write_text("key,name,city\n" + rows, encoding="utf-8")

    def perform(self) -> None:
        """See `Operation`."""
        report = import_table(self.replica, open_table(self.table), "customers", key_columns=("key",))
        assert not report.failures, report.failed

    def check(self, complete: bool) -> None:
        """See `Operation`."""
        count = len(list(self.replica.find("customers", city="Oslo")))
        assert self.replica.get(_HELD)["name"] == "Held"
        assert count in ({_ROWS} if complete else {0, _ROWS}), f"{count} of {_ROWS} rows"


class Sync(_OnReplica):
    """Two devices with edits each has not seen, through one relay: integrate, push, acknowledge, send on."""

    name = "sync"

    def prepare(self) -> None:
        """See `Operation`."""
        super().prepare()
        self.other = Replica.create(self.directory / "bob", "bob", [_SCHEMA])
        self.relay = _hosted(LmdbStore.open(self.directory / "relay", create=True))
        for replica in (self.replica, self.other):
            assert exchange(replica, self.relay).settled
        for replica in (self.replica, self.other):
            with replica.edit(_HELD) as editor:
                editor["phone"] = replica.name
                editor.increment("visits")
            with replica.edit(f"customers/{replica.name}", create=True) as editor:
                editor["name"] = replica.name

    def stores(self) -> list[LmdbStore]:
        """See `Operation`."""
        assert isinstance(self.other.store, LmdbStore)
        assert isinstance(self.relay.store, LmdbStore)
        return [*super().stores(), self.other.store, self.relay.store]

    def perform(self) -> None:
        """See `Operation`."""
        try:
            for _ in range(2):
                for replica in (self.replica, self.other):
                    exchange(replica, self.relay)
        except BaseException:
            self.relay = _hosted(self.relay.store)  # what fails outside a commit ends the relay's process
            raise

    def _heal(self) -> None:
        """What could not be read is asked for by itself; a record that was refused is whole with its next edit."""
        self.perform()
        replicas = (self.replica, self.other)
        told = {
            record
            for replica in replicas
            for record in replica.store.records("", 100)
            if replica.record_status(record).state == "refused"
        }
        for record in sorted(told):
            for replica in replicas:
                if replica.store.record_head(record) is not None:
                    with replica.edit(record) as editor:
                        editor["city"] = replica.name
            self.perform()

    def check(self, complete: bool) -> None:
        """See `Operation`."""
        for replica in (self.replica, self.other):
            assert replica.get(f"customers/{replica.name}")["name"] == replica.name
            assert replica.get(_HELD)["visits"] >= 2
            self._settled_means_stored(replica)
        if complete:
            self._heal()
            views = [[dict(view.raw) for view in replica.list()] for replica in (self.replica, self.other)]
            roots = {store.root() for store in self._digested()}
            assert views[0] == views[1], "the devices differ"
            assert len(roots) == 1, "the stores differ"
            assert self.replica.get(_HELD)["visits"] == 3
            assert {len(view) for view in views} == {3}
            assert not self.replica.status().unreadable
            assert not self.other.status().unreadable

    def _settled_means_stored(self, replica: Replica) -> None:
        """What a device believes to be on the relay's disk is there."""
        for record in replica.store.records("", 100):
            if replica.record_status(record).state == "stored":
                theirs = self.relay.store.load(record).updates
                assert theirs, f"{record} is not on the relay"

    def _digested(self) -> list[LmdbStore]:
        for replica in (self.replica, self.other):
            replica.refresh_digests()
        refresh_digests(self.relay.store)
        return self.stores()

    def reopen(self) -> None:
        """See `Operation`."""
        super().reopen()
        self.other.close()
        self.relay.store.close()
        self.other = Replica.open(self.directory / "bob")
        self.relay = _hosted(LmdbStore.open(self.directory / "relay"))


def _hosted(store: Store) -> MinimalHost:
    return MinimalHost(store, lambda: _NOW)


class GroupCommit(Operation):
    """Batches of several callers through the writer's thread: each future tells the truth."""

    name = "group commit"
    threaded = True

    def prepare(self) -> None:
        """See `Operation`."""
        self.store = LmdbStore.open(self.directory / "store", create=True)
        self.acknowledged: set[bytes] = set()
        self.number = 0

    def stores(self) -> list[LmdbStore]:
        """See `Operation`."""
        return [self.store]

    def perform(self) -> None:
        """See `Operation`."""
        writer = GroupWriter(self.store)
        try:
            sent = []
            for _ in range(5):
                self.number += 1
                update = b"%d" % self.number
                change = Change(f"customers/{self.number % 2}", (update,), bytes(16), "anna", 1, b"\x00")
                sent.append((update, writer.submit(Batch(changes=(change,)))))
            results = [(update, future.exception(10)) for update, future in sent]
        finally:
            writer.close()
        self.acknowledged.update(update for update, error in results if error is None)
        for _, error in results:
            if error is not None:
                raise error

    def check(self, complete: bool) -> None:
        """See `Operation`."""
        held = [entry.update for entry in self.store.log(0, 1000, 1 << 20)]
        assert len(held) == len(set(held)), "stored twice"
        assert self.acknowledged <= set(held), "an acknowledged batch is missing"
        assert not complete or len(self.acknowledged) >= 5

    def reopen(self) -> None:
        """See `Operation`."""
        self.store.close()
        self.store = LmdbStore.open(self.directory / "store")


class Grow(Operation):
    """A commit that does not fit the map, which grows several times for it."""

    name = "grow"

    def prepare(self) -> None:
        """See `Operation`."""
        self.store = LmdbStore.open(self.directory / "store", create=True, map_bytes=_SMALL_MAP_BYTES)
        self._put("held", b"held")

    def stores(self) -> list[LmdbStore]:
        """See `Operation`."""
        return [self.store]

    def perform(self) -> None:
        """See `Operation`."""
        self._put("large", bytes(8 * _SMALL_MAP_BYTES))

    def _put(self, record: str, update: bytes) -> None:
        change = Change(f"customers/{record}", (update,), bytes(16), "anna", 1, b"\x00")
        self.store.commit([Batch(changes=(change,))])

    def check(self, complete: bool) -> None:
        """See `Operation`."""
        assert self.store.load("customers/held").updates == (b"held",)
        held = self.store.load("customers/large").updates
        assert all(update == bytes(8 * _SMALL_MAP_BYTES) for update in held)
        assert not complete or held

    def reopen(self) -> None:
        """See `Operation`."""
        self.store.close()
        self.store = LmdbStore.open(self.directory / "store", map_bytes=_SMALL_MAP_BYTES)


OPERATIONS: tuple[type[Operation], ...] = (Edit, Import, Sync, GroupCommit, Open, Create, Compact, Copy, Grow)
