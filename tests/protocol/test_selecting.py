"""What a session is told that may hold some records and not others; and what it cannot find out of the others."""

import random
from dataclasses import replace

import pytest

from crdt_bench.grants.host import GrantingHost
from crdt_bench.grants.oracle import decoded
from crdt_bench.grants.policies import SCHEMA
from crdt_bench.minimal.line import Line
from crdt_sync.policy.in_force import InForce
from crdt_sync.policy.reading import parse_policy
from crdt_sync.protocol import codec
from crdt_sync.protocol.messages import (
    MODE_CHANGES,
    MODE_RECONCILE,
    Ack,
    Bye,
    Changes,
    Check,
    Dropped,
    Have,
    Hello,
    Presence,
    PresenceEntry,
    Push,
    PushEntry,
    Receipt,
    ReceiptRequest,
    Resume,
    Terms,
    Want,
    WantEntry,
    Welcome,
)
from crdt_sync.protocol.serving_selected import SelectedServing
from crdt_sync.protocol.versions import FEATURES
from crdt_sync.replica import Replica
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch

POLICY = """
[[role.sales.grant]]
collection = "customers"
where = "region in user.regions"
read = ["*"]
write = ["*"]
operations = ["edit"]
[[role.lead.grant]]
collection = "customers"
read = ["*"]
write = ["*"]
operations = ["create", "edit"]
[user.lead]
role = "lead"
"""
USER = '[user.{}]\nrole = "sales"\nattributes = {{ regions = "{}" }}\n'
ABSENT = "customers/aaaaaaaaaaaaaaaaaaaaaaaaaa"


def policy(version: int, regions: dict[str, str]) -> InForce:
    return InForce(version, parse_policy(POLICY + "".join(USER.format(*each) for each in regions.items()), "test"))


class Relay:
    """A host with some records, and what raw sessions with it are told."""

    def __init__(self, **regions: str) -> None:
        self.now = 1_760_000_000_000_000
        self.users: dict[bytes, str] = {}
        self.in_force = policy(1, regions)
        self.host = self.started(MemoryStore(rng=random.Random(1)))
        self.lead = self.device("lead")

    def started(self, store: MemoryStore) -> GrantingHost:
        self.host = GrantingHost(store, lambda: self.now, lambda: self.now, lambda: self.in_force, self.users, SCHEMA)
        return self.host

    def device(self, user: str) -> Replica:
        store = MemoryStore()
        store.commit([Batch(meta={"name": user.encode()})])
        replica = Replica.over(store, lambda: self.now)
        replica.add_schema(SCHEMA)
        self.users[replica.id] = user
        return replica

    def customer(self, region: str, name: str = "x") -> str:
        with self.lead.edit("customers") as record:
            record["name"], record["region"] = name, region
        Line(self.lead, self.host).run()
        return str(record.record)

    def connect(
        self,
        user: str,
        resume: Resume | None = None,
        versions: tuple[int, ...] = (3, 2, 1),
        replica: bytes = b"",
    ) -> int:
        replica = (replica or user.encode()).ljust(16, b".")
        self.users[replica] = user
        session = self.host.connect()
        self.host.receive(session, codec.encode(Hello(versions, replica, "", 1, resume, True, 0, user)))
        if not self.host.hung_up:
            space = self.host.store.space.id
            self.say(session, Terms(space, True, replica, tuple(sorted(FEATURES))))
        return session

    def say(self, session: int, message) -> None:
        self.host.receive(session, codec.encode(message, 3))
        while self.host.hub.wants_room(session):
            self.host.fill(session)

    def told(self, session: int) -> list:
        frames = self.host.frames[session]
        found = [decoded(frame) for frame in frames]
        frames.clear()
        return found


@pytest.fixture
def relay() -> Relay:
    return Relay(anna="North", ben="South")


def unmarked(message):
    """A message without its marks, of which no two are equal."""
    marks = {name: 0 for name in ("cursor", "head") if type(getattr(message, name, None)) is bytes}
    return replace(message, **marks)


