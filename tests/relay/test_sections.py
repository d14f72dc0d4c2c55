"""A relay on a disk, and a device without a section: nothing of it is in any file of that, whatever way it came."""

import asyncio
from pathlib import Path

import pytest

from crdt_sync import Address, Replica, apply_bundle, create_bundle
from crdt_sync.records import parse_schema
from crdt_sync.runtime.client import conversed
from crdt_sync.runtime.conversation import Conversation
from tests.relay.people import invited, join, patience, with_people

pytestmark = pytest.mark.usefixtures("local_workers")

MARKER, TYPED_LATER = "DE02120300000000202051", "GB33BUKB20201555555555"
SCHEMA = parse_schema(
    """
collection = "clients"
version = 1
[fields.name]
[fields.region]
filter = true
[fields.iban]
section = "finance"
""",
    "a test",
)
POLICY = """
[[role.sales.grant]]
collection = "clients"
where = "region == 'North'"
read = ["*"]
write = ["*"]
operations = ["create", "edit"]

[[role.lead.grant]]
collection = "clients"
read = ["*", "finance"]
write = ["*", "finance"]
operations = ["create", "edit", "bundle"]

[[role.lead.grant]]
collection = "crdt-sync-schemas"
read = ["*"]
write = ["*"]
operations = ["create", "edit"]

[user.anna]
role = "sales"

[user.chen]
role = "lead"
"""


async def sync(replica: Replica, url: str) -> None:
    """Exchange everything, again and again while the relay reads what records show."""
    async with asyncio.timeout(patience.seconds):
        await conversed(lambda: Conversation(replica, Address(url)), Conversation.settled)


def contents(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_nothing_of_a_section_is_left_where_it_may_not_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with with_people(tmp_path / "relay", POLICY) as relay:
            anna, chen = (Replica.create(tmp_path / user, user) for user in ("anna", "chen"))
            for user, replica in (("anna", anna), ("chen", chen)):
                await join(replica, invited(relay, user))
            chen.add_schema(SCHEMA)
            await sync(chen, relay.url)
            with chen.edit("clients") as client:
                client.update({"name": "Bo", "region": "North", "iban": MARKER})
            await sync(chen, relay.url)
            await sync(anna, relay.url)
            with chen.edit(client.record) as edited:
                edited.update({"region": "South", "iban": TYPED_LATER})
            await sync(chen, relay.url)
            await sync(anna, relay.url)
            assert list(anna.list("clients")) == []
            with chen.edit(client.record) as edited:
                edited["region"] = "North"
            await sync(chen, relay.url)
            await sync(anna, relay.url)
            assert dict(anna.get(client.record)) == {"name": "Bo", "region": "North"}
            assert chen.get(client.record)["iban"] == TYPED_LATER
            bundle = tmp_path / "chen.bundle"
            await asyncio.to_thread(create_bundle, chen, bundle, to="user:anna")
            await asyncio.to_thread(apply_bundle, anna, bundle)
            assert dict(anna.get(client.record)) == {"name": "Bo", "region": "North"}
            anna.close()
            chen.close()

    asyncio.run(scenario())
    told = "".join(capsys.readouterr()) + caplog.text
    for marker in (MARKER, TYPED_LATER):
        assert marker.encode() in contents(tmp_path / "chen")
        assert marker.encode() not in contents(tmp_path / "anna")
        assert marker not in told
    assert b"clients__finance/" not in contents(tmp_path / "anna")
