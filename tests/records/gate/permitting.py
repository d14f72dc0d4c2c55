"""A gate that goes by a policy, over one record, and people with copies of that."""

from crdt_sync.policy.in_force import InForce
from crdt_sync.policy.reading import parse_policy
from crdt_sync.records import Integrator, parse_schema
from crdt_sync.records.gate.permitted import Rules
from crdt_sync.records.updates.lists import Lists
from crdt_sync.records.updates.update import scan
from tests.records import raw_updates as raw
from tests.records.conftest import Office

RECORD = "customers/a"
SCHEMA = """
collection = "customers"
version = 1

[fields.name]
required = true

[fields.region]
filter = true

[fields.phone]
kind = "review"

[fields.iban]

[fields.stage]
kind = "stage"
states = ["lead", "customer", "lost", "closed"]

[fields.stage.transitions]
lead = ["customer", "lost"]
customer = ["lost"]
lost = ["lead"]

[fields.born]
type = "date"

[fields.amount]
type = "decimal"

[fields.active]
type = "boolean"

[fields.visits]
kind = "counter"

[fields.tags]
kind = "set"

[fields.calls]
kind = "log"

[fields.notes]
kind = "text"

[fields.terms]
kind = "text"
required = true
"""
POLICY = """
[[role.sales.grant]]
collection = "customers"
where = "region in user.regions"
read = ["*"]
write = ["name", "region", "phone", "stage", "notes", "tags", "visits", "calls", "amount", "born", "active", "terms"]
operations = ["create", "edit"]

[[role.books.grant]]
collection = "customers"
read = ["*", "finance"]
mask = { phone = "last4" }
write = ["*", "finance"]
operations = ["edit"]

[[role.lead.grant]]
collection = "customers"
read = ["*", "finance"]
write = ["*", "finance"]
operations = ["create", "edit", "delete", "restore", "resolve", "import"]

[[role.guest.grant]]
collection = "customers"
read = ["*"]
operations = ["history"]

[[role.clerk.grant]]
collection = "customers"
read = ["*"]
write = ["name"]
operations = ["edit", "import"]

[[role.clerk_of_nothing.grant]]
collection = "customers"
read = ["*"]
operations = ["edit", "import"]

[[role.judge.grant]]
collection = "customers"
read = ["*"]
write = ["phone"]
operations = ["edit", "resolve"]

[user.kim]
role = "clerk"

[user.leo]
role = "clerk_of_nothing"

[user.rob]
role = "judge"

[user.guest]
role = "guest"

[user.anna]
role = "sales"
attributes = { regions = ["North"] }

[user.ben]
role = "sales"
attributes = { regions = ["North", "South"] }

[user.bea]
role = "books"

[user.chen]
role = "lead"

[user.dora]
role = "sales"
disabled = true
"""
BEGUN = {"name": "Ann", "region": "North", "phone": "1", "stage": "lead", "iban": "DE1", "terms": "net 30"}


class Place:
    """A record that is held, the gate before it, and people with copies of it."""

    def __init__(self):
        self.office = Office()
        self.office.schema = parse_schema(SCHEMA, "a test")
        policy = parse_policy(POLICY, "a test")
        self.rules = Rules(InForce(1, policy), "customers", self.office.schema)
        self.integrator = Integrator(1)
        self.integrator.integrate(RECORD, (), (), None, True, False)
        self.writers = iter(range(100, 200))

    @property
    def document(self):
        return self.integrator.document(RECORD)

    def push(self, user, update):
        """The outcome for one update that a session of `user` pushes."""
        before = self.document.digest()
        done = self.integrator.integrate(RECORD, None, (update,), None, True, False, rules=self.rules, users=(user,))
        (verdict,) = done.verdicts
        if verdict.code == "forbidden":
            assert self.document.digest() == before
        return done

    def told(self, user, update):
        """The reason of a refusal; nothing where it was let in."""
        (verdict,) = self.push(user, update).verdicts
        assert verdict.code in ("accepted", "forbidden"), verdict
        return verdict.reason

    def person(self, actor):
        """Somebody with a copy of what is held."""
        return self.office.person(next(self.writers), (self.document.diff(),), actor)

    def edit(self, user, change, actor=None):
        return self.told(user, self.person(actor or user).edit(change))

    def write(self, user, actor=None, **values):
        return self.edit(user, lambda editor: editor.update(values), actor)

    def raw(self, user, *parts, writer=900):
        return self.told(user, raw.update(parts, writer=writer))

    def delete_of(self, root):
        """An update that deletes all that stands in a root, and writes nothing."""
        items = scan(self.document.diff()).items
        lists = Lists(items)
        by_writer = {}
        for item in items:
            if not item.deleted and lists.name((item.writer, item.clock)).root == root:
                by_writer.setdefault(item.writer, []).append((item.clock, item.length))
        out = b"\x00" + raw.uint(len(by_writer))
        for writer, ranges in by_writer.items():
            out += raw.uint(writer) + raw.uint(len(ranges))
            out += b"".join(raw.uint(number) for each in ranges for number in each)
        return out


def used_up(root, writer, clock, count=1000):
    """An update under the id of somebody else: so many operations in a root, deleted already."""
    item = b"\x01\x01" + raw.uint(len(root)) + root.encode() + raw.uint(count)
    deleted = b"\x01" + raw.uint(writer) + b"\x01" + raw.uint(clock) + raw.uint(count)
    return b"\x01\x01" + raw.uint(writer) + raw.uint(clock) + item + deleted