def both(relay: Relay, ask) -> tuple[str, str]:
    """What anna is told when she asks about a hidden record, and about one that is not there, by the name of that."""
    hidden = relay.customer("South")
    answers = []
    for record in (hidden, ABSENT):
        session = relay.connect("anna")
        relay.told(session)
        relay.say(session, ask(record))
        answers.append(str([unmarked(message) for message in relay.told(session)]).replace(record, ABSENT))
    return answers[0], answers[1]


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda record: Want(0, (WantEntry(record, b"\0"),)), id="want"),
        pytest.param(lambda record: Check(1, mend=False, records=(record,)), id="check"),
        pytest.param(lambda record: Check(1, mend=True, records=(record,)), id="mend"),
        pytest.param(lambda record: Push(1, (PushEntry(record, b"\0\0"),)), id="push"),
    ],
)
def test_a_hidden_record_is_answered_as_one_that_is_not_there(relay, ask):
    hidden, absent = both(relay, ask)
    assert hidden == absent


def test_a_push_to_a_record_that_may_not_be_held_is_refused_and_the_record_dropped(relay):
    hidden = relay.customer("South")
    session = relay.connect("anna")
    relay.told(session)
    relay.say(session, Push(1, (PushEntry(hidden, b"\0\0"),)))
    dropped, ack = relay.told(session)
    assert unmarked(dropped) == Dropped(None, 0, (hidden,))
    assert isinstance(ack, Ack)
    assert [verdict.code.value for verdict in ack.verdicts] == ["forbidden"]


def test_whoever_cannot_be_told_what_to_drop_is_told_to_update(relay):
    session = relay.connect("anna", versions=(2, 1))
    (bye,) = relay.told(session)
    assert isinstance(bye, Bye)
    assert (bye.code, bye.retry_after_ms) == ("version_mismatch", None)


def test_nobody_is_served_before_it_is_known_what_records_show(relay):
    relay.host.store.rebuild()
    session = relay.connect("anna")
    (bye,) = relay.told(session)
    assert isinstance(bye, Bye)
    assert bye.code == "unavailable"
    assert bye.retry_after_ms


def named(messages) -> set[str]:
    return {entry.record for message in messages for entry in getattr(message, "entries", ())}


def test_who_has_no_name_in_the_policy_is_given_the_schemas_and_nothing_else(relay):
    relay.customer("North")
    session = relay.connect("stranger")
    assert named(relay.told(session)) == {"crdt-sync-schemas/customers"}


def welcome(relay: Relay, session: int) -> Welcome:
    found = relay.told(session)[0]
    assert isinstance(found, Welcome)
    return found


def standing(relay: Relay, user: str) -> Resume:
    """Where a device of a user stands once it was told everything."""
    found = relay.told(relay.connect(user))
    (cursor,) = {message.cursor for message in found if isinstance(message, Changes)}
    return Resume(found[0].epoch, cursor, cursor)


def test_a_device_comes_back_to_what_it_held_and_nobody_to_what_another_held(relay):
    relay.customer("North")
    resume = standing(relay, "anna")
    first = resume.epoch
    assert welcome(relay, relay.connect("anna", resume)).mode == MODE_CHANGES
    assert welcome(relay, relay.connect("ben", resume)).mode == MODE_RECONCILE
    relay.started(relay.host.store.clone())
    again = welcome(relay, relay.connect("anna", resume))
    assert (again.mode, again.epoch == first) == (MODE_CHANGES, False)


def test_a_mark_is_believed_of_the_device_that_it_was_told_alone(relay):
    relay.customer("North")
    resume = standing(relay, "anna")
    assert welcome(relay, relay.connect("anna", resume)).mode == MODE_CHANGES
    assert welcome(relay, relay.connect("anna", resume, replica=b"her second")).mode == MODE_RECONCILE


@pytest.mark.parametrize("place", [1, bytes(36), b"\xff" * 36])
def test_a_place_that_was_never_told_is_none(relay, place):
    relay.customer("North")
    known = standing(relay, "anna")
    for resume in (known._replace(cursor=place), known._replace(head=place)):
        assert welcome(relay, relay.connect("anna", resume)).mode == MODE_RECONCILE
    session = relay.connect("anna")
    relay.told(session)
    relay.say(session, Have(place, 0))  # an honest device has one of before the relay lost the key of its marks
    assert relay.told(session) == []
    assert relay.host.hub.sight(session) is not None, "it goes on"


