"""Devices of a space with identities that call each other, without a relay: both prove their keys, offline."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest

from crdt_sync import Address, Replica, bundled_schema
from crdt_sync.errors import EditForbidden, IdentityRefused, RemoteError, Unauthorized
from crdt_sync.identity import rotation
from crdt_sync.identity.keys import KeyPair
from crdt_sync.identity.policy_text import PolicyText
from crdt_sync.identity.revocations import Revocations, Revoked
from crdt_sync.identity.space_keys import SpaceKeys
from crdt_sync.identity.statement import Body, Statement
from crdt_sync.identity.tokens import claims_for, issue
from crdt_sync.membership.contact import ContactFile
from crdt_sync.membership.facts import Facts
from crdt_sync.membership.member import Membership
from crdt_sync.records import parse_schema
from crdt_sync.runtime import certificate, sync_once
from crdt_sync.runtime.client import conversed
from crdt_sync.runtime.conversation import Conversation
from crdt_sync.runtime.listening import listening

SPACE = bytes(range(16))
SPACE_KEY, NEXT_KEY, FOREIGN_KEY = (KeyPair(bytes([number]) * 32) for number in range(1, 4))
NOW = 1_790_000_000_000_000
DAY_US = 24 * 3600 * 1_000_000
POLICY = "[role.sales]\n[user.anna]\nrole = 'sales'\n[user.ben]\nrole = 'sales'\n"
BEGUN = rotation.begun(SPACE, SPACE_KEY, NOW)


def said(body: Body, version: int = 1, pair: KeyPair = SPACE_KEY) -> bytes:
    return Statement(SPACE, version, NOW, body).signed_by(pair)


def member(
    seed: int, user: str, statements: Sequence[bytes] = (BEGUN,), *, by: KeyPair = SPACE_KEY, space: bytes = SPACE
) -> Membership:
    """A device that joined, without a relay."""
    pair = KeyPair(bytes([seed]) * 32)
    token = issue(claims_for(space, user, pair.public, bytes(16), NOW), by)
    facts = Facts(space, by.public.raw, "ws://127.0.0.1:1", token=token, statements=tuple(statements))
    return Membership(facts, pair, lambda _: None)


def device(path: Path, membership: Membership | None, name: str = "") -> Replica:
    replica = Replica.create(path, name or path.name, [bundled_schema("customers")], share=False)
    replica.join_as(membership)
    if membership is not None:
        membership.now = lambda: NOW
    return replica


@asynccontextmanager
async def two(tmp_path: Path, anna: Membership | None, ben: Membership | None, token: str = "", tls: bool = True):
    """Anna's device listens, and Ben's is there; the address of Anna's."""
    async with AsyncExitStack() as opened:
        listener = opened.enter_context(device(tmp_path / "anna", anna))
        caller = opened.enter_context(device(tmp_path / "ben", ben))
        own = certificate.own(tmp_path / "anna") if tls else None
        listens = await opened.enter_async_context(listening(listener, "127.0.0.1", 0, token, own))
        yield listener, caller, Address(listens.url, token, direct=True)


def reason(tmp_path: Path, anna: Membership | None, ben: Membership | None, token: str = "") -> str:
    """Why Ben's device does not sync with Anna's; empty where it does."""

    async def story() -> str:
        async with two(tmp_path, anna, ben, token) as (listener, caller, address):
            with suppress(EditForbidden), caller.edit("customers") as customer:  # where it knows that its user is out
                customer["name"] = "Müller GmbH"
            try:
                await sync_once(caller, address)
            except IdentityRefused as error:
                if listener.store.count() or not error.hint:
                    raise AssertionError("something was stored, or there is no next step") from error
                return error.reason
            assert [view["name"] for view in listener.list()] == ["Müller GmbH"]
            return ""

    return asyncio.run(story())


@pytest.mark.parametrize("tls", [True, False])
def test_two_devices_of_a_space_sync_by_their_keys_alone(tmp_path, tls) -> None:
    async def story() -> None:
        async with two(tmp_path, member(11, "anna"), member(12, "ben"), tls=tls) as (listener, caller, address):
            with caller.edit("customers") as customer:
                customer["name"] = "Müller GmbH"
            await sync_once(caller, address)
            assert [view["name"] for view in listener.list()] == ["Müller GmbH"]

    asyncio.run(story())


def test_a_device_of_another_space_gets_nothing(tmp_path) -> None:
    other = rotation.begun(bytes(16), FOREIGN_KEY, NOW)
    foreign = member(12, "ben", [other], by=FOREIGN_KEY, space=bytes(16))
    assert reason(tmp_path, member(11, "anna"), foreign) == "token_foreign_space"


