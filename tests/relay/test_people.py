"""Devices that join a space at a running relay, prove themselves, and are shut out."""

import asyncio
import time
from pathlib import Path

import pytest

from crdt_sync import Address, Replica
from crdt_sync.errors import CrdtSyncError, IdentityRefused, InvalidPolicy, StoreClosed
from crdt_sync.identity.statements import Versions
from crdt_sync.membership import folder
from crdt_sync.runtime import sync_once
from crdt_sync.runtime.conversation import Conversation
from crdt_sync.runtime.outside import OUTSIDE
from crdt_sync.runtime.wiping import wiped
from tests.relay.devices import eventually, running
from tests.relay.people import POLICY, device, invited, join, names, sync, talk, with_people

pytestmark = pytest.mark.usefixtures("local_workers")

DAY_US = 24 * 3600 * 1_000_000
ENDS_S = 1.0  # within which an open session of a revoked device is over


def refused(error: pytest.ExceptionInfo[IdentityRefused]) -> str:
    assert error.value.hint
    return str(error.value.reason)


@pytest.mark.parametrize("transport", ["websocket", "http"])
def test_a_device_joins_and_syncs_without_a_token(tmp_path, transport) -> None:
    async def story() -> None:
        async with with_people(tmp_path / "relay") as relay:
            with device(tmp_path / "anna", "anna-phone") as anna, device(tmp_path / "ben", "ben-phone") as ben:
                await join(anna, invited(relay), transport=transport)
                await join(ben, invited(relay, "ben"), transport=transport)
                with anna.edit("customers") as customer:
                    customer["name"] = "Müller GmbH"
                await sync(anna, relay.url, transport=transport)
                await sync(ben, relay.url, transport=transport)
                assert names(ben) == ["Müller GmbH"]
                assert ben.membership.claims().user == "ben"
                assert ben.membership.in_force().version == 1
            known = relay.people.devices()["devices"]
            assert [(each["user"], each["name"]) for each in known] == [("anna", "anna-phone"), ("ben", "ben-phone")]

    asyncio.run(story())


def test_a_session_belongs_to_the_user_and_the_device_that_were_proved(tmp_path) -> None:
    async def story() -> None:
        async with with_people(tmp_path / "relay") as relay:
            with device(tmp_path / "anna", "anna-phone") as anna:
                await join(anna, invited(relay))
                seen = []

                async def look(talking: Conversation) -> None:
                    await talking.settled()
                    seen.extend(acceptor.principal for acceptor in relay.engine.hub._sessions.values())

                await talk(anna, relay.url, look)
                (principal,) = seen
                assert (principal.user, principal.device) == ("anna", anna.membership.device)
                assert principal.space == anna.membership.space == relay.store.space.id

    asyncio.run(story())


@pytest.mark.parametrize("token", ["", "a-shared-token-of-old"])
def test_a_shared_token_opens_nothing_where_there_are_identities(tmp_path, token) -> None:
    async def story() -> None:
        async with with_people(tmp_path / "relay", token="a-shared-token-of-old") as relay:
            with device(tmp_path / "old", "old") as old:
                with pytest.raises(IdentityRefused) as error:
                    await sync_once(old, Address(relay.url, token))
                assert refused(error) == "identity_needed"
                assert "crdt-sync join" in error.value.message

    asyncio.run(story())


def test_a_relay_without_identities_stays_as_it_is_and_gets_them_at_run_time(tmp_path) -> None:
    async def story() -> None:
        async with with_people(tmp_path / "other"):
            pass
        async with running(tmp_path / "relay") as relay:
            with device(tmp_path / "old", "old") as old:
                await sync_once(old, Address(relay.url))

                async def until_identities(talking: Conversation) -> None:
                    await talking.settled()
                    relay.people.apply(POLICY, "policy.toml")
                    await asyncio.Event().wait()

                with pytest.raises(IdentityRefused) as error:
                    await talk(old, relay.url, until_identities)
                assert refused(error) == "identity_needed"
                await join(old, invited(relay))
                await sync(old, relay.url)

    asyncio.run(story())


