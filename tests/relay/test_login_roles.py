"""What the policy gives to who logs in and is not named: by groups of the id token, said by the space."""

import asyncio
import time

import pytest

from crdt_relay.admitting import admit
from crdt_relay.authority import Authority
from crdt_relay.server import Relay
from crdt_sync.audit_log.entry import Act
from crdt_sync.errors import IdentityRefused
from crdt_sync.identity.id_tokens import Vouched
from tests.relay.people import POLICY, names, sync, with_people
from tests.relay.test_audit import told
from tests.relay.test_login import join, keys, oidc, token

__all__ = ["keys"]
LOGIN = """
[[role.reader.grant]]
collection = "customers"
read = ["*"]

[login]
claim = "groups"
days = 5

[login.map.sellers]
role = "sales"

[login.map.readers]
role = "reader"
"""
MAPPED = POLICY + LOGIN
DAY = 24 * 3600 * 1_000_000


def eva(*groups: str) -> str:
    return token(email="eva@example.org", groups=list(groups))


def authority_of(relay: Relay) -> Authority:
    assert relay.people is not None
    assert relay.people.authority is not None
    return relay.people.authority


def vouched(at: int, *groups: str, user: str = "eva@example.org") -> Vouched:
    return Vouched(user, at, at + 600_000_000, {"groups": list(groups)})


def test_who_logs_in_has_the_role_of_a_group_and_every_device_hears_so(tmp_path, keys):
    async def story() -> None:
        async with with_people(tmp_path / "relay", MAPPED, audit=True, **oidc(keys)) as relay:
            anna = await join(relay, tmp_path / "anna", token())
            version = anna.membership.statements.versions.policy
            seller = await join(relay, tmp_path / "eva", eva("staff", "sellers"))
            assert seller.membership.user == "eva@example.org"
            with seller.edit("customers") as customer:
                customer["name"] = "Müller GmbH"
            await sync(seller, relay.url)
            await sync(anna, relay.url)
            assert names(anna) == ["Müller GmbH"]
            heard = anna.membership
            assert heard.statements.versions.policy == version + 1
            assert heard.in_force().policy.users["eva@example.org"].role == "sales"
            anna.membership.check_user("eva@example.org")
            lines = [each["about"] for each in told(relay.store, act=Act.ADMINISTRATION)]
            assert "login of 'eva@example.org': 1 of the values that the policy maps" in lines

    asyncio.run(story())


def test_who_has_no_group_that_is_mapped_is_refused_and_nothing_is_said(tmp_path, keys):
    async def story() -> None:
        async with with_people(tmp_path / "relay", MAPPED, **oidc(keys)) as relay:
            said = authority_of(relay).statements.versions.policy
            for number, text in enumerate((eva("staff"), eva(), token(email="eva@example.org"))):
                with pytest.raises(IdentityRefused) as error:
                    await join(relay, tmp_path / str(number), text)
                assert error.value.reason == "login_refused"
                assert "gives nothing for what the claim 'groups'" in error.value.message
                assert "staff" not in error.value.message
            assert authority_of(relay).statements.versions.policy == said
            assert relay.people.devices()["devices"] == []

    asyncio.run(story())


def test_the_next_login_gives_what_the_login_system_says_then(tmp_path):
    async def story() -> None:
        async with with_people(tmp_path / "relay", MAPPED) as relay:
            authority = authority_of(relay)
            at = authority.wall_clock() // 1_000_000 * 1_000_000

            def role() -> str:
                known = authority.in_force().policy.users.get("eva@example.org")
                return known.role if known is not None else "out"

            admit(authority, vouched(at, "sellers", "readers"))
            assert role() == "sales"
            admit(authority, vouched(at + 1_000_000, "readers"))
            assert role() == "reader"
            admit(authority, vouched(at, "sellers"))  # an older token, shown once more
            assert role() == "reader"
            said = authority.statements.versions.policy
            admit(authority, vouched(at + 2_000_000, "readers"))
            assert authority.statements.versions.policy == said  # nothing new
            with pytest.raises(IdentityRefused, match="gives nothing"):
                admit(authority, vouched(at + 3_000_000, "staff"))
            assert role() == "out"
            with pytest.raises(IdentityRefused, match="names no user"):
                authority.check_user("eva@example.org")
            said = authority.statements.versions.policy
            for issued, group in ((at + 2_000_000, "readers"), (at + 3_000_000, "staff")) * 3:
                with pytest.raises(IdentityRefused):  # what came before brings nothing back, and says nothing anew
                    admit(authority, vouched(issued, group))
            assert (role(), authority.statements.versions.policy) == ("out", said)
            admit(authority, vouched(at + 4_000_000, "readers"))
            assert role() == "reader"

    asyncio.run(story())


def test_a_newer_policy_holds_for_who_has_logged_in_before(tmp_path):
    async def story() -> None:
        async with with_people(tmp_path / "relay", MAPPED) as relay:
            people, authority = relay.people, authority_of(relay)
            at = authority.wall_clock()
            admit(authority, vouched(at, "sellers", "readers"))
            done = people.apply(MAPPED, "policy.toml")
            assert not done["applied"]
            done = people.apply(
                POLICY + LOGIN.replace('sellers]\nrole = "sales"', 'sellers]\nrole = "reader"'), "p.toml"
            )
            assert "eva@example.org: role sales becomes reader" in done["told"]
            people.apply(POLICY + LOGIN.replace('[login.map.sellers]\nrole = "sales"\n', ""), "p.toml")
            assert authority.in_force().policy.users["eva@example.org"].role == "reader"
            people.apply(MAPPED + '[user."eva@example.org"]\nrole = "sales"\n', "p.toml")
            assert "eva@example.org" not in authority.in_force().policy.logins.users  # named now
            with pytest.raises(IdentityRefused, match="gives nothing"):
                admit(authority, vouched(at + 1, user="ida"))
            admit(authority, vouched(at + 1))  # named, whatever groups there are
            people.apply(POLICY, "p.toml")
            with pytest.raises(IdentityRefused, match="names no user"):
                authority.check_user("eva@example.org")

    asyncio.run(story())


