"""A device that was without contact to its space for too long: its relay is asked to let it in, before it is locked."""

import asyncio
from dataclasses import replace
from pathlib import Path

from crdt_sync.cli import partners
from crdt_sync.cli.options import AS_KEPT, Way
from crdt_sync.errors import IdentityRefused, RemoteError
from crdt_sync.membership import folder
from crdt_sync.membership.contact import Standing
from crdt_sync.replica.opening import wall_clock
from crdt_sync.replica.silence import locked, standing
from crdt_sync.runtime import Address
from crdt_sync.runtime.outside import OUTSIDE


def regain(store: Path, url: str | None = None, way: Way = AS_KEPT, *, over_only: bool = False) -> None:
    """Where the device whose store is in `store` is locked, or is to destroy it, have its relay let it in: the one at
    `url`, or that is kept. With `over_only` a locked one stays so, and nobody is called.

    Raises `DeviceLocked` where the relay cannot be reached, and `IdentityRefused` where it does not let the device in.
    Whoever opens the store then destroys it, if it is to be destroyed and was not let in.
    """
    found, contact = standing(store, wall_clock())
    if found is Standing.OPEN or (over_only and found is Standing.LOCKED):
        return
    member = folder.load(store)
    if member is None:
        return
    address = partners.chosen(store, url, way, required=False) or Address(member.facts.address)
    try:
        asyncio.run(_regained(store, replace(address, member=member)))
    except IdentityRefused:
        raise
    except RemoteError as error:
        if found is Standing.LOCKED:
            told = locked(store, contact, wall_clock())
            told.message += f". The relay was asked: {error.message}"
            raise told from error


async def _regained(store: Path, address: Address) -> None:
    from crdt_sync.runtime.regaining import regained  # noqa: PLC0415 - hardly any device is ever locked

    assert address.member is not None
    await regained(store, address.member, address, OUTSIDE.open_channel)