def test_a_member_says_nothing_to_a_relay_that_does_not_prove_the_space(tmp_path) -> None:
    async def story() -> None:
        async with with_people(tmp_path / "relay") as relay:
            anna = device(tmp_path / "anna", "anna-phone")
            await join(anna, invited(relay))
        with anna:
            async with running(tmp_path / "pretender") as pretender:
                with pytest.raises(IdentityRefused) as error:
                    await sync_once(anna, Address(pretender.url, "a-shared-token-of-old"))
                assert refused(error) == "proof_malformed"
            async with with_people(tmp_path / "another") as another:
                with pytest.raises(IdentityRefused) as error:
                    await sync_once(anna, Address(another.url))
                assert refused(error) == "proof_invalid"

    asyncio.run(story())


def test_an_invite_opens_once_and_for_the_same_device_again(tmp_path) -> None:
    async def story() -> None:
        async with with_people(tmp_path / "relay") as relay:
            link = invited(relay)
            with device(tmp_path / "a", "a") as first, device(tmp_path / "b", "b") as second:
                await join(first, link)
                await join(first, link)
                with pytest.raises(IdentityRefused) as error:
                    await join(second, link)
                assert refused(error) == "invite_used"
                assert "stranger" in error.value.hint
                gone = relay.people.invite("ben", relay.url, b"")
                relay.people.withdraw(gone["invite"])
                with pytest.raises(IdentityRefused) as error:
                    await join(second, gone["link"])
                assert refused(error) == "invite_unknown"

    asyncio.run(story())


def test_an_invite_expires(tmp_path) -> None:
    async def story() -> None:
        async with with_people(tmp_path / "relay") as relay:
            link = str(relay.people.invite("anna", relay.url, b"", 0)["link"])
            with device(tmp_path / "a", "a") as late:
                with pytest.raises(IdentityRefused) as error:
                    await join(late, link)
                assert refused(error) == "invite_expired"

    asyncio.run(story())


def test_a_token_is_renewed_within_a_session_and_after_its_end(tmp_path) -> None:
    async def story() -> None:
        async with with_people(tmp_path / "relay") as relay:
            with device(tmp_path / "anna", "anna-phone") as anna:
                await join(anna, invited(relay))
                authority, member = relay.people.authority, anna.membership
                first = member.facts.token
                await sync(anna, relay.url)
                assert member.facts.token == first
                real = authority.wall_clock
                authority.wall_clock = lambda: real() + 8 * DAY_US
                await sync(anna, relay.url)
                second = member.claims()
                assert second.issued > anna.wall_clock() + 7 * DAY_US
                authority.wall_clock = lambda: real() + 60 * DAY_US  # it was away for long, and its clock is wrong
                await sync_once(anna, Address(relay.url))
                assert member.claims().issued > second.expires

    asyncio.run(story())


@pytest.mark.parametrize("how", ["device", "user", "policy", "disabled"])
def test_who_is_shut_out_is_out_within_a_second_and_stays_out(tmp_path, how) -> None:
    def shut_out(people) -> None:
        match how:
            case "device":
                people.revoke("anna-phone", wipe=False)
            case "user":
                people.switch_user("anna", disabled=True)
            case "policy":
                people.apply(POLICY.replace("[user.anna]", "[user.carl]"), "policy.toml")
            case _:
                people.apply(POLICY.replace("[user.anna]", "[user.anna]\ndisabled = true"), "policy.toml")

    async def story() -> None:
        async with with_people(tmp_path / "relay") as relay:
            with device(tmp_path / "anna", "anna-phone") as anna, device(tmp_path / "ben", "ben-phone") as ben:
                await join(anna, invited(relay))
                await join(ben, invited(relay, "ben"))
                begun = 0.0

                async def shut(talking: Conversation) -> None:
                    nonlocal begun
                    await talking.settled()
                    begun = time.monotonic()
                    shut_out(relay.people)
                    await asyncio.Event().wait()

                with pytest.raises(IdentityRefused) as error:
                    await talk(anna, relay.url, shut)
                assert time.monotonic() - begun < ENDS_S
                expected = "device_revoked" if how == "device" else "user_disabled"
                assert refused(error) == expected
                with pytest.raises(IdentityRefused) as error:
                    await sync(anna, relay.url)
                assert refused(error) == expected
                await sync(ben, relay.url)
                if how == "user":
                    relay.people.switch_user("anna", disabled=False)
                    await sync(anna, relay.url)

    asyncio.run(story())


