"""Sections at a relay that goes by a policy, workers and all: who may not read one has nothing of it, nowhere."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from crdt_bench.grants.oracle import decoded
from crdt_sync import Address, Replica, ids
from crdt_sync.errors import EditForbidden
from crdt_sync.policy.cells import Seen
from crdt_sync.policy.in_force import InForce
from crdt_sync.protocol import codec
from crdt_sync.protocol.messages import Ack, Hello, Push, PushEntry, Terms
from crdt_sync.protocol.pushing import Pushing
from crdt_sync.protocol.versions import FEATURES
from crdt_sync.records import Document, parse_schema
from crdt_sync.records.gate import permitted
from crdt_sync.replica import refused, sights
from crdt_sync.replica.sights import StoreSights
from crdt_sync.runtime.hosting.link import DeviceLink
from crdt_sync.runtime.transports.channel import Opened
from crdt_sync.runtime.transports.memory import MemoryChannel, memory_pair
from tests.replica.people import policy
from tests.runtime.test_going_by_a_policy import PATIENCE_S, WITH_SCHEMAS, Office, made

pytestmark = pytest.mark.usefixtures("local_workers")

MARKER, FILE = "DE02120300000000202051", "a rare disease"
SCHEMA = parse_schema(
    """
collection = "people"
version = 1

[fields.name]
required = true

[fields.region]
filter = true

[fields.iban]
section = "finance"

[fields.account]
kind = "review"
section = "finance"

[fields.paid]
kind = "counter"
section = "finance"

[fields.diagnosis]
kind = "text"
section = "file"
""",
    "a test",
)
POLICY = """
[[role.sales.grant]]
collection = "people"
where = "region in user.regions"
read = ["*"]
write = ["*"]
operations = ["create", "edit", "delete", "restore"]

[[role.cashier.grant]]
collection = "people"
where = "region in user.regions"
read = ["*", "finance"]
write = ["finance"]
operations = ["edit"]

[[role.clerk.grant]]
collection = "people"
where = "region in user.regions"
read = ["*", "finance"]
write = ["*", "finance"]
operations = ["create"]

[[role.mixed.grant]]
collection = "people"
where = "region == 'North'"
read = ["*", "finance"]

[[role.mixed.grant]]
collection = "people"
where = "region == 'South'"
read = ["*"]

[[role.masked.grant]]
collection = "people"
read = ["*", "finance"]
mask = { iban = "last4" }

[[role.lead.grant]]
collection = "people"
read = ["*", "finance", "file"]
write = ["*", "finance", "file"]
operations = ["create", "edit", "delete", "restore", "resolve", "import"]

[user]
anna = { role = "sales", attributes = { regions = ["North"] } }
kai = { role = "cashier", attributes = { regions = ["North"] } }
cleo = { role = "clerk", attributes = { regions = ["North"] } }
mo = { role = "mixed" }
max = { role = "masked" }
chen = { role = "lead" }
"""


class Clinic(Office):
    """An office whose devices know the schema from the beginning, and what each was sent."""

    def __init__(self, held: InForce | None) -> None:
        super().__init__(held)
        self.sent: dict[bytes, list[bytes]] = {}
        self._calls: Replica | None = None

    async def sync(self, *replicas: Replica) -> None:
        for replica in replicas:
            self._calls = replica
            await super().sync(replica)

    async def _open(self, address: Address) -> Opened:
        opened = await super()._open(address)
        channel, replica = opened.channel, self._calls
        assert isinstance(channel, MemoryChannel)
        assert replica is not None
        sent, receive = self.sent.setdefault(replica.id, []), channel.receive

        async def receiving() -> bytes:
            frame = await receive()
            sent.append(frame)
            return frame

        channel.receive = receiving  # type: ignore[method-assign]
        return opened

    def staff(self, *users: str) -> list[Replica]:
        """A device of each user that goes by the policy."""
        found = [self.device(user, SCHEMA) for user in users]
        for user, replica in zip(users, found, strict=True):
            replica.go_by(lambda: self.held, user)
        return found


def has(replica: Replica, what: str) -> bool:
    """Whether the device's store holds a text anywhere in what it keeps of records."""
    store = replica.store
    for record in store.records("", 1000):
        stored = b"".join(store.load(record).updates) + (store.view(record) or b"")
        log = b"".join(entry.update for entry in store.history(record))
        if what.encode() in stored + log:
            return True
    return False


