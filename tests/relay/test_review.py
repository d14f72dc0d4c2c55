"""What a device that is shut out had not sent: handed in to its relay, looked at by an operator, applied or dropped."""

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pycrdt
import pytest

from crdt_relay import device_guest
from crdt_relay import reviewing as reviewing_module
from crdt_relay.review import HandedIn
from crdt_relay.reviewing import Reviewing
from crdt_relay.server import Relay
from crdt_sync import Address, Replica
from crdt_sync.errors import IdentityRefused, Rejected, StoreClosed, StoreFull, Unreachable, UsageError
from crdt_sync.protocol.entries import PushEntry
from crdt_sync.replica import handed_in
from crdt_sync.runtime import handing_in
from crdt_sync.runtime.outside import OUTSIDE
from crdt_sync.runtime.transports.channel import Opened
from crdt_sync.storage.values import Batch
from tests.relay.people import POLICY, device, invited, join, names, sync, with_people


def now() -> int:
    return time.time_ns() // 1000


async def revoked_with(replica: Replica, relay: Relay, **orders: Any) -> str:
    """What a device is told at its next contact after it was revoked."""
    relay.people.revoke(replica.name, **{"wipe": False, **orders})
    with pytest.raises(IdentityRefused) as error:
        await sync(replica, relay.url)
    assert error.value.reason == "device_revoked"
    return error.value.message


def created(replica: Replica, **values: str) -> str:
    with replica.edit("customers") as customer:
        for field, value in values.items():
            customer[field] = value
    return customer.record


def reviewing(relay: Relay) -> Reviewing:
    return Reviewing(relay.store, relay.people, now, relay.engine)


async def do(relay: Relay, act: str, **arguments: Any) -> dict[str, Any]:
    return await reviewing(relay).do({"act": act, **arguments})


def test_what_a_revoked_device_had_not_sent_is_handed_in_and_applied(tmp_path: Path) -> None:
    async def story() -> None:
        async with with_people(tmp_path / "relay") as relay:
            with device(tmp_path / "anna", "anna-phone") as anna, device(tmp_path / "ben", "ben-phone") as ben:
                await join(anna, invited(relay))
                await join(ben, invited(relay, "ben"))
                old = created(anna, name="Müller GmbH", phone="1")
                await sync(anna, relay.url)
                with anna.edit(old) as customer:
                    customer["phone"] = "2"
                created(anna, name="Chen")
                told = await revoked_with(anna, relay, unsent="review")
                assert "edits of 2 records, was handed in for review" in told
                assert handed_in.noted(anna.store).records == 2
                await sync(ben, relay.url)
                assert names(ben) == ["Müller GmbH"]  # it waits, and is in no log
                (waiting,) = (await do(relay, "list"))["handed_in"]
                assert (waiting["name"], waiting["user"], waiting["records"]) == ("anna-phone", "anna", 2)
                assert {tuple(each["fields"]) for each in waiting["updates"]} == {("phone",), ("name",)}
                assert {each["verdict"] for each in waiting["updates"]} == {"accepted"}
                assert "GmbH" not in str(waiting)
                done = await do(relay, "apply", device="anna-phone", records=[old])
                assert (done["applied"], done["left"]) == (1, 0)
                done = await do(relay, "apply", device="anna-phone")
                assert (done["applied"], done["left"]) == (1, 0)
                await sync(ben, relay.url)
                assert names(ben) == ["Chen", "Müller GmbH"]
                assert ben.get(old)["phone"] == "2"
                assert (await do(relay, "list"))["handed_in"] == []
                with pytest.raises(IdentityRefused, match="was handed in for review"):
                    await sync(anna, relay.url)

    asyncio.run(story())


def test_nothing_is_handed_in_where_nobody_asks_for_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with with_people(tmp_path / "relay") as relay:
            with device(tmp_path / "anna", "anna-phone") as anna:
                await join(anna, invited(relay))
                created(anna, name="Chen")
                told = await revoked_with(anna, relay)
                assert "review" not in told
                assert (await do(relay, "list"))["handed_in"] == []
                relay.people.take_unsent("anna-phone")  # the operator thinks again
                with pytest.raises(IdentityRefused, match="edits of 1 record, was handed in"):
                    await sync(anna, relay.url)

    asyncio.run(story())


def test_a_device_that_is_to_be_wiped_hands_in_before_where_that_is_asked_for(tmp_path: Path) -> None:
    async def story() -> None:
        async with with_people(tmp_path / "relay") as relay:
            with device(tmp_path / "anna", "anna-phone") as anna, device(tmp_path / "ben", "ben-phone") as ben:
                await join(anna, invited(relay))
                await join(ben, invited(relay, "ben"))
                for each in (anna, ben):
                    created(each, name=each.name)
                told = await revoked_with(anna, relay, wipe=True, unsent="review")
                assert "was wiped" in told
                assert "was handed in for review" in told
                with pytest.raises(StoreClosed):
                    anna.count()
                assert "handed in" not in await revoked_with(ben, relay, wipe=True)
                (waiting,) = (await do(relay, "list"))["handed_in"]
                assert waiting["name"] == "anna-phone"
                found = relay.people.device("anna-phone")
                assert found["wiped"] is not None
                assert found["handed_in"] is not None

    asyncio.run(story())


