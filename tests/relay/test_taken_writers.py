"""A member who writes under a colleague's writer id, on a running relay: nothing of the colleague's is lost."""

import asyncio
from pathlib import Path

import pytest

from crdt_relay.server import Relay
from crdt_sync import Replica
from crdt_sync.audit_log.chain import body_of
from crdt_sync.audit_log.entry import Act, administered, decode
from crdt_sync.records import Editor, bundled_schema
from crdt_sync.replica.loading import stored_document
from crdt_sync.storage.values import Batch, Change
from tests.relay.people import device, invited, join, sync, with_people

POLICY = """
[[role.sales.grant]]
collection = "customers"
read = ["*"]
write = ["*"]
operations = ["create", "edit", "delete", "restore", "resolve"]

[[role.phone.grant]]
collection = "customers"
read = ["*"]
write = ["phone"]
operations = ["edit"]

[user.anna]
role = "sales"

[user.mallory]
role = "phone"
"""


def write(replica: Replica, record: str, **values: str) -> None:
    with replica.edit(record) as customer:
        customer.update(values)


def use_up(mallory: Replica, anna: Replica, record: str, *phones: str, actor: str) -> None:
    """Mallory writes under the id that Anna goes on under, with a program of his own: no rule of his device counts."""
    context = mallory.context
    document = stored_document(context.store, record, anna.context.writers.first())
    for phone in phones:
        Editor(document, bundled_schema("customers"), context.clock, actor, "customers")["phone"] = phone
    write(mallory, record, phone="-")  # so that the record is pushed
    whole, vector = document.diff(), document.state_vector()
    change = Change(record, (whole,), context.id, "", context.wall_clock(), vector, whole, renewed=True)
    with context.lock:
        context.store.commit([Batch(changes=(change,))])
        for peer in context.store.peers():
            context.recent.forget(peer.replica, record)


async def told(relay: Relay) -> list[tuple[str, str | None, str]]:
    """Who was refused or let in by the audit log: user, verdict, record."""
    assert relay.engine.recorder is not None
    await relay.engine.recorder.noted(administered(1, "a test", "read"))
    entries = [decode(body_of(value)) for _, value in relay.store.audit_after(0, 1000)]
    return [(entry.user, entry.verdict, entry.record) for entry in entries if entry.act is Act.CHANGE]


@pytest.mark.parametrize("actor", ["mallory", "anna"])
def test_an_edit_that_somebody_used_up_beforehand_is_stored_all_the_same(tmp_path: Path, actor: str) -> None:
    async def story() -> None:
        async with with_people(tmp_path / "relay", POLICY, audit=True) as relay:
            with device(tmp_path / "anna", "anna-phone") as anna, device(tmp_path / "mallory", "mallory") as mallory:
                await join(anna, invited(relay))
                await join(mallory, invited(relay, "mallory"))
                with anna.edit("customers") as customer:
                    customer.update({"name": "A", "phone": "1"})
                record = customer.record
                await sync(anna, relay.url)
                await sync(mallory, relay.url)
                use_up(mallory, anna, record, "x", "y", "z", actor=actor)
                await sync(mallory, relay.url)
                write(anna, record, phone="2")
                write(anna, record, name="Anna")
                for replica in (anna, mallory, anna, mallory):
                    await sync(replica, relay.url)
                for replica in (anna, mallory):
                    assert replica.get(record)["name"] == "Anna"
                    assert replica.get(record)["phone"] == "2"
                assert anna.record_status(record).state == "stored"
                assert anna.receipt().root == mallory.receipt().root
                if actor == "mallory":
                    assert ("mallory", "forbidden", record) in await told(relay)

    asyncio.run(story())