def test_who_has_not_logged_in_for_too_long_is_out_until_the_next_login(tmp_path, keys):
    async def story() -> None:
        async with with_people(tmp_path / "relay", MAPPED, **oidc(keys)) as relay:
            seller = await join(relay, tmp_path / "eva", eva("sellers"))
            anna = await join(relay, tmp_path / "anna", token())
            ahead = 6 * DAY
            authority, clock = authority_of(relay), authority_of(relay).wall_clock
            authority.wall_clock = lambda: clock() + ahead
            with pytest.raises(IdentityRefused) as error:
                await sync(seller, relay.url)
            assert error.value.reason == "login_needed"
            assert "6 days ago, and 5 are allowed" in error.value.message
            assert "crdt-sync join" in error.value.hint
            anna.membership.now = lambda: time.time_ns() // 1000 + ahead
            with pytest.raises(IdentityRefused, match="6 days ago"):  # devices decide alike, without the relay
                anna.membership.check_user("eva@example.org")
            authority.wall_clock = clock
            now = int(time.time())
            admit(authority, vouched((now + 2 * 86_400) * 1_000_000, "sellers"))
            authority.wall_clock = lambda: clock() + ahead
            authority.check_user("eva@example.org")

    asyncio.run(story())


def test_who_is_disabled_stays_out_whatever_a_login_says(tmp_path):
    async def story() -> None:
        async with with_people(tmp_path / "relay", MAPPED + '[user.ida]\nrole = "sales"\ndisabled = true\n') as relay:
            authority = authority_of(relay)
            at = authority.wall_clock()
            with pytest.raises(IdentityRefused, match="disables"):
                admit(authority, vouched(at, "sellers", user="ida"))
            admit(authority, vouched(at, "sellers"))
            relay.people.switch_user("eva@example.org", disabled=True)
            with pytest.raises(IdentityRefused, match="was disabled"):
                admit(authority, vouched(at + 1, "sellers"))
            for name in ("Ｅｖａ", " eva", ""):  # no names of users
                with pytest.raises(IdentityRefused, match="written otherwise"):
                    admit(authority, vouched(at, "sellers", user=name))

    asyncio.run(story())


def test_where_there_is_no_room_for_one_more_user_the_policy_stays_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr("crdt_relay.admitting.POLICY_USERS_MAX", 3)

    async def story() -> None:
        async with with_people(tmp_path / "relay", MAPPED) as relay:
            authority = authority_of(relay)
            at = authority.wall_clock()
            admit(authority, vouched(at, "sellers"))  # beside anna and ben
            said = authority.statements.versions.policy
            with pytest.raises(IdentityRefused, match="room for no more"):
                admit(authority, vouched(at, "sellers", user="ida"))
            assert authority.statements.versions.policy == said
            admit(authority, vouched(at + 1, "readers"))  # who is there may change

    asyncio.run(story())


def test_whoever_logs_in_again_before_the_days_are_over_stays_in(tmp_path):
    async def story() -> None:
        async with with_people(tmp_path / "relay", MAPPED.replace("days = 5", "days = 1")) as relay:
            authority = authority_of(relay)
            start = authority.wall_clock() // 1_000_000 * 1_000_000
            admit(authority, vouched(start, "sellers"))
            said = authority.statements.versions.policy
            admit(authority, vouched(start + DAY // 4 - 1_000_000, "sellers"))
            assert authority.statements.versions.policy == said, "not each time"
            admit(authority, vouched(start + DAY - 60_000_000, "sellers"))
            authority.wall_clock = lambda: start + DAY + 1
            authority.check_user("eva@example.org")

    asyncio.run(story())


def test_whose_login_is_over_makes_room_for_others(tmp_path, monkeypatch):
    monkeypatch.setattr("crdt_relay.admitting.POLICY_USERS_MAX", 3)
    monkeypatch.setattr("crdt_relay.administration.POLICY_USERS_MAX", 3)

    async def story() -> None:
        async with with_people(tmp_path / "relay", MAPPED) as relay:
            authority, people = authority_of(relay), relay.people
            start = authority.wall_clock()
            admit(authority, vouched(start, "sellers"))  # beside anna and ben
            authority.wall_clock = people._wall_clock = lambda: start + 6 * DAY
            with pytest.raises(IdentityRefused, match="6 days ago"):
                authority.check_user("eva@example.org")
            admit(authority, vouched(start + 6 * DAY, "sellers", user="ida"))
            assert authority.in_force().policy.logins.users.keys() == {"ida"}
            authority.wall_clock = people._wall_clock = lambda: start + 12 * DAY
            people.apply(MAPPED + '[user.eva]\nrole = "sales"\n', "policy.toml")
            assert authority.in_force().policy.logins.users == {}
            assert authority.in_force().policy.users.keys() == {"anna", "ben", "eva"}

    asyncio.run(story())
