"""A relay whose space has identities, and devices that join it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from crdt_relay.server import Relay
from crdt_sync import Address, Replica, bundled_schema
from crdt_sync.identity.invites import read_link
from crdt_sync.membership import folder
from crdt_sync.runtime.client import conversed
from crdt_sync.runtime.conversation import Conversation, Until
from crdt_sync.runtime.outside import OUTSIDE, Outside
from tests.relay.devices import running

POLICY = """
[[role.sales.grant]]
collection = "customers"
read = ["*"]
write = ["*"]
operations = ["create", "edit", "delete", "restore", "resolve"]

[user.anna]
role = "sales"

[user.ben]
role = "sales"
"""


class Patience:
    """How long nothing takes when all is well, on a busy machine."""

    seconds = 60.0


patience = Patience()


@asynccontextmanager
async def with_people(data: Path, policy: str = POLICY, **settings: Any) -> AsyncIterator[Relay]:
    """A running relay with a policy in force."""
    async with running(data, **settings) as relay:
        assert relay.people is not None
        relay.people.apply(policy, "policy.toml")
        yield relay


def invited(relay: Relay, user: str = "anna", certificate: bytes = b"") -> str:
    """The link of a new invite."""
    assert relay.people is not None
    return str(relay.people.invite(user, relay.url, certificate)["link"])


def device(path: Path, name: str) -> Replica:
    """A new device, in no space."""
    return Replica.create(path, name, [bundled_schema("customers")], share=False)


async def join(replica: Replica, link: str, outside: Outside = OUTSIDE, transport: str = "auto") -> Conversation:
    """Open an invite with a device."""
    read = read_link(link)
    assert replica.folder is not None
    replica.join_as(folder.joining(replica.folder, read))
    address = Address(read.address, transport=transport)
    async with asyncio.timeout(patience.seconds):
        return await conversed(lambda: Conversation(replica, address, outside=outside), Conversation.let_in)


async def sync(replica: Replica, url: str, outside: Outside = OUTSIDE, transport: str = "auto") -> Conversation:
    """Exchange everything once."""
    return await talk(replica, url, Conversation.settled, outside, transport)


async def talk(
    replica: Replica, url: str, until: Until, outside: Outside = OUTSIDE, transport: str = "auto"
) -> Conversation:
    """Hold a session, which ends in time or fails the test."""
    talking = Conversation(replica, Address(url, transport=transport), outside=outside)
    async with asyncio.timeout(patience.seconds):
        await talking.run(until)
    return talking


def names(replica: Replica) -> Sequence[str]:
    """The customers of a device."""
    return sorted(str(view["name"]) for view in replica.list())