def run(scenario: Callable[[Clinic], Awaitable[None]]) -> None:
    async def whole() -> None:
        clinic = Clinic(policy(WITH_SCHEMAS + POLICY))
        boss = clinic.device("chen")
        boss.add_schema(SCHEMA)
        await clinic.sync(boss)
        clinic.sent.clear()
        try:
            await scenario(clinic)
        finally:
            await clinic.engine.stop(0, 1)

    asyncio.run(whole())


def regions(replica: Replica) -> list[object]:
    return [view["region"] for view in replica.list("people")]


def test_a_section_reaches_those_who_read_it_and_nobody_else_in_no_byte() -> None:
    async def scenario(clinic: Clinic) -> None:
        chen, kai, anna = clinic.staff("chen", "kai", "anna")
        record = made(chen, name="Bo", region="North", iban=MARKER, diagnosis=FILE)
        await clinic.sync(chen, kai, anna)
        assert dict(chen.get(record)) == {"name": "Bo", "region": "North", "iban": MARKER, "diagnosis": FILE}
        assert dict(kai.get(record)) == {"name": "Bo", "region": "North", "iban": MARKER}
        assert dict(anna.get(record)) == {"name": "Bo", "region": "North"}
        for replica, may in ((kai, {MARKER}), (anna, set())):
            for marker in (MARKER, FILE):
                assert has(replica, marker) == (marker in may)
                assert any(marker.encode() in frame for frame in clinic.sent[replica.id]) == (marker in may)
        assert not any(b"people__" in frame for frame in clinic.sent[anna.id])
        assert anna.store.records("", 9, "people__") == []

    run(scenario)


def test_what_each_may_write_goes_through_and_meets_at_the_others() -> None:
    async def scenario(clinic: Clinic) -> None:
        chen, kai, anna = clinic.staff("chen", "kai", "anna")
        record = made(anna, name="Bo", region="North")
        await clinic.sync(anna, kai)
        with kai.edit(record) as person:
            person["iban"] = MARKER
            person.increment("paid", 5)
        with anna.edit(record) as person:
            person["name"] = "Cy"
        await clinic.sync(kai, anna, chen, kai)
        for replica in (chen, kai):
            assert dict(replica.get(record)) == {"name": "Cy", "region": "North", "iban": MARKER, "paid": 5}
        assert dict(anna.get(record)) == {"name": "Cy", "region": "North"}

    run(scenario)


def test_a_device_says_at_once_what_may_not_be_written_into_a_section() -> None:
    async def scenario(clinic: Clinic) -> None:
        kai, anna = clinic.staff("kai", "anna")
        record = made(anna, name="Bo", region="North")
        await clinic.sync(anna, kai)
        with pytest.raises(EditForbidden) as raised, anna.edit(record) as person:
            person["iban"] = MARKER
        assert (raised.value.field, raised.value.rule) == ("iban", "'anna' may not write this field")
        with pytest.raises(EditForbidden, match="name"), kai.edit(record) as person:
            person.update({"iban": MARKER, "name": "Cy"})
        assert dict(kai.get(record)) == {"name": "Bo", "region": "North"}  # none of it, as it was one edit

    run(scenario)


def test_a_new_record_comes_with_its_section_in_one_sync_by_whoever_may_make_it() -> None:
    async def scenario(clinic: Clinic) -> None:
        cleo, chen = clinic.staff("cleo", "chen")
        record = made(cleo, name="Bo", region="North", iban=MARKER)
        await clinic.sync(cleo, chen)
        assert chen.get(record)["iban"] == MARKER
        assert refused.refused_edits(cleo.store) == []
        with pytest.raises(EditForbidden), cleo.edit(record) as person:
            person["iban"] = "other"

    run(scenario)


