"""Devices of users, and attackers, at an engine that goes by a policy; and what a device takes from others."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import pytest

from crdt_sync import Address, Replica, ids
from crdt_sync.errors import EditForbidden
from crdt_sync.policy.in_force import InForce
from crdt_sync.protocol.entries import UpdatesEntry
from crdt_sync.protocol.messages import Hello
from crdt_sync.protocol.principal import Principal
from crdt_sync.records import Schema, parse_schema
from crdt_sync.records.reading import values_of
from crdt_sync.replica.loading import stored_document
from crdt_sync.replica.refused import refused_edits
from crdt_sync.runtime.client import conversed
from crdt_sync.runtime.conversation import Conversation
from crdt_sync.runtime.hosting.engine import Engine
from crdt_sync.runtime.hosting.link import DeviceLink
from crdt_sync.runtime.outside import OUTSIDE
from crdt_sync.runtime.screening import Screening
from crdt_sync.runtime.transports.channel import Opened
from crdt_sync.runtime.transports.memory import memory_pair
from crdt_sync.runtime.vetting import vetting
from crdt_sync.runtime.worker.values import Item
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch
from tests.policies import keeps_schemas
from tests.replica.people import POLICY, SCHEMA, WIDE, policy

pytestmark = pytest.mark.usefixtures("local_workers")

PATIENCE_S = 20.0
NOW = 1_700_000_000_000_000
WITH_SCHEMAS = keeps_schemas("lead")


class Office:
    """A relay's engine, and devices whose users it knows."""

    def __init__(self, held: InForce | None) -> None:
        self.held = held
        self.users: dict[bytes, str] = {}
        self.store = MemoryStore(rng=random.Random(1))
        self.engine = Engine(self.store, self._principal, lambda: NOW, in_force=lambda: self.held)
        self.tasks: set[asyncio.Task[None]] = set()
        self._seeds = iter(range(100, 200))

    def _principal(self, hello: Hello) -> Principal:
        return Principal(hello.replica, user=self.users[hello.replica])

    def device(self, user: str, *schemas: Schema, signs: str = "") -> Replica:
        """A device of a user, which knows no policy; `signs`: in whose name it writes."""
        seed = next(self._seeds)
        store = MemoryStore(rng=random.Random(seed))
        store.commit([Batch(meta={"name": (signs or user).encode()})])
        replica = Replica.over(store, lambda: NOW, random.Random(seed))
        for schema in schemas:
            replica.shared_schemas.add(schema, share=False)
        self.users[replica.id] = user
        return replica

    async def sync(self, *replicas: Replica) -> None:
        for replica in replicas:
            outside = replace(OUTSIDE, open_channel=self._open)
            begin = partial(Conversation, replica, Address("ws://office"), outside=outside)
            async with asyncio.timeout(PATIENCE_S):
                await conversed(begin, Conversation.settled)

    async def _open(self, address: Address) -> Opened:
        here, there = memory_pair()
        task = asyncio.create_task(DeviceLink(there, self.engine).read())
        self.tasks.add(task)
        return Opened(here, token="")

    def shows(self, record: str) -> dict[str, object]:
        return values_of(stored_document(self.store, record), SCHEMA)


def run(scenario: Callable[[Office], Awaitable[None]], held: InForce | None = None) -> None:
    async def whole() -> None:
        office = Office(held or policy())
        try:
            await scenario(office)
        finally:
            await office.engine.stop(0, 1)

    asyncio.run(whole())


def made(replica: Replica, **values: object) -> str:
    with replica.edit("people") as person:
        person.update(values)
    return person.record


async def begun(office: Office) -> tuple[Replica, Replica, str]:
    """The lead's device and one of sales, with a customer, once the relay has the schema."""
    office.held = policy(WITH_SCHEMAS + POLICY)
    chen, anna = office.device("chen"), office.device("anna")
    chen.add_schema(SCHEMA)
    record = made(chen, name="A", region="North", iban="DE1")
    await office.sync(chen, anna)
    return chen, anna, record


def test_pushes_are_judged_by_policy_and_by_the_schema_that_the_store_holds() -> None:
    async def scenario(office: Office) -> None:
        chen, anna, record = await begun(office)
        with anna.edit(record) as person:
            person.update({"phone": "1", "iban": "DE2"})
        await office.sync(anna, anna, chen)
        assert (office.shows(record)["phone"], office.shows(record)["iban"]) == ("1", "DE1")
        assert [(edit.field, edit.value) for edit in refused_edits(anna.store)] == [("iban", "DE2")]
        assert chen.get(record)["phone"] == "1"

    run(scenario)


