"""The smallest host of many sessions that goes by a policy: what the hub asks of it, and not of the others."""

from collections.abc import Callable, Sequence

from crdt_bench.minimal.host import MinimalHost
from crdt_sync.errors import StoreError
from crdt_sync.policy.in_force import InForce
from crdt_sync.principal import Principal
from crdt_sync.protocol import hub
from crdt_sync.protocol.messages import Hello
from crdt_sync.protocol.reconcile import Index, View
from crdt_sync.records import Schema
from crdt_sync.records.filtered import fields_of, values_shown
from crdt_sync.replica import StoreSource
from crdt_sync.replica.audit import content_digest
from crdt_sync.replica.held import held_root, held_view
from crdt_sync.replica.index import UNKNOWN_TO_ACCEPTOR
from crdt_sync.replica.placing import place
from crdt_sync.replica.receipts import refresh_digests
from crdt_sync.replica.sights import StoreSights
from crdt_sync.replica.source import change_of
from crdt_sync.storage.port import Store
from crdt_sync.storage.values import Batch


class GrantingHost(MinimalHost):
    """The hub over `store`, for users whom `users` names by their device. Nobody is served before `ready`."""

    def __init__(
        self,
        store: Store,
        steady: Callable[[], int],
        wall: Callable[[], int],
        in_force: Callable[[], InForce | None],
        users: dict[bytes, str],
        schema: Schema,
    ) -> None:
        super().__init__(store, steady, wall)
        self._schema = schema
        self._users = users
        self.judged: Callable[[str, str], None] = lambda _record, _user: None
        self._schemas = {schema.collection: schema}
        self.sights = StoreSights(store, in_force, lambda: fields_of(self._schemas))
        self.hub = hub.Hub(StoreSource(store, lambda _: None), self._user, wall, self._snapshot_due, sights=self.sights)
        place(store, self._schemas)

    def _user(self, hello: Hello) -> Principal:
        return Principal(hello.replica, user=self._users.get(hello.replica, ""))

    def integrate(self, item: hub.IntegrationItem, stamp_max: int) -> hub.Integrated:
        """What becomes of one item, and what the record shows then."""
        for principal in item.principals:
            self.judged(item.record, principal.user)
        done = super().integrate(item, stamp_max)
        document = self._integrator.document(item.record)
        schema = self._schemas.get(item.record.partition("/")[0])
        return done._replace(shown=values_shown(document, schema))

    def _commit(self, effect: hub.Commit) -> None:
        try:
            changes = tuple(change_of(each, self._wall(), fields_of(self._schemas)) for each in effect.changes)
            (done,) = self._commits.commit([Batch(changes=changes)])
        except StoreError:
            self.hub.commit_failed(effect.number, self.steady())
        else:
            self.hub.committed(effect.number, done.seqs, self.steady())
            self.follow()

    def follow(self) -> None:
        """Let those who follow know."""
        self.hub.followers()

    def _look(self, effect: hub.PinIndex | hub.MakeReceipt | hub.PinAudit | hub.MakeCheck) -> None:
        sight = self.hub.sight(effect.session)
        if sight is None or isinstance(effect, hub.MakeCheck):
            super()._look(effect)
            return
        now = self.steady()
        refresh_digests(self.store)
        records = self.sights.held(sight)
        match effect:
            case hub.PinIndex(session):
                self.hub.pinned(session, held_view(self.store, records, UNKNOWN_TO_ACCEPTOR), now)
            case hub.PinAudit(session, content):
                view = self._contents(records) if content else held_view(self.store, records, UNKNOWN_TO_ACCEPTOR)
                self.hub.audit_pinned(session, view, now)
            case hub.MakeReceipt(session, number):
                count, root = held_root(self.store, records)
                self.hub.receipt(session, number, self.store.head(), count, root, now)

    def _contents(self, records: Sequence[str]) -> View:
        index = Index()
        for record in records:
            index.put(record, content_digest(self.store, record) or UNKNOWN_TO_ACCEPTOR)
        return index.pin()
