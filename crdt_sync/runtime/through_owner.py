"""A sync that the program which owns the store makes for another one: its sessions are the owner's."""

import asyncio
from dataclasses import fields
from pathlib import Path

from crdt_sync.errors import OwnerGone, UsageError
from crdt_sync.replica.owner.asking import Owner
from crdt_sync.replica.owner.message import Message
from crdt_sync.runtime.address import Address
from crdt_sync.runtime.conversation import Progress

SYNC = "sync"


async def sync_through(owner: Owner, address: Address) -> Progress:
    """Have the owner exchange everything with a partner once. Raises what it raises there."""
    interval = None if address.ping_interval_s is None else int(address.ping_interval_s * 1e6)
    authorities = None if address.authorities is None else str(address.authorities.absolute())
    memory = None if address.memory is None else str(address.memory.absolute())
    kind = (address.direct, address.adopt, interval, address.transport, memory)
    request = (address.url, address.token, authorities, *kind)
    answer = await asyncio.to_thread(owner.ask, SYNC, *request)
    if not isinstance(answer, tuple) or len(answer) != len(fields(Progress)):
        raise OwnerGone("the program that owns the store gave another answer", "Update both to the same version.")
    return Progress(*answer)


def address_of(request: Message) -> Address:
    """Whom a program wants to sync with. Raises `UsageError`."""
    match request:
        case (
            str(url),
            str(token),
            (str() | None) as authorities,
            bool(direct),
            bool(adopt),
            (int() | None) as interval,
            str(transport),
            (str() | None) as memory,
        ):
            path = None if authorities is None else Path(authorities)
            seconds = None if interval is None else interval / 1e6
            return Address(
                url,
                token,
                path,
                direct=direct,
                adopt=adopt,
                ping_interval_s=seconds,
                transport=transport,
                memory=None if memory is None else Path(memory),
            )
    raise UsageError("a sync was asked for in another form", "Update both programs to the same version.")
