"""Entries that devices sign, from one device by way of the relay and of bundles to others."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from crdt_sync import Replica, apply_bundle, create_bundle
from crdt_sync.errors import EditForbidden, Rejected
from crdt_sync.records import parse_schema
from tests.policies import keeps_schemas
from tests.relay.people import invited, join, patience, sync, with_people

pytestmark = pytest.mark.usefixtures("local_workers")

SCHEMA = parse_schema(
    """
collection = "people"
version = 1
signed = true

[fields.name]

[fields.phone]
kind = "review"

[fields.calls]
kind = "log"
""",
    "a test",
)

POLICY = """
[[role.sales.grant]]
collection = "people"
read = ["*"]
write = ["*"]
operations = ["create", "edit", "delete", "restore", "resolve", "bundle"]

[user.anna]
role = "sales"

[user.ben]
role = "sales"
""" + keeps_schemas("sales")


def known(replica: Replica, record: str) -> dict[tuple[str, str], set[str]]:
    """What is known of who wrote what, by field and author."""
    found: dict[tuple[str, str], set[str]] = {}
    for each in replica.authors(record):
        found.setdefault((each.field, each.actor), set()).add(each.standing.value)
    return found


async def again(replica: Replica, url: str) -> None:
    """Sync, again while what records show is read anew for a schema that came."""
    async with asyncio.timeout(patience.seconds):
        while True:
            with suppress(Rejected):
                await sync(replica, url)
                return
            await asyncio.sleep(0.02)


def test_what_a_device_signed_is_verified_on_others_whichever_way_it_came(tmp_path: Path) -> None:
    async def story() -> None:
        async with with_people(tmp_path / "relay", POLICY) as relay:
            with (
                Replica.create(tmp_path / "anna", "anna-phone", [SCHEMA]) as anna,
                Replica.create(tmp_path / "ben", "ben-phone", [], share=False) as ben,
                Replica.create(tmp_path / "till", "till", [], share=False) as till,
            ):
                for replica, user in ((anna, "anna"), (ben, "ben"), (till, "ben")):
                    await join(replica, invited(relay, user))
                with anna.edit("people") as person:
                    person.update({"name": "Ann", "phone": "1"})
                    person.append("calls", "rang")
                record = person.record
                await again(anna, relay.url)
                await again(ben, relay.url)
                assert known(ben, record) == {(f, "anna"): {"verified"} for f in ("name", "phone", "calls")}
                with ben.edit(record) as person:
                    person["phone"] = "2"
                with anna.edit(record) as person:
                    person["phone"] = "3"
                create_bundle(ben, tmp_path / "b.bundle", to="user:anna")
                apply_bundle(anna, tmp_path / "b.bundle")
                (conflict,) = anna.conflicts_of(record)
                assert [(each.actor, each.standing) for each in conflict.entries] == [
                    ("anna", "verified"), ("ben", "verified"),
                ]  # fmt: skip
                anna.renew(record)
                await again(anna, relay.url)
                await again(till, relay.url)
                assert known(till, record)[("phone", "ben")] == {"verified"}
                assert {each for found in known(till, record).values() for each in found} == {"verified"}
                held = anna.context.in_force()
                anna.context.go_by(lambda: held, lambda: "anna")  # a program that does not sign
                with pytest.raises(EditForbidden, match="not signed"), anna.edit(record) as person:
                    person["name"] = "Eve"

    asyncio.run(story())