def test_a_section_goes_and_comes_with_its_record_though_nothing_is_written_into_it() -> None:
    async def scenario(clinic: Clinic) -> None:
        chen, kai, mo = clinic.staff("chen", "kai", "mo")
        record = made(chen, name="Bo", region="South", iban=MARKER)
        await clinic.sync(chen, kai, mo)
        assert (regions(kai), regions(mo), has(mo, MARKER)) == ([], ["South"], False)
        for region, kais, mos in (("North", True, True), ("South", False, False), ("North", True, True)):
            with chen.edit(record) as person:
                person["region"] = region
            await clinic.sync(chen, kai, mo)
            assert (has(kai, MARKER), has(mo, MARKER)) == (kais, mos)
            assert regions(mo) == [region]
            assert regions(kai) == (["North"] if kais else [])

    run(scenario)


def test_who_is_to_see_a_field_in_part_is_never_given_it_whole() -> None:
    async def scenario(clinic: Clinic) -> None:
        chen, masked = clinic.staff("chen", "max")
        made(chen, name="Bo", region="North", iban=MARKER)
        await clinic.sync(chen, masked)
        assert (regions(masked), has(masked, MARKER)) == (["North"], False)

    run(scenario)


def test_a_change_of_grants_moves_sections_alone() -> None:
    async def scenario(clinic: Clinic) -> None:
        chen, anna = clinic.staff("chen", "anna")
        record = made(chen, name="Bo", region="North", iban=MARKER)
        await clinic.sync(chen, anna)
        assert not has(anna, MARKER)
        wider = POLICY.replace('read = ["*"]\nwrite = ["*"]', 'read = ["*", "finance"]\nwrite = ["*"]', 1)
        for text, held in ((wider, True), (POLICY, False)):
            clinic.held = policy(WITH_SCHEMAS + text, clinic.held.version + 1)
            clinic.engine.policy_changed()
            clinic.sent.clear()
            await clinic.sync(anna)
            assert (has(anna, MARKER), anna.get(record)["name"]) == (held, "Bo")
            assert not any(b"Bo" in frame for frame in clinic.sent[anna.id])  # the record itself stayed

    run(scenario)


async def pushed(clinic: Clinic, user: str, record: str, update: bytes) -> str:
    """The reason that a client of its own making is told for an update; empty where it is let in."""
    replica = user.encode().ljust(16, b".")
    clinic.users[replica] = user
    here, there = memory_pair()
    clinic.tasks.add(asyncio.create_task(DeviceLink(there, clinic.engine).read()))
    here.send(codec.encode(Hello((3, 2, 1), replica, "", 1, None, True, 0, user)))
    here.send(codec.encode(Terms(clinic.store.space.id, True, replica, tuple(sorted(FEATURES))), 3))
    here.send(codec.encode(Push(1, (PushEntry(record, update),)), 3))
    async with asyncio.timeout(PATIENCE_S):
        while True:
            told = decoded(await here.receive())
            if isinstance(told, Ack):
                here.abort()
                return told.verdicts[0].reason


def test_a_record_is_stored_once_its_sections_are() -> None:
    async def scenario(clinic: Clinic) -> None:
        (chen,) = clinic.staff("chen")
        record = made(chen, name="Bo", region="North")
        await clinic.sync(chen)
        assert chen.record_status(record).state == "stored"
        with chen.edit(record) as person:
            person["iban"] = MARKER
        assert chen.record_status(record).state == "pending"
        assert chen.status().partners[0].pending == 1
        await clinic.sync(chen)
        assert chen.record_status(record).state == "stored"

    run(scenario)