def test_a_token_that_somebody_else_signed_opens_nothing(tmp_path) -> None:
    pretended = member(12, "ben", [])
    pretended.facts = member(12, "ben", [], by=FOREIGN_KEY).facts
    assert reason(tmp_path, member(11, "anna"), pretended) == "token_unknown_key"


def test_a_stolen_token_opens_nothing_without_its_key(tmp_path) -> None:
    thief = member(13, "ben")
    thief.facts = member(12, "ben").facts
    assert reason(tmp_path, member(11, "anna"), thief) == "proof_invalid"


@pytest.mark.parametrize("expired", ["listener", "caller"])
def test_a_token_that_is_over_opens_nothing(tmp_path, expired) -> None:
    anna, ben = member(11, "anna"), member(12, "ben")

    async def story() -> str:
        async with two(tmp_path, anna, ben) as (_, caller, address):
            (anna if expired == "caller" else ben).now = lambda: NOW + 15 * DAY_US
            with pytest.raises(IdentityRefused) as error:
                await sync_once(caller, address)
            return error.value.reason

    assert asyncio.run(story()) == "token_expired"


@pytest.mark.parametrize("knows", ["listener", "caller"])
@pytest.mark.parametrize("whom", ["device", "user", "policy"])
def test_what_either_knows_of_who_is_out_counts(tmp_path, knows, whom) -> None:
    words: dict[str, Body] = {
        "device": Revocations({member(12, "ben").device: Revoked(1, wipe=False)}),
        "user": Revocations({}, {"ben": 1}),
        "policy": PolicyText("[role.sales]\n[user.anna]\nrole = 'sales'\n"),
    }
    statements = [BEGUN, said(words[whom])]
    anna = member(11, "anna", statements if knows == "listener" else [BEGUN])
    ben = member(12, "ben", statements if knows == "caller" else [BEGUN])
    assert reason(tmp_path, anna, ben) == ("device_revoked" if whom == "device" else "user_disabled")


def test_a_device_passes_on_what_its_space_said(tmp_path) -> None:
    carl = Revocations({}, {"carl": 1})

    async def story() -> None:
        anna, ben = member(11, "anna", [BEGUN, said(carl)]), member(12, "ben", [BEGUN, said(PolicyText(POLICY))])
        async with two(tmp_path, anna, ben) as (_, caller, address):
            await sync_once(caller, address)
            await asyncio.sleep(0)
            assert anna.statements.versions == ben.statements.versions == (1, 1, 1, 0)
            assert ben.statements.revocations == carl

    asyncio.run(story())


def test_a_device_that_was_away_while_the_key_changed_is_led_on_by_the_other(tmp_path) -> None:
    before = Statement(SPACE, 1, NOW, SpaceKeys((SPACE_KEY.public,)))
    introduced = rotation.introduced(before, SPACE_KEY, NEXT_KEY, NOW)
    for listens in (True, False):
        new = member(11, "anna", [BEGUN, *introduced])
        new.take_token(issue(claims_for(SPACE, "anna", new.pair.public, bytes(16), NOW), NEXT_KEY))
        old = member(12, "ben")
        pair = (new, old) if listens else (old, new)
        if listens:
            assert reason(tmp_path / "a", *pair) == ""
            assert old.statements.keys.newest == NEXT_KEY.public
        else:
            assert reason(tmp_path / "b", *pair) == "token_unknown_key"


def test_an_open_session_ends_when_its_device_is_heard_to_be_out(tmp_path) -> None:
    async def story() -> None:
        anna, ben = member(11, "anna"), member(12, "ben")
        async with two(tmp_path, anna, ben) as (_, caller, address):

            async def hear(talking: Conversation) -> None:
                await talking.settled()
                anna.hear([said(Revocations({ben.device: Revoked(1, wipe=False)}))])
                await asyncio.Event().wait()

            with pytest.raises(IdentityRefused) as error:
                await asyncio.wait_for(Conversation(caller, address).run(hear), 5)
            assert error.value.reason == "device_revoked"
            assert ben.device in ben.statements.revocations.devices

    asyncio.run(story())


@pytest.mark.parametrize("who", ["listener", "caller"])
def test_a_member_and_a_device_with_a_shared_token_do_not_meet(tmp_path, who) -> None:
    secret = "a-shared-token-of-old"
    anna, ben = (member(11, "anna"), None) if who == "listener" else (None, member(12, "ben"))

    async def story() -> None:
        async with two(tmp_path, anna, ben, secret) as (listener, caller, address):
            with caller.edit("customers") as customer:
                customer["name"] = "Müller GmbH"
            with pytest.raises(RemoteError) as error:
                await sync_once(caller, address)
            assert isinstance(error.value, Unauthorized)
            assert listener.store.count() == 0

    asyncio.run(story())


