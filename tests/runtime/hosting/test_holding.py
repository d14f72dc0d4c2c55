"""A relay that goes by a policy, its workers and all: each device holds what its user may hold, live and afterwards."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from crdt_sync import Address, Replica
from crdt_sync.errors import RemoteError
from crdt_sync.policy.in_force import InForce
from crdt_sync.policy.reading import parse_policy
from crdt_sync.protocol.messages import Hello
from crdt_sync.protocol.principal import Principal
from crdt_sync.records import parse_schema
from crdt_sync.replica import unsent
from crdt_sync.runtime.conversation import Conversation
from crdt_sync.runtime.hosting.engine import Engine
from crdt_sync.runtime.hosting.link import DeviceLink
from crdt_sync.runtime.listening import hosting
from crdt_sync.runtime.outside import OUTSIDE
from crdt_sync.runtime.transports.channel import Opened
from crdt_sync.runtime.transports.memory import memory_pair
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch

SCHEMA = parse_schema(
    """
collection = "customers"
version = 1
[fields.name]
[fields.region]
filter = true
""",
    "test",
)
GRANT = """
[[role.sales.grant]]
collection = "customers"
where = "region in user.regions"
read = ["*"]
write = ["*"]
operations = ["create", "edit"]
[[role.lead.grant]]
collection = "customers"
read = ["*"]
write = ["*"]
operations = ["create", "edit"]
[user.lead]
role = "lead"
"""


def policy(version: int, **regions: str) -> InForce:
    users = "".join(
        f'[user.{name}]\nrole = "sales"\nattributes = {{ regions = "{of}" }}\n' for name, of in regions.items()
    )
    return InForce(version, parse_policy(GRANT + users, "test"))


class Space:
    """A relay, and devices that belong to a user each."""

    def __init__(self, in_force: InForce | None) -> None:
        self.in_force = in_force
        self.users: dict[bytes, str] = {}
        self.store = MemoryStore()
        self.links: set[asyncio.Task[None]] = set()
        self.engine = self.start()

    def start(self) -> Engine:
        wall = lambda: 1_760_000_000_000_000  # noqa: E731
        self.engine = Engine(self.store, self.authorise, wall, in_force=lambda: self.in_force)
        return self.engine

    def authorise(self, hello: Hello) -> Principal:
        return Principal(hello.replica, user=self.users[hello.replica])

    def device(self, user: str) -> Replica:
        store = MemoryStore()
        store.commit([Batch(meta={"name": user.encode()})])
        replica = Replica.over(store, lambda: 1_760_000_000_000_000)
        replica.add_schema(SCHEMA)
        self.users[replica.id] = user
        return replica

    async def open(self, address: Address) -> Opened:
        here, there = memory_pair()
        self.links.add(asyncio.create_task(DeviceLink(there, self.engine).read()))
        return Opened(here, token="")

    async def sync(self, *replicas: Replica, until: Callable[[Conversation], Awaitable[None]] | None = None) -> None:
        outside = replace(OUTSIDE, open_channel=self.open)
        for replica in replicas:
            for _ in range(20):
                with suppress(RemoteError):
                    await Conversation(replica, Address("ws://relay"), outside=outside).run(
                        until or Conversation.settled
                    )
                    break
                await asyncio.sleep(0.05)  # what records show is being read
            else:
                raise AssertionError("it was never served")

    @asynccontextmanager
    async def following(self, replica: Replica):
        """A session that goes on while the block runs."""
        over, settled = asyncio.Event(), asyncio.Event()

        async def until(conversation: Conversation) -> None:
            await conversation.settled()
            settled.set()
            await over.wait()

        task = asyncio.create_task(self.sync(replica, until=until))
        await settled.wait()
        try:
            yield
        finally:
            over.set()
            await task


def customer(replica: Replica, name: str, region: str) -> str:
    with replica.edit("customers") as record:
        record["name"], record["region"] = name, region
    return str(record.record)


def move(replica: Replica, record: str, region: str) -> None:
    with replica.edit(record) as edited:
        edited["region"] = region


def names(replica: Replica) -> set[str]:
    return {replica.get(record)["name"] for record in replica.store.records("", 99, "customers/")}


async def changed(replica: Replica, expected: set[str]) -> None:
    heard = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hear(_events: object) -> None:
        loop.call_soon_threadsafe(heard.set)

    unsubscribe = replica.subscribe(hear)
    try:
        async with asyncio.timeout(20):
            while names(replica) != expected:
                heard.clear()
                if names(replica) != expected:
                    await heard.wait()
    finally:
        unsubscribe()


def run(test: Callable[[Space], Awaitable[None]], in_force: InForce | None) -> None:
    async def main() -> None:
        space = Space(None)
        try:
            await space.sync(space.device("lead"))  # it brings the schema, which the policy lets nobody write
            space.in_force = in_force
            await test(space)
        finally:
            await space.engine.stop(0, 1)
            await asyncio.gather(*space.links, return_exceptions=True)

    asyncio.run(main())


def test_each_device_gets_what_its_user_may_hold_and_loses_what_has_left() -> None:
    async def test(space: Space) -> None:
        lead, anna, ben = (space.device(user) for user in ("lead", "anna", "ben"))
        north = customer(lead, "Nord AG", "North")
        customer(lead, "Süd AG", "South")
        await space.sync(lead, anna, ben)
        assert (names(anna), names(ben)) == ({"Nord AG"}, {"Süd AG"})
        async with space.following(anna), space.following(ben):
            move(lead, north, "South")
            await space.sync(lead)
            await changed(anna, set())
            await changed(ben, {"Nord AG", "Süd AG"})
            customer(lead, "Nordwest", "North")
            await space.sync(lead)
            await changed(anna, {"Nordwest"})
        assert names(ben) == {"Nord AG", "Süd AG"}

    run(test, policy(1, anna="North", ben="South"))


def test_another_grant_moves_the_difference_within_the_session_and_after_it() -> None:
    async def test(space: Space) -> None:
        lead, anna = space.device("lead"), space.device("anna")
        for name, region in (("N", "North"), ("S", "South"), ("W", "West")):
            customer(lead, name, region)
        await space.sync(lead, anna)
        async with space.following(anna):
            space.in_force = policy(2, anna="South")
            space.engine.policy_changed()
            await changed(anna, {"S"})
        space.in_force = policy(3, anna="West")
        space.engine.policy_changed()
        await space.sync(anna)
        assert names(anna) == {"W"}

    run(test, policy(1, anna="North"))


def test_edits_of_a_record_that_has_left_are_kept_aside() -> None:
    async def test(space: Space) -> None:
        lead, anna = space.device("lead"), space.device("anna")
        record = customer(lead, "N", "North")
        await space.sync(lead, anna)
        move(lead, record, "South")
        await space.sync(lead)
        with anna.edit(record) as edited:
            edited["name"] = "N GmbH"
        await space.sync(anna)
        await space.sync(lead)
        assert (names(anna), lead.get(record)["name"]) == (set(), "N")
        (aside,) = anna.status().unsent
        assert aside.record == record
        kept = unsent.update_of(anna.store, aside)
        assert kept is not None
        assert b"N GmbH" in kept

    run(test, policy(1, anna="North"))


def test_a_device_that_listens_gives_and_takes_what_both_may_hold() -> None:
    async def test(space: Space) -> None:
        lead, anna, ben = (space.device(user) for user in ("lead", "anna", "ben"))
        for name, region in (("N", "North"), ("S", "South")):
            customer(lead, name, region)
        of_ben = customer(ben, "B", "South")
        lead.go_by(lambda: space.in_force, "lead")
        async with hosting(lead) as engine:
            space.engine, relays = engine, space.engine
            engine.authorise = space.authorise
            await space.sync(anna)
            assert names(anna) == {"N"}
            await space.sync(ben)
            assert (names(ben), names(lead)) == ({"S", "B"}, {"N", "S", "B"})
            move(lead, of_ben, "North")
            await space.sync(anna)
            assert names(anna) == {"N", "B"}
        space.engine = relays

    run(test, policy(1, anna="North", ben="South"))


def test_a_device_takes_nothing_that_its_own_user_may_not_hold() -> None:
    async def test(space: Space) -> None:
        lead, anna = space.device("lead"), space.device("anna")
        customer(lead, "N", "North")
        customer(lead, "S", "South")
        anna.go_by(lambda: space.in_force, "anna")
        async with hosting(anna) as engine:
            space.engine, relays = engine, space.engine
            engine.authorise = space.authorise
            await space.sync(lead)
        space.engine = relays
        assert names(anna) == {"N"}

    run(test, policy(1, anna="North"))


def test_a_policy_that_comes_into_force_is_gone_by_at_once() -> None:
    async def test(space: Space) -> None:
        lead, anna = space.device("lead"), space.device("anna")
        customer(lead, "N", "North")
        customer(lead, "S", "South")
        await space.sync(lead, anna)
        assert names(anna) == {"N", "S"}
        space.in_force = policy(1, anna="North")
        space.engine.policy_changed()
        await space.sync(anna)
        assert names(anna) == {"N"}

    run(test, None)
