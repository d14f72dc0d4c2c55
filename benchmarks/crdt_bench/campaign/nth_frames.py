"""Every n: the n-th call that a device makes on its websocket raises, and the next sync makes up for it."""

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosedError

from crdt_bench.campaign.tally import Tally
from crdt_relay.server import Relay
from crdt_relay.settings import load
from crdt_sync import Address, Replica, bundled_schema
from crdt_sync.errors import RemoteError
from crdt_sync.runtime import compare_once, sync_once

_METHODS = ("send", "recv")
_PATIENCE_S = 30.0
_ERRORS: tuple[Callable[[], Exception], ...] = (lambda: ConnectionClosedError(None, None),)


class _Fault:
    """Counts the calls of one connection and raises at call `number`."""

    def __init__(self, number: int, error: Callable[[], Exception], after: bool) -> None:
        self._left = number
        self._error = error
        self._after = after
        self.raised = False

    def around(self, method: Any) -> Any:
        """`method`, failing when its turn comes."""

        async def call(*arguments: Any, **options: Any) -> Any:
            self._left -= 1
            fails = self._left == 0
            self.raised |= fails
            if fails and not self._after:
                arguments[0].transport.abort()  # the library raises only once the link is gone
                raise self._error()
            result = await method(*arguments, **options)
            if fails:
                arguments[0].transport.abort()
                raise self._error()
            return result

        return call


def run(seed: int, count: int) -> Tally:
    """`count` kinds of failure from the `seed`-th on, each at every `n`."""
    tally = Tally("n-th websocket call", "calls that raised", seed)
    kinds = [(error, after) for error in _ERRORS for after in (False, True)]
    for position in range(seed, seed + count):
        error, after = kinds[position % len(kinds)]
        asyncio.run(_every(error, after, tally))
    return tally


async def _every(error: Callable[[], Exception], after: bool, tally: Tally) -> None:
    with tempfile.TemporaryDirectory() as name:
        settings = load({"data": Path(name) / "relay", "port": 0, "metrics": False, "log_level": "error"})
        relay = await Relay.start(settings)
        schema = bundled_schema("customers")
        devices = [Replica.create(Path(name) / who, who, [schema]) for who in ("anna", "bob")]
        try:
            number, raised = 0, True
            while raised:
                number += 1
                raised = await _round(devices, Address(relay.url), _Fault(number, error, after), number, tally)
        finally:
            for device in devices:
                device.close()
            await relay.stop()


async def _round(devices: list[Replica], address: Address, fault: _Fault, number: int, tally: Tally) -> bool:
    """Edit on both, sync one with the fault, then both without; whether the call came."""
    for device in devices:
        with device.edit("customers/shared", create=True) as editor:
            editor["name"] = "Shared"
            editor.increment("visits")
    patched = {method: fault.around(getattr(ClientConnection, method)) for method in _METHODS}
    try:
        with patch.multiple(ClientConnection, **patched):
            await asyncio.wait_for(sync_once(devices[0], address), _PATIENCE_S)
    except RemoteError:
        pass
    except Exception as error:
        tally.found(f"call {number}: {type(error).__name__}: {error}")
    for device in (*devices, devices[0]):
        await asyncio.wait_for(sync_once(device, address), _PATIENCE_S)
    for device in devices:
        visits = device.get("customers/shared")["visits"]
        if visits != 2 * number:
            tally.found(f"call {number}: {device.name} counts {visits} visits of {2 * number}")
        if not (await asyncio.wait_for(compare_once(device, address), _PATIENCE_S)).equal:
            tally.found(f"call {number}: {device.name} and the relay differ")
    tally.ran += fault.raised
    return fault.raised