def by_hand(root: str, actor: str) -> bytes:
    """An update that no editor makes: an entry, or a text, in the root of a new document."""
    document = Document(77)
    with document.transaction() as transaction:
        if root.startswith("t."):
            document.text(transaction, root).insert(transaction, 0, "evil")
        else:
            document.array(transaction, root).insert(transaction, 0, ["evil", 1_600_000_000_000_000, actor])
    return document.diff()


ATTACKS = {
    "a section that is not read": ("anna", "finance", "c.iban", "may not be held"),
    "a section of a record that is not held": ("kai", "finance", "c.iban", "may not be held"),
    "a field of the record, in a section": ("chen", "finance", "c.name", "not of the section 'finance'"),
    "a field of another section": ("chen", "finance", "t.diagnosis", "not of the section 'finance'"),
    "a section's field, in the record": ("chen", "", "c.iban", "in the section 'finance'"),
    "a section's text, in the record": ("anna", "", "t.diagnosis", "in the section 'file'"),
    "a delete of a section alone": ("chen", "finance", "c._deleted", "cannot be told"),
    "a section that nobody declared": ("chen", "nowhere", "c.iban", "may not be held"),
    "a section of a record that is not there": ("chen", "finance", "c.iban", "may not be held"),
    "what may be written": ("kai", "finance", "c.iban", ""),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_raw_updates_into_companions_are_judged_as_those_into_records(attack: str) -> None:
    async def scenario(clinic: Clinic) -> None:
        user, section, root, reason = ATTACKS[attack]
        (chen,) = clinic.staff("chen")
        record = made(chen, name="Bo", region="South" if "not held" in attack else "North", iban="DE1")
        await clinic.sync(chen)
        if "not there" in attack:
            record = "people/aaaaaaaaaaaaaaaaaaaaaaaaaa"
        told = await pushed(clinic, user, ids.in_section(record, section) if section else record, by_hand(root, user))
        assert reason in told
        assert bool(reason) == bool(told)
        stored = [update for each in clinic.store.records("", 99) for update in clinic.store.load(each).updates]
        assert any(b"evil" in update for update in stored) == (not reason)

    run(scenario)


def _not_placed_in(attack: str) -> Callable[[], None]:
    return lambda: test_raw_updates_into_companions_are_judged_as_those_into_records(attack)


PLANTED = {
    "every section is given": (
        (Seen, "gives", lambda *_: True),
        test_a_section_reaches_those_who_read_it_and_nobody_else_in_no_byte,
    ),
    "who masks is given the section": (
        (Seen, "gives", lambda self, section: section in self.read),
        test_who_is_to_see_a_field_in_part_is_never_given_it_whole,
    ),
    "companions of what has moved are forgotten": (
        (StoreSights, "companions", lambda *_: ()),
        test_a_section_goes_and_comes_with_its_record_though_nothing_is_written_into_it,
    ),
    "a companion goes by what it shows itself": (
        (sights, "whereabouts_of", lambda store, records, after: store.whereabouts_of(records, after)),
        test_a_section_reaches_those_who_read_it_and_nobody_else_in_no_byte,
    ),
    "a companion is pushed with its record": (
        (Pushing, "_waits_for_whole", lambda *_: False),
        test_a_new_record_comes_with_its_section_in_one_sync_by_whoever_may_make_it,
    ),
    "a field is written wherever somebody puts it": (
        (permitted._Judge, "_check_place", lambda *_: None),
        _not_placed_in("a section's field, in the record"),
    ),
    "a companion is judged as a record of its own": (
        (permitted.Rules, "access", lambda self, user, values: self.in_force.rights(user).on(self.collection, values)),
        test_what_each_may_write_goes_through_and_meets_at_the_others,
    ),
    "a change of grants forgets the sections": (
        (sights, "sections_of", lambda *_: []),
        test_a_change_of_grants_moves_sections_alone,
    ),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_noticed(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    planted, noticed = PLANTED[bug]
    monkeypatch.setattr(*planted)
    with pytest.raises((AssertionError, KeyError, EditForbidden)):
        noticed()