def test_a_device_that_heard_that_it_is_out_itself_lets_nobody_in(tmp_path) -> None:
    anna = member(11, "anna", [BEGUN, said(Revocations({member(11, "anna").device: Revoked(1, wipe=False)}))])

    async def story() -> None:
        async with two(tmp_path, anna, member(12, "ben")) as (_, caller, address):
            with pytest.raises(RemoteError) as error:
                await sync_once(caller, address)
            assert "is out itself" in error.value.message

    asyncio.run(story())


def test_a_device_that_is_locked_gives_nothing_to_another(tmp_path) -> None:
    async def story() -> None:
        async with two(tmp_path, member(11, "anna"), member(12, "ben")) as (listener, caller, address):
            contact = ContactFile(tmp_path / "anna")
            contact.allow(14, 60)
            contact.made(listener.wall_clock() - 15 * DAY_US)
            listener.membership._contact = contact
            with pytest.raises(RemoteError, match="is locked"):
                await sync_once(caller, address)

    asyncio.run(story())


REGIONS = """
[[role.sales.grant]]
collection = "shops"
where = "region in user.regions"
read = ["*"]
write = ["*"]
operations = ["create", "edit"]
[[role.lead.grant]]
collection = "shops"
read = ["*"]
write = ["*"]
operations = ["create", "edit"]
[user.anna]
role = "sales"
attributes = { regions = ["North", "Both"] }
[user.ben]
role = "sales"
attributes = { regions = ["South", "Both"] }
[user.chen]
role = "lead"
"""
SHOPS = parse_schema('collection = "shops"\nversion = 1\n[fields.name]\n[fields.region]\nfilter = true\n', "a test")
KNOWING = [BEGUN, said(PolicyText(REGIONS))]


def of_shops(path: Path, membership: Membership) -> Replica:
    replica = Replica.create(path, path.name, [], share=False)
    replica.add_schema(SHOPS)
    replica.join_as(membership)
    membership.now = lambda: NOW
    return replica


def shop(replica: Replica, name: str, region: str) -> str:
    with replica.edit("shops") as made:
        made["name"], made["region"] = name, region
    return str(made.record)


def shops(replica: Replica) -> list[str]:
    return sorted(str(view["name"]) for view in replica.list("shops"))


@asynccontextmanager
async def calling(listener: Replica):
    async with listening(listener, "127.0.0.1", 0, "", None) as listens:
        yield Address(listens.url, direct=True)


def test_devices_of_different_grants_give_each_other_what_both_may_hold(tmp_path) -> None:
    async def story() -> None:
        users = {"anna": 11, "ben": 12, "chen": 13}
        with ExitStack() as opened:
            anna, ben, chen = (
                opened.enter_context(of_shops(tmp_path / user, member(seed, user, KNOWING)))
                for user, seed in users.items()
            )
            for region in ("North", "South", "Both"):
                shop(chen, f"chen's in {region}", region)
            shop(anna, "anna's", "North")
            shop(ben, "ben's", "Both")
            async with calling(chen) as address:
                await sync_once(anna, address)
            assert shops(anna) == ["anna's", "chen's in Both", "chen's in North"]
            async with calling(anna) as address:
                await sync_once(ben, address)
                await sync_once(chen, address)
            assert shops(ben) == ["ben's", "chen's in Both"]
            assert shops(anna) == ["anna's", "ben's", "chen's in Both", "chen's in North"]
            assert shops(chen) == ["anna's", "ben's", "chen's in Both", "chen's in North", "chen's in South"]

    asyncio.run(story())


def test_a_session_with_a_device_ends_when_that_one_is_heard_to_be_out(tmp_path) -> None:
    async def story() -> None:
        with of_shops(tmp_path / "anna", member(11, "anna", KNOWING)) as anna:
            caller = member(12, "ben", KNOWING)
            with of_shops(tmp_path / "ben", caller) as ben:
                async with calling(anna) as address:

                    async def heard(conversation: Conversation) -> None:
                        await conversation.settled()
                        caller.hear([said(Revocations({member(11, "anna").device: Revoked(1, wipe=False)}))])
                        await asyncio.Event().wait()

                    with pytest.raises(IdentityRefused) as refused:
                        await conversed(lambda: Conversation(ben, address), heard)
                    assert refused.value.reason == "device_revoked"

    asyncio.run(story())
