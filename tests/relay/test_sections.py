"""A relay on a disk, and a device without a section: nothing of it is in any file of that, whatever way it came."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from crdt_sync import Address, Replica, apply_bundle, create_bundle
from crdt_sync.audit_log.entry import Act
from crdt_sync.ids import in_section
from crdt_sync.records import parse_schema
from crdt_sync.runtime.client import conversed
from crdt_sync.runtime.conversation import Conversation
from tests.policies import keeps_schemas
from tests.relay.people import invited, join, patience, with_people
from tests.relay.test_audit import told

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

[user.anna]
role = "sales"

[user.dora]
role = "lead"

[user.chen]
role = "lead"
""" + keeps_schemas("lead")


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


@pytest.mark.parametrize("watched", [True, False])
def test_who_is_given_a_section_is_told_in_the_audit_log_where_the_policy_asks_that(
    tmp_path: Path, watched: bool
) -> None:
    """Dora is given it when she comes, and when it is changed while she follows; once in a session."""
    asked = '[audit]\nreads = ["clients.finance"]\n' if watched else ""

    def write(chen: Replica, record: str | None, iban: str) -> str:
        with chen.edit(record or "clients") as client:
            client.update({"name": "Bo", "region": "North", "iban": iban})
        return client.record

    async def scenario() -> Sequence[str]:
        async with with_people(tmp_path / "relay", POLICY + asked, audit=True) as relay:
            anna, chen, dora = devices = [Replica.create(tmp_path / user, user) for user in ("anna", "chen", "dora")]
            for replica in devices:
                await join(replica, invited(relay, replica.name))
            chen.add_schema(SCHEMA)
            first = write(chen, None, "DE1")
            await sync(chen, relay.url)
            await sync(anna, relay.url)

            async def follow(talk: Conversation) -> None:
                await talk.settled()
                for number in range(2):
                    write(chen, first, f"DE{number + 2}")
                    others.append(write(chen, None, f"GB{number}"))
                    expected = {f"DE{number + 2}", *(f"GB{each}" for each in range(number + 1))}
                    await sync(chen, relay.url)
                    async with asyncio.timeout(patience.seconds):
                        while {each.get("iban") for each in dora.list("clients")} != expected:
                            await asyncio.sleep(0.02)

            others: list[str] = []
            await conversed(lambda: Conversation(dora, Address(relay.url)), follow)
            for replica in devices:
                replica.close()
            return [first, *others]

    records = asyncio.run(scenario())
    read = told(tmp_path / "relay", act=Act.READ)
    assert "anna" not in {each["user"] for each in read}
    given = [each["record"] for each in read if each["user"] == "dora"]
    assert sorted(given) == sorted(in_section(each, "finance") for each in records) * watched