def test_a_device_that_was_away_hears_as_its_space_said_it_why_it_is_out_and_nothing_of_the_policy(tmp_path) -> None:
    async def story() -> None:
        async with with_people(tmp_path / "relay") as relay:
            with device(tmp_path / "anna", "anna-phone") as anna:
                await join(anna, invited(relay))
                await sync(anna, relay.url)
                relay.people.apply(POLICY + "# more\n", "policy.toml")
                relay.people.revoke("anna-phone", wipe=False)
                with pytest.raises(IdentityRefused):
                    await sync(anna, relay.url)
                assert anna.membership.device in anna.membership.statements.revocations.devices
                assert anna.membership.statements.versions == Versions(1, 1, 1, 1)

    asyncio.run(story())


@pytest.mark.parametrize("connected", [True, False])
def test_a_device_destroys_what_it_holds_and_the_relay_notes_that(tmp_path, connected) -> None:
    async def story() -> None:
        async with with_people(tmp_path / "relay") as relay:
            anna = device(tmp_path / "anna", "anna-phone")
            await join(anna, invited(relay))
            with anna.edit("customers") as customer:
                customer["name"] = "Müller GmbH"
            await sync(anna, relay.url)

            async def wipe(talking: Conversation) -> None:
                await talking.settled()
                if connected:
                    relay.people.revoke("anna-phone", wipe=True)
                    await asyncio.Event().wait()

            if not connected:
                relay.people.revoke("anna-phone", wipe=True)
            with pytest.raises(IdentityRefused, match="wiped") as error:
                await talk(anna, relay.url, wipe)
            assert refused(error) == "device_revoked"
            assert sorted(path.name for path in (tmp_path / "anna").iterdir()) in ([], ["lock"])
            with pytest.raises(StoreClosed):
                list(anna.list())
            (known,) = relay.people.devices()["devices"]
            assert known["wiped"] is not None

    asyncio.run(story())


def test_a_wipe_that_was_not_confirmed_is_confirmed_later(tmp_path) -> None:
    async def story() -> None:
        async with with_people(tmp_path / "relay", port=0) as relay:
            anna = device(tmp_path / "anna", "anna-phone")
            await join(anna, invited(relay))
            await sync(anna, relay.url)
            member = anna.membership
            relay.people.revoke("anna-phone", wipe=True)
            member.hear(relay.people.authority.statements.kept())  # from another device, say
            with pytest.raises(IdentityRefused, match="to be told that yet"):
                await sync(anna, "ws://127.0.0.1:1")
            assert (tmp_path / "anna" / folder.KEY_FILE).exists()
            assert not (tmp_path / "anna" / "data.mdb").exists()
            kept = folder.load(tmp_path / "anna")
            told = await wiped(tmp_path / "anna", Address(relay.url, member=kept), OUTSIDE.open_channel)
            assert "noted" in told.message
            assert not (tmp_path / "anna" / folder.KEY_FILE).exists()
            assert relay.people.device("anna-phone")["wiped"] is not None

    asyncio.run(story())


def test_a_bad_policy_leaves_the_old_one_in_force(tmp_path) -> None:
    async def story() -> None:
        async with with_people(tmp_path / "relay") as relay:
            with pytest.raises(InvalidPolicy, match=r"policy.toml.*2"):
                relay.people.apply("[user.anna]\nrole = 'nobody'\n", "policy.toml")
            assert relay.people.authority.statements.policy == POLICY
            assert relay.people.apply(POLICY, "policy.toml")["applied"] is False

    asyncio.run(story())