def test_the_log_says_who_brought_each_update() -> None:
    async def scenario(office: Office) -> None:
        _, anna, record = await begun(office)
        with anna.edit(record) as person:
            person["phone"] = "1"
        await office.sync(anna)
        found = [entry.actor for entry in office.store.log(0, 100, 1 << 20) if entry.record == record]
        assert found == ["chen", "anna"]

    run(scenario)


def test_nobody_writes_in_the_name_of_somebody_who_may_more() -> None:
    async def scenario(office: Office) -> None:
        _, _, record = await begun(office)
        forger = office.device("anna", SCHEMA, signs="chen")
        await office.sync(forger)
        with forger.edit(record) as person:
            person.update({"iban": "DE9"})
        await office.sync(forger)
        assert office.shows(record)["iban"] == "DE1"

    run(scenario)


def test_a_schema_that_opens_everything_is_not_let_in() -> None:
    async def scenario(office: Office) -> None:
        _, _, record = await begun(office)
        text = SCHEMA.to_toml().replace("version = 1", "version = 9")
        eve = office.device("anna")
        eve.add_schema(parse_schema(text, "a test"))
        await office.sync(eve)
        definition = stored_document(office.store, ids.schema_record("people"))
        assert '"version":9' not in str(definition.contents())
        with eve.edit(record) as person:
            person["iban"] = "DE9"
        await office.sync(eve)
        assert office.shows(record)["iban"] == "DE1"

    run(scenario)


def test_a_session_without_a_user_writes_nothing_once_there_is_a_policy() -> None:
    async def scenario(office: Office) -> None:
        _, _, known = await begun(office)
        stranger = office.device("", SCHEMA, signs="stranger")
        record = made(stranger, name="B", region="North")
        await office.sync(stranger)
        assert office.store.record_head(record) is None
        assert stranger.store.record_head(known) is None
        assert {(each.record, each.field, each.value) for each in refused_edits(stranger.store)} == {
            (record, "name", "B"),
            (record, "region", "North"),
        }
        office.held = None
        record = made(stranger, name="B", phone="8")
        await office.sync(stranger)
        assert office.shows(record)["phone"] == "8"

    run(scenario)


def test_a_policy_counts_from_the_moment_that_it_is_in_force() -> None:
    async def scenario(office: Office) -> None:
        _, anna, record = await begun(office)
        office.held = policy(WIDE, 2)
        with anna.edit(record) as person:
            person["iban"] = "DE2"
        await office.sync(anna)
        office.held = policy(WITH_SCHEMAS + POLICY, 3)
        with anna.edit(record) as person:
            person["iban"] = "DE3"
        await office.sync(anna)
        assert office.shows(record)["iban"] == "DE2"

    run(scenario)


def test_what_comes_straight_from_a_device_is_judged_for_its_user() -> None:
    async def scenario(office: Office) -> None:
        chen, anna, record = await begun(office)
        for wrote, value in ((chen, "DE2"), (anna, "DE3")):
            with wrote.edit(record) as person:
                person["iban"] = value
        ben = office.device("ben")
        await office.sync(ben)
        ben.go_by(lambda: office.held, "ben")
        screening = Screening(ben)
        for replica, user, code in ((chen, "chen", ""), (anna, "anna", "iban"), (chen, "", "may not write into")):
            update = stored_document(replica.store, record).diff()
            screened = await screening.screen([UpdatesEntry(record, update, b"")], "near", user)
            assert (code in screened.refused.get(record, "")) if code else screened.refused == {}
        await screening.close()

    run(scenario)


def test_what_a_bundle_brings_is_to_be_allowed_to_whoever_takes_it() -> None:
    async def scenario(office: Office) -> None:
        chen, anna, record = await begun(office)
        with chen.edit(record) as person:
            person["iban"] = "DE2"
        update = stored_document(chen.store, record).diff()
        anna.go_by(lambda: office.held, "anna")

        def vet() -> str:
            with vetting(anna) as vetted:
                (result,) = vetted.vet([Item(record, (update,))], None)
            return result.verdicts[0].reason

        assert await asyncio.to_thread(vet) == "iban: 'anna' may not write this field"
        with pytest.raises(EditForbidden), anna.edit(record) as person:
            person["iban"] = "DE3"

    run(scenario)
