"""Many devices that are in sync and do nothing."""

import asyncio
import random
import resource
import time

import uvloop

from crdt_bench.child import hear, say
from crdt_bench.load.connection import Connection
from crdt_sync import ids
from crdt_sync.protocol import codec
from crdt_sync.protocol.messages import Changes, Hello, Ping, Pong, Resume, Welcome
from crdt_sync.protocol.versions import GREETING


def hold(port: int, devices: int, epoch: str, head: int) -> None:
    """Child: connect that many devices that know the relay's feed up to `head`, and keep them connected."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvloop.run(_hold(port, devices, Resume(bytes.fromhex(epoch), head, head)))


async def _hold(port: int, devices: int, resume: Resume) -> None:
    rng = random.Random(7)
    connections = [await _connect(port, ids.new_replica(rng), resume) for _ in range(devices)]
    say(len(connections))
    await asyncio.get_running_loop().run_in_executor(None, hear)


async def _connect(port: int, replica: bytes, resume: Resume) -> Connection:
    connection = await Connection.open(port)
    now = time.time_ns() // 1000
    connection.send(codec.encode(Hello((GREETING,), replica, "", now, resume, True, 1, "crdt-bench")))
    while not isinstance(message := codec.decode(await connection.receive()), Changes):
        assert isinstance(message, Welcome), message
    assert not message.entries, "an idle device has nothing to fetch"

    def answer(payload: bytes) -> None:
        heard = codec.decode(payload)
        if isinstance(heard, Ping):
            connection.send(codec.encode(Pong(heard.number)))

    connection.listen(answer)
    return connection
