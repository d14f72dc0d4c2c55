"""A relay in memory that goes by a policy, and devices of its users."""

from crdt_bench.minimal.line import Line
from crdt_sync.ids import collection_of
from crdt_sync.policy.in_force import InForce
from crdt_sync.policy.reading import parse_policy
from crdt_sync.protocol import hub
from crdt_sync.protocol.principal import Principal
from crdt_sync.records import Schema, parse_schema
from crdt_sync.records.gate.permitted import Rules
from crdt_sync.replica import StoreSource
from tests.replica.wire import MemoryRelay

SCHEMA = parse_schema(
    """
collection = "people"
version = 1

[fields.name]
required = true

[fields.region]
filter = true

[fields.phone]

[fields.iban]

[fields.visits]
kind = "counter"

[fields.tags]
kind = "set"

[fields.calls]
kind = "log"

[fields.notes]
kind = "text"
""",
    "a test",
)
POLICY = """
[[role.sales.grant]]
collection = "people"
where = "region in user.regions"
read = ["*"]
write = ["name", "region", "phone", "visits", "tags", "calls", "notes"]
operations = ["create", "edit"]

[[role.lead.grant]]
collection = "people"
read = ["*"]
write = ["*"]
operations = ["create", "edit", "delete", "restore", "resolve", "import"]

[user.anna]
role = "sales"
attributes = { regions = ["North"] }

[user.ben]
role = "sales"
attributes = { regions = ["North", "South"] }

[user.chen]
role = "lead"
"""
WIDE = POLICY.replace(
    'write = ["name", "region", "phone", "visits", "tags", "calls", "notes"]\noperations = ["create", "edit"]',
    'write = ["*"]\noperations = ["create", "edit", "delete", "restore", "resolve", "import"]',
).replace('where = "region in user.regions"\n', "")


def policy(text: str = POLICY, version: int = 1) -> InForce:
    return InForce(version, parse_policy(text, "a test"))


class RuledRelay(MemoryRelay):
    """Judges each update for the user of the session that pushed it. `users` says who has which replica."""

    def open(self, store):
        super().open(store)
        self.users = getattr(self, "users", {})
        self.in_force = getattr(self, "in_force", None)
        self.schema: Schema | None = SCHEMA
        self.hub = hub.Hub(StoreSource(store, lambda _: None), self._principal, self._wall, self._snapshot_due)

    def _principal(self, hello):
        return Principal(hello.replica, user=self.users.get(hello.replica, ""))

    def integrate(self, item, stamp_max):
        if self.in_force is None:
            return super().integrate(item, stamp_max)
        stored = self.store.load(item.record).updates
        collection = collection_of(item.record)
        rules = Rules(self.in_force, collection, self.schema if collection == "people" else None)
        users = tuple(principal.user for principal in item.principals)
        done = self._integrator.integrate(
            item.record, stored, item.updates, stamp_max, True, item.snapshot, rules=rules, users=users
        )
        lineage = done.lineage if done.renewed else None
        return hub.Integrated(done.verdicts, done.state_vector, done.snapshot, lineage, done.shown)


def device(make_replica, relay, user, name="", in_force=None):
    """The device of a user, which the relay knows; without `in_force` it knows no policy."""
    replica = make_replica(name or user, SCHEMA)
    replica.go_by(lambda: in_force, user)
    relay.users[replica.id] = user
    return replica


__all__ = ["POLICY", "SCHEMA", "WIDE", "Line", "RuledRelay", "device", "policy"]
