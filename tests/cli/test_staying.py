"""Commands that stay, and how they end."""

import asyncio

import pytest

from crdt_sync import Address, Replica
from crdt_sync.cli import staying
from crdt_sync.cli.output import Output
from crdt_sync.cli.watching import Watched
from crdt_sync.errors import IdentityRefused
from crdt_sync.identity.refusals import Reason, refused


def test_a_device_that_is_wiped_while_a_command_stays_confirms_that_before_it_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(staying, "_LOOK_S", 0.0)
    confirmed = []

    async def wiping(replica: Replica) -> None:
        replica.close()
        for _ in range(20):  # looks of whoever shows how it goes
            await asyncio.sleep(0.0)
        confirmed.append(True)
        raise refused(Reason.DEVICE_REVOKED, "this device was wiped")

    replica = Replica.create(tmp_path / "anna", "anna-phone", share=False)
    lines = [Watched(Address("ws://127.0.0.1:1"))]
    with pytest.raises(IdentityRefused, match="this device was wiped"):
        staying.stay(replica, lines, lambda open_: [wiping(open_)], Output(as_json=True), "crdt-sync sync --watch")
    assert confirmed