def test_what_the_policy_does_not_allow_by_then_is_told_and_stays(tmp_path: Path) -> None:
    async def story() -> None:
        async with with_people(tmp_path / "relay") as relay:
            with device(tmp_path / "anna", "anna-phone") as anna:
                await join(anna, invited(relay))
                old = created(anna, name="Müller GmbH", phone="1")
                await sync(anna, relay.url)
                with anna.edit(old) as customer:
                    customer["phone"] = "2"
                new = created(anna, name="Chen")
                await revoked_with(anna, relay, unsent="review")
                relay.people.apply(POLICY.replace('write = ["*"]', 'write = ["name"]'), "policy.toml")
                done = await do(relay, "apply", device="anna-phone")
                assert (done["applied"], done["left"]) == (1, 1)
                (left,) = [each for each in done["updates"] if each["verdict"] == "forbidden"]
                assert left["record"] == old
                assert left["reason"] == "phone: 'anna' may not write this field"
                assert relay.store.record_head(new) is not None
                dropped = await do(relay, "drop", device="anna-phone", records=[old])
                assert dropped["dropped"] == 1
                with pytest.raises(UsageError, match="nothing of anna-phone waits"):
                    await do(relay, "apply", device="anna-phone")

    asyncio.run(story())


def written_by(actor: str) -> bytes:
    document: pycrdt.Doc[Any] = pycrdt.Doc(client_id=77)
    document.get("c.name", type=pycrdt.Array).append(["Chen", 1_700_000_000_000_000, actor])
    return document.get_update()


def test_what_a_thief_hands_in_is_not_trusted(tmp_path: Path) -> None:
    """He has the device and its key, and so may hand in whatever bytes he likes, once."""

    async def story() -> None:
        async with with_people(tmp_path / "relay") as relay:
            with device(tmp_path / "anna", "anna-phone") as anna:
                await join(anna, invited(relay))
                relay.people.revoke("anna-phone", wipe=False, unsent="review")
                own, bens = "customers/" + "a" * 26, "customers/" + "b" * 26
                entries = [
                    PushEntry(own, written_by("anna")),
                    PushEntry(bens, written_by("ben")),
                    PushEntry(bens, b"\x01\x02\x03 no update at all"),
                    PushEntry(own, bytes(5000)),
                ]
                handed = HandedIn(anna.membership.device, "anna", now(), len(entries), 5000)
                await relay.people.review.keep(handed, entries)
                shown = await do(relay, "show", device="anna-phone")
                told = [(each["after"] is not None, each["if_all"] is not None) for each in shown["shown"]]
                assert told == [(True, True), (False, True)]
                done = await do(relay, "apply", device="anna-phone")
                found = sorted((each["record"], each["number"], each["verdict"]) for each in done["updates"])
                assert found == [
                    (own, 1, "accepted"),
                    (own, 4, "malformed"),
                    (bens, 2, "forbidden"),
                    (bens, 3, "malformed"),
                ]
                (forged,) = [each for each in done["updates"] if each["number"] == 2]
                assert "'ben'" in forged["reason"]
                assert relay.store.records("", 10, "customers/") == [own]
                assert done["left"] == 3

    asyncio.run(story())


def test_a_device_hands_in_once_one_after_the_other_and_only_if_it_is_out(tmp_path: Path) -> None:
    async def story() -> None:
        async with with_people(tmp_path / "relay") as relay:
            with device(tmp_path / "anna", "anna-phone") as anna:
                await join(anna, invited(relay))
                created(anna, name="Chen")
                told = await hands_in(anna, relay)
                assert "this device is not shut out" in told
                relay.people.revoke("anna-phone", wipe=False)
                assert "was revoked" in await hands_in(anna, relay)  # nobody asked
                other = relay.people.review.begin(bytes(16))
                assert "another device hands in now" in await revoked_with(anna, relay, unsent="review")
                relay.people.review.end(other)
                commit = relay.people.review.commit

                async def full(batch: object) -> None:
                    raise StoreFull("no room", "")

                relay.people.review.commit = full
                assert "cannot be stored now" in await revoked_with(anna, relay)
                assert handed_in.noted(anna.store) is None
                relay.people.review.commit = commit
                assert not relay.people.review.taking
                assert "was handed in for review" in await revoked_with(anna, relay)
                anna.store.commit([Batch(meta={"handed_in": None})])  # as if the answer had been lost
                created(anna, name="a second time")
                assert "handed in for review before" in await revoked_with(anna, relay)
                assert len(relay.people.review.waiting(anna.membership.device)) == 1

    asyncio.run(story())


