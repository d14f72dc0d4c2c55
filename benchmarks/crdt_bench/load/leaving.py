"""Devices that push and leave in the same breath: they wait for no acknowledgement."""

import asyncio

import uvloop

from crdt_bench.child import hear, say
from crdt_bench.load.flood import Acknowledged, greeted
from crdt_bench.load.updates import Device


def pushed(port: int, devices: int, pushes: int, wall_clock: int) -> None:
    """Child: for each message of the parent, as many new devices come one after the other, push and close.

    Each push is of a record that nobody has. Answers when a last device, which did wait, was acknowledged its push.
    """
    uvloop.run(_pushed(port, devices, pushes, wall_clock))


async def _pushed(port: int, devices: int, pushes: int, wall_clock: int) -> None:
    loop = asyncio.get_running_loop()
    came = 0
    say("ready")
    while await loop.run_in_executor(None, hear) is not None:
        for _ in range(devices):
            came += 1
            device = Device(came, pushes, wall_clock)
            connection = await greeted(port, device.replica, wall_clock)
            for _ in range(pushes):
                connection.send(device.push(1))
            connection.transport.close()  # what was written still goes
            await connection.lost.wait()
        await _stays(port, Device(0, 1, wall_clock), wall_clock)
        say("done")


async def _stays(port: int, device: Device, wall_clock: int) -> None:
    connection = await greeted(port, device.replica, wall_clock)
    acknowledged = Acknowledged(1, connection.send)
    connection.send(device.push(1))
    while not acknowledged(await connection.receive()):
        pass
    connection.transport.close()
