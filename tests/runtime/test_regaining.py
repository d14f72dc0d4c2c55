"""A program that stays in sync, and cannot reach its relay for longer than the space allows."""

import asyncio

import pytest

from crdt_sync import Address
from crdt_sync.errors import DeviceLocked, DeviceWiped, StoreClosed
from crdt_sync.membership.contact import DAY_US, ContactFile
from crdt_sync.runtime import keep_syncing_forever
from tests.relay.people import device
from tests.runtime.test_members import member

NOBODY = Address("ws://127.0.0.1:1")


@pytest.mark.parametrize(("days", "error"), [(14, DeviceLocked), (60, DeviceWiped)])
def test_it_ends_locked_or_destroys_the_store(tmp_path, monkeypatch, days, error):
    monkeypatch.setattr("crdt_sync.membership.contact.SURE_US", 0)
    replica = device(tmp_path / "anna", "anna-phone")
    replica.join_as(member(11, "anna"))
    contact = ContactFile(tmp_path / "anna")
    contact.allow(14, 60)
    contact.made(replica.wall_clock() - days * DAY_US)
    contact.look(replica.wall_clock())  # another one was before
    with pytest.raises(error):
        asyncio.run(asyncio.wait_for(keep_syncing_forever(replica, NOBODY), 60))
    assert (tmp_path / "anna" / "data.mdb").exists() == (error is DeviceLocked)
    if error is DeviceWiped:
        with pytest.raises(StoreClosed):
            list(replica.list())
    replica.close()


def test_before_that_it_goes_on_trying(tmp_path):
    replica = device(tmp_path / "anna", "anna-phone")
    replica.join_as(member(11, "anna"))
    contact = ContactFile(tmp_path / "anna")
    contact.allow(14, 60)
    contact.made(replica.wall_clock() - 13 * DAY_US)

    async def story() -> None:
        failed = asyncio.Event()
        work = asyncio.create_task(keep_syncing_forever(replica, NOBODY, on_error=lambda *_: failed.set()))
        await asyncio.wait_for(failed.wait(), 60)
        assert not work.done()
        work.cancel()

    asyncio.run(story())
    replica.close()