async def hands_in(replica: Replica, relay: Relay) -> str:
    """What a device is told that hands in though nobody asked."""
    member = replica.membership
    member.handing_in = True
    try:
        with pytest.raises((Rejected, IdentityRefused)) as error:
            await sync(replica, relay.url)
        return error.value.message
    finally:
        member.handing_in = False


def test_a_lost_network_does_not_put_off_a_wipe(tmp_path: Path) -> None:
    async def story() -> None:
        async with with_people(tmp_path / "relay") as relay:
            with device(tmp_path / "anna", "anna-phone") as anna:
                await join(anna, invited(relay))
                created(anna, name="Chen")
                calls = 0

                async def open_channel(address: Address) -> Opened:
                    nonlocal calls
                    calls += 1
                    if calls > 1:
                        raise Unreachable("the network is gone", "")
                    return await OUTSIDE.open_channel(address)

                relay.people.revoke("anna-phone", wipe=True, unsent="review")
                with pytest.raises(IdentityRefused) as error:
                    await sync(anna, relay.url, outside=replace(OUTSIDE, open_channel=open_channel))
                assert "was wiped" in error.value.message
                assert "could not be handed in for review: the network is gone" in error.value.message
                assert not (tmp_path / "anna" / "data.mdb").exists()

    asyncio.run(story())


@pytest.mark.parametrize("in_time", [True, False])
def test_a_device_that_is_to_be_wiped_comes_again_while_there_is_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_time: bool
) -> None:
    monkeypatch.setattr(device_guest, "_RETRY_US", 1000 if in_time else 31_000_000)
    monkeypatch.setattr(handing_in, "_PAUSE_S_MIN", 0.0)

    async def story() -> None:
        async with with_people(tmp_path / "relay") as relay:
            with device(tmp_path / "anna", "anna-phone") as anna:
                await join(anna, invited(relay))
                created(anna, name="Chen")
                other = relay.people.review.begin(bytes(16))
                calls = 0

                async def open_channel(address: Address) -> Opened:
                    nonlocal calls
                    calls += 1
                    if calls == 4:
                        relay.people.review.end(other)
                    return await OUTSIDE.open_channel(address)

                relay.people.revoke("anna-phone", wipe=True, unsent="review")
                with pytest.raises(IdentityRefused) as error:
                    await sync(anna, relay.url, outside=replace(OUTSIDE, open_channel=open_channel))
                assert "was wiped" in error.value.message
                assert ("was handed in for review" in error.value.message) is in_time
                assert ("another device hands in now" in error.value.message) is not in_time
                assert len((await do(relay, "list"))["handed_in"]) == in_time

    asyncio.run(story())


def test_a_device_that_lost_its_connection_hands_in_anew(tmp_path: Path) -> None:
    async def story() -> None:
        async with with_people(tmp_path / "relay") as relay:
            with device(tmp_path / "anna", "anna-phone") as anna:
                await join(anna, invited(relay))
                created(anna, name="Chen")
                given_up: list[bool] = []
                desk = relay.people.review
                lost = desk.begin(anna.membership.device)
                lost.give_up = lambda: given_up.append(True)
                assert "was handed in for review" in await revoked_with(anna, relay, unsent="review")
                assert given_up == [True]
                assert not desk.settle(lost)  # nothing that came of it is kept
                stored = desk.begin(anna.membership.device)
                assert not desk.may_begin(anna.membership.device)  # it is being stored, or is about to begin
                desk.end(lost)
                assert desk.taking
                desk.end(stored)
                assert not desk.taking

    asyncio.run(story())


def test_a_record_is_shown_once_however_many_edits_and_by_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reviewing_module, "_PAGE_BYTES", 6_000)
    loads = 0

    async def story() -> None:
        nonlocal loads
        async with with_people(tmp_path / "relay") as relay:
            with device(tmp_path / "anna", "anna-phone") as anna:
                await join(anna, invited(relay))
                records = sorted(created(anna, name="N" * 5_000) for _ in range(3))
                await sync(anna, relay.url)
                entries = []
                for record in records:
                    for number in range(8):
                        before = anna.store.record_head(record).state_vector
                        with anna.edit(record) as customer:
                            customer["phone"] = str(number)
                        entries.append(PushEntry(record, anna.context.diff(record, before).update))
                handed = HandedIn(anna.membership.device, "anna", now(), len(entries), 5000)
                await relay.people.review.keep(handed, entries)
                load = relay.store.load

                def counted(record: str) -> Any:
                    nonlocal loads
                    loads += 1
                    return load(record)

                monkeypatch.setattr(relay.store, "load", counted)
                pages, after = [], ""
                while not pages or after:
                    pages.append(await do(relay, "show", device="anna-phone", after=after))
                    after = pages[-1]["next"]
                assert [[each["record"] for each in page["shown"]] for page in pages] == [[each] for each in records]
                assert all(len(page["updates"]) == 8 and page["records"] == 3 for page in pages)
                assert all(len(json.dumps(page)) < 30_000 for page in pages)  # 10,000 characters each, before and after
                assert loads <= 4 * 3 + 3  # of each, and of the next one to see whether that fits

    asyncio.run(story())
