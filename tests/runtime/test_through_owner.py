"""A sync through the program that owns a store goes where it was to go, in the way that was chosen."""

import asyncio
from dataclasses import astuple
from pathlib import Path
from typing import cast

import pytest

from crdt_sync import Address
from crdt_sync.errors import UsageError
from crdt_sync.replica.owner.asking import Owner
from crdt_sync.runtime.conversation import Progress
from crdt_sync.runtime.through_owner import SYNC, address_of, sync_through


@pytest.mark.parametrize(
    "address",
    [
        Address("ws://relay.test"),
        Address("wss://relay.test/crm", "token", Path("/ca.pem"), adopt=True, ping_interval_s=5.5),
        Address("ws://relay.test", transport="http", memory=Path("/store/transport.json")),
        Address("wss://10.0.0.1", "token", direct=True),
    ],
)
def test_the_owner_is_told_all_of_the_address(address: Address) -> None:
    asked: list[tuple[object, ...]] = []

    class Told:
        def ask(self, *said: object) -> object:
            asked.append(said)
            return astuple(Progress(received=3))

    progress = asyncio.run(sync_through(cast(Owner, Told()), address))
    assert progress.received == 3
    ((what, *request),) = asked
    assert what == SYNC
    there = address_of(tuple(request))
    assert there == address
    assert there.memory == address.memory


def test_a_request_of_another_form_is_refused() -> None:
    with pytest.raises(UsageError, match="another form"):
        address_of(("ws://relay.test", "", None, False, False, None))