def test_a_log_that_went_back_is_noticed_by_the_mark_of_its_head(relay):
    """A relay that was restored: what the device was told of since is not in its log."""
    relay.customer("North")
    before = relay.host.store.clone()
    relay.customer("North")
    resume = standing(relay, "anna")
    relay.started(before)
    assert welcome(relay, relay.connect("anna", resume)).mode == MODE_RECONCILE


def test_numbers_of_the_log_are_in_nothing_that_is_told(relay):
    relay.customer("North")
    session = relay.connect("lead")
    relay.say(session, Want(1, ()))
    relay.say(session, ReceiptRequest(1))
    told = relay.told(session)
    marks = [place for message in told for place in places(message)]
    assert {type(place) for place in marks} == {bytes}
    assert len({*marks}) == len(marks) == 4
    assert [message.head for message in told if isinstance(message, Welcome | Receipt)] == [0, 0]
    assert {entry.seq for message in told if isinstance(message, Changes) for entry in message.entries} == {0}


def places(message) -> list[object]:
    if isinstance(message, Welcome | Receipt):
        return []
    return [place for name in ("cursor", "head") if (place := getattr(message, name, None)) is not None]


def test_what_is_claimed_of_a_life_without_a_policy_is_not_believed(relay):
    """Else whoever knows the id of a life is told of all that it may not hold, by what it is to drop."""
    head = relay.host.store.head()
    resume = Resume(relay.host.store.epoch, head, head)
    assert welcome(relay, relay.connect("anna", resume)).mode == MODE_RECONCILE


def test_a_change_wakes_those_whom_it_concerns_and_no_others(relay, monkeypatch):
    relay.customer("West")  # with it comes the schema, which concerns everybody
    woken: list[str] = []
    wake = SelectedServing.wake

    def counted(self, at):
        if self.at_rest:
            woken.append(self._selected._principal.user)
        wake(self, at)

    monkeypatch.setattr(SelectedServing, "wake", counted)
    users = {f"u{number}": ("North" if number < 3 else "South") for number in range(40)}
    relay.in_force = policy(2, users)
    lines = [Line(relay.device(user), relay.host) for user in users]
    assert all(line.run() for line in lines)
    woken.clear()
    relay.customer("North")
    assert set(woken) - {"lead"} == {"u0", "u1", "u2"}


class Counted(MemoryStore):
    """A store that counts what is read of records."""

    reads = 0

    def whereabouts(self, record, after):
        self.reads += 1
        return super().whereabouts(record, after)

    def whereabouts_of(self, records, after):
        self.reads += len(records)
        return super().whereabouts_of(records, after)

    def feed(self, after, limit):
        found = super().feed(after, limit)
        self.reads += len(found)
        return found


def test_a_first_sync_costs_what_its_user_may_hold():
    relay = Relay(anna="North", ben="South")
    store = Counted()
    relay.started(store)
    with relay.lead.batch():
        for number in range(300):
            with relay.lead.edit("customers") as record:
                record["name"], record["region"] = f"n{number}", "North" if number % 30 == 0 else "South"
    Line(relay.lead, relay.host).run()
    costs = {}
    for user in ("anna", "ben"):
        before = store.reads
        device = relay.device(user)
        Line(device, relay.host).run()
        costs[user] = (len(device.store.records("", 999, "customers/")), store.reads - before)
    assert costs["anna"][0] == 10
    assert costs["ben"][0] == 290
    assert costs["anna"][1] < 80


def test_who_has_a_record_open_is_told_by_the_user_of_the_session_whatever_it_says(relay):
    record = relay.customer("North")
    anna, lead = relay.connect("anna"), relay.connect("lead")
    relay.say(anna, Presence((PresenceEntry(record, "lead"),)))
    relay.told(lead)
    relay.host.hub.begin_presence()
    relay.host.fill(lead)
    assert [each.entries for each in relay.told(lead) if isinstance(each, Presence)] == [
        (PresenceEntry(record, "anna"),)
    ]
