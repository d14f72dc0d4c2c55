"""Records that were renewed, and partners that know no lineages: these keep what they have, and lose nothing."""

import asyncio

import pycrdt
from websockets.asyncio.client import connect

from crdt_sync import Address, Replica, bundled_schema, sync_once
from tests.old_partners.version_1 import (
    ACK,
    HELLO,
    NOW,
    PING,
    PUSH,
    SUBPROTOCOL,
    WELCOME,
    OldDevice,
    OldRelay,
    frame,
    read,
)
from tests.relay.devices import running

RECORD = "customers/a"


async def _push(url: str, update_since) -> list:
    """What a device of version 1 gets for an update that it makes against a state vector, pushed until it is stored."""
    async with connect(url, subprotocols=[SUBPROTOCOL], compression=None, proxy=None) as link:
        await link.send(frame(HELLO, [1], b"late".ljust(16, b"-"), "", NOW, None, False, 1, "old"))
        assert read(await link.recv())[0] == WELCOME
        verdicts = []
        vector = update_since[1]
        for number in (1, 2):
            await link.send(frame(PUSH, number, [[RECORD, update_since[0].get_update(vector)]]))
            while (message := read(await link.recv()))[0] == PING:
                pass
            assert message[0] == ACK
            verdicts.append(message[4][0])
            if verdicts[-1][0] != 1:
                break
            vector = verdicts[-1][1]
        return verdicts


def test_a_device_of_version_1_goes_on_with_the_old_record_and_its_edits_are_carried_over(tmp_path):
    old = OldDevice("old")

    async def scenario() -> None:
        async with running(tmp_path / "relay") as relay:
            old.write(RECORD, "name", "Müller")
            await old.sync(relay.url)
            with (
                Replica.create(tmp_path / "ann", "ann", [bundled_schema("customers")]) as ann,
                Replica.create(tmp_path / "bob", "bob", [bundled_schema("customers")]) as bob,
            ):
                for replica in (ann, bob):
                    await sync_once(replica, Address(relay.url))
                assert ann.renew(RECORD)
                with ann.edit(RECORD) as customer:
                    customer["city"] = "Bonn"
                with bob.edit(RECORD) as customer:  # in the lineage before
                    customer["visits"] += 2
                for replica in (ann, bob, ann):
                    await sync_once(replica, Address(relay.url))
                await old.sync(relay.url)
                assert old.documents[RECORD].get("c.city", type=pycrdt.Array).to_py() == []
                document = old.documents[RECORD]
                before = document.get_state()
                document.get("c.email", type=pycrdt.Array).append(["a@example.com", NOW, "old"])
                gap, accepted = await _push(relay.url, (document, before))
                assert (gap[0], accepted[0]) == (1, 0)
                for replica in (ann, bob):
                    await sync_once(replica, Address(relay.url))
                    shown = dict(replica.get(RECORD))
                    assert (shown["name"], shown["city"], shown["visits"]) == ("Müller", "Bonn", 2)
                    assert shown["email"] == "a@example.com"
                    assert replica.store.record_head(RECORD).lineage
                assert ann.receipt().root == bob.receipt().root

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_a_renewed_record_is_not_pushed_to_a_relay_of_version_1(tmp_path):
    relay = OldRelay()

    async def scenario() -> None:
        async with relay.serving() as url:
            with Replica.create(tmp_path / "ann", "ann", [bundled_schema("customers")]) as ann:
                await sync_once(ann, Address(url))
                with ann.edit("customers") as customer:
                    customer["name"] = "Müller"
                await sync_once(ann, Address(url))
                (record,) = [view.record for view in ann.list("customers")]
                held = relay.of(record)
                assert ann.renew(record)
                with ann.edit("customers") as customer:
                    customer["name"] = "Schmidt"
                await sync_once(ann, Address(url))
                assert relay.of(record) == held
                assert len(relay.feed(0)) == 2
                assert ann.partners()[0].pending == 1
                assert ann.get(record)["name"] == "Müller"

    asyncio.run(asyncio.wait_for(scenario(), 60))
    assert relay.broken == []
