"""Devices of a space that call each other, and what one may bring of others where a policy is in force."""

import asyncio
from contextlib import ExitStack
from pathlib import Path

import pytest

from crdt_sync import Replica
from crdt_sync.cli import missing as told
from crdt_sync.identity.policy_text import PolicyText
from crdt_sync.membership.member import Membership
from crdt_sync.records import parse_schema
from crdt_sync.replica import unread
from crdt_sync.runtime import sync_once
from tests.policies import keeps_schemas
from tests.runtime.test_members import BEGUN, NOW, calling, member, said

pytestmark = pytest.mark.usefixtures("local_workers")

SCHEMA = """
collection = "people"
version = 1

[fields.name]

[fields.region]
filter = true

[fields.phone]

[fields.iban]
section = "bank"
"""
POLICY = """
[[role.lead.grant]]
collection = "people"
read = ["*", "bank"]
write = ["*", "bank"]
operations = ["create", "edit"]
[[role.sales.grant]]
collection = "people"
where = "region in user.regions"
read = ["*"]
write = ["phone", "region"]
operations = ["edit"]
[user.chen]
role = "lead"
[user.lena]
role = "lead"
[user.anna]
role = "sales"
attributes = { regions = "North" }
[user.ben]
role = "sales"
attributes = { regions = ["North", "South"] }
""" + keeps_schemas("lead")
KNOWING = [BEGUN, said(PolicyText(POLICY))]
SEEDS = {"chen": 11, "lena": 12, "anna": 13, "ben": 14}


def device(opened: ExitStack, path: Path, user: str, schema: str = SCHEMA, *, seed: int = 0) -> Replica:
    """A device of a user; without a schema it has nothing yet."""
    membership: Membership = member(seed or SEEDS[user], user, KNOWING)
    replica = opened.enter_context(Replica.create(path / f"{user}{seed or ''}", user, [], share=False))
    if schema:
        replica.add_schema(parse_schema(schema, "a test"))
    replica.join_as(membership)
    membership.now = lambda: NOW
    return replica


def person(replica: Replica, **values: str) -> str:
    with replica.edit("people") as made:
        for field, value in values.items():
            made[field] = value
    return str(made.record)


def shown(replica: Replica) -> list[dict[str, object]]:
    names = ("name", "region", "phone", "iban")
    return [{name: view[name] for name in names if view.get(name) is not None} for view in replica.list("people")]


async def sync(caller: Replica, listener: Replica) -> None:
    async with calling(listener) as address:
        await sync_once(caller, address)


def missing(replica: Replica) -> dict[str, str]:
    return unread.reasons(replica.store)


@pytest.mark.parametrize("calls", ["who has nothing", "who has all"])
def test_a_device_that_has_nothing_yet_takes_schemas_records_and_sections_in_one_sync(tmp_path, calls) -> None:
    async def story() -> None:
        with ExitStack() as opened:
            chen, lena = device(opened, tmp_path, "chen"), device(opened, tmp_path, "lena", schema="")
            for number in range(3):
                person(chen, name=f"Amsel {number}", region="North", iban=f"DE{number}")
            await (sync(lena, chen) if calls == "who has nothing" else sync(chen, lena))
            assert shown(lena) == shown(chen)
            assert len(shown(lena)) == 3
            assert not missing(lena)

    asyncio.run(story())


def test_what_a_condition_chooses_comes_with_the_schema_that_it_is_about(tmp_path) -> None:
    async def story() -> None:
        with ExitStack() as opened:
            chen, anna = device(opened, tmp_path, "chen"), device(opened, tmp_path, "anna", schema="")
            for region in ("North", "South"):
                person(chen, name="Amsel", region=region, iban="DE1")
            await sync(anna, chen)
            assert shown(anna) == [{"name": "Amsel", "region": "North"}]
            assert not missing(anna)

    asyncio.run(story())


def test_what_a_carrier_may_not_write_stays_out_and_what_helps_is_said_once(tmp_path) -> None:
    async def story() -> None:
        with ExitStack() as opened:
            chen = device(opened, tmp_path, "chen")
            anna, ben = device(opened, tmp_path, "anna", ""), device(opened, tmp_path, "ben", "")
            await sync(ben, chen)  # who may write no schema brings none
            for number in range(2):
                person(chen, name=f"Amsel {number}", region="North")
            await sync(anna, chen)
            await sync(ben, anna)
            assert shown(ben) == []
            assert set(missing(ben).values()) == {"forbidden: name: 'anna' may not write this field"}
            (partner,) = [each for each in ben.status().partners if each.missing]
            error = told.error_of(ben, partner)
            assert error is not None
            assert error.hint.count(told.BRING) == 1

    asyncio.run(story())


def test_what_is_signed_is_brought_by_who_may_not_write_it(tmp_path) -> None:
    signed = SCHEMA.replace("version = 1", "version = 1\nsigned = true")

    async def story() -> None:
        with ExitStack() as opened:
            chen, anna = device(opened, tmp_path, "chen", signed), device(opened, tmp_path, "anna", "")
            ben = device(opened, tmp_path, "ben", "")
            other = device(opened, tmp_path, "anna", "", seed=23)
            await sync(ben, chen)
            await sync(other, chen)
            record = person(chen, name="Amsel", region="North")
            for caller, listener in ((anna, chen), (ben, anna), (other, anna)):
                await sync(caller, listener)
            with chen.edit(record) as edited:
                edited["name"] = "Amsel GmbH"
            for caller, listener in ((anna, chen), (ben, anna), (other, anna)):
                await sync(caller, listener)
            for replica in (ben, other):
                assert shown(replica) == [{"name": "Amsel GmbH", "region": "North"}]
                assert not missing(replica)

    asyncio.run(story())