def test_a_key_is_rotated_while_devices_are_away_and_retired(tmp_path) -> None:
    async def story() -> None:
        async with with_people(tmp_path / "relay") as relay:
            with device(tmp_path / "anna", "anna-phone") as anna, device(tmp_path / "ben", "ben-phone") as ben:
                await join(anna, invited(relay))
                for _ in range(8):  # more than are told at once
                    relay.people.rotate()
                    relay.people.retire("")
                await sync_once(anna, Address(relay.url))  # with a token by a key that holds no more
                await join(ben, invited(relay, "ben"))
                assert anna.membership.statements.keys == ben.membership.statements.keys
                await sync(ben, relay.url)
        async with with_people(tmp_path / "relay") as relay:  # with the key that took the place of the first
            assert len(relay.people.keys()["keys"]) == 1

    asyncio.run(story())


def test_a_policy_that_a_device_brings_changes_what_others_hold_at_once(tmp_path) -> None:
    """A backup was put back, and the policy in it is not the last one."""
    nobody = POLICY.replace('collection = "customers"', 'collection = "orders"')

    async def story() -> None:
        async with with_people(tmp_path / "relay") as relay:
            with device(tmp_path / "anna", "anna-phone") as anna, device(tmp_path / "ben", "ben-phone") as ben:
                await join(anna, invited(relay))
                await join(ben, invited(relay, "ben"))
                with anna.edit("customers") as customer:
                    customer["name"] = "Müller GmbH"
                await sync(anna, relay.url)
                await sync(ben, relay.url)
                relay.store.copy(tmp_path / "backup")
                relay.people.apply(nobody, "policy.toml")
                await sync(anna, relay.url)
                assert (names(anna), names(ben)) == ([], ["Müller GmbH"])
        (tmp_path / "backup" / "space.key").write_bytes((tmp_path / "relay" / "space.key").read_bytes())
        async with running(tmp_path / "backup") as restored:
            with device_again(tmp_path / "anna") as anna, device_again(tmp_path / "ben") as ben:

                async def until_dropped(talking: Conversation) -> None:
                    await talking.settled()
                    await sync(anna, restored.url)
                    await eventually("what Ben may hold no more is gone", lambda: names(ben) == [])

                await talk(ben, restored.url, until_dropped)

    asyncio.run(story())


def test_what_devices_know_comes_back_to_a_relay_whose_backup_was_put_back(tmp_path) -> None:
    async def story() -> None:
        async with with_people(tmp_path / "relay") as relay:
            with device(tmp_path / "anna", "anna-phone") as anna, device(tmp_path / "ben", "ben-phone") as ben:
                await join(anna, invited(relay))
                await join(ben, invited(relay, "ben"))
                relay.store.copy(tmp_path / "backup")
                relay.people.revoke("ben-phone", wipe=False)
                await sync(anna, relay.url)
        (tmp_path / "backup" / "space.key").write_bytes((tmp_path / "relay" / "space.key").read_bytes())
        async with with_people(tmp_path / "backup") as restored:
            assert restored.people.device("ben-phone")["revoked"] is None
            with device_again(tmp_path / "anna") as anna:
                await sync(anna, restored.url)
            assert restored.people.device("ben-phone")["revoked"] is not None

    asyncio.run(story())


def device_again(path: Path):
    return Replica.open(path, share=False)


@pytest.mark.parametrize("lost", ["key", "store"])
def test_nobody_is_let_in_where_the_key_or_what_was_said_is_lost(tmp_path, lost) -> None:
    async def story() -> None:
        async with with_people(tmp_path / "relay"):
            pass
        if lost == "key":
            (tmp_path / "relay" / "space.key").unlink()
        else:
            (tmp_path / "relay" / "data.mdb").unlink()
        with pytest.raises(CrdtSyncError, match="key") as error:
            async with with_people(tmp_path / "relay"):
                raise AssertionError("it serves")
        assert error.value.hint

    asyncio.run(story())
