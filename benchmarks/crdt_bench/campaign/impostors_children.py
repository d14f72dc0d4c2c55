"""The processes of `impostors`: the relay, its devices, and those who are none of them."""

import asyncio
import math
import os
import random
import time
from collections import Counter, deque
from contextlib import suppress
from itertools import count as numbers
from pathlib import Path

from websockets import ConnectionClosed, InvalidHandshake
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from crdt_bench.child import hear, say
from crdt_bench.load.updates import EditedRecord
from crdt_relay.server import Relay
from crdt_relay.settings import load
from crdt_sync.clock import HybridClock
from crdt_sync.identity.handshake import Handshake
from crdt_sync.identity.keys import KeyPair
from crdt_sync.identity.known import KNOWS_HEADER, Known
from crdt_sync.identity.statements import Versions
from crdt_sync.identity.tokens import claims_for, issue
from crdt_sync.key_files import read_key
from crdt_sync.protocol import SUBPROTOCOL, codec, proof
from crdt_sync.protocol.messages import Ack, Bye, Hello, Ping, Pong, Push, PushEntry, Terms
from crdt_sync.protocol.versions import FEATURES, NEWEST, VERSIONS
from crdt_sync.records import bundled_schema
from crdt_sync.verdicts import VerdictCode

USER = "bench"  # who signs what the load generator edits
_POLICY = f"""
[[role.all.grant]]
collection = "customers"
read = ["*"]
write = ["*"]
operations = ["create", "edit"]
[user.{USER}]
role = "all"
"""
_INTERVAL_S = 1.0
_LAST_S = 10.0  # for the last acknowledgements, and for a device to be let in
_HELD_S = 2.0  # how long an impostor stays who is not sent away


def relay(data: str) -> None:
    """Child: a relay with a policy; says its port, its space and the file of the space's key."""
    asyncio.run(_relay(Path(data)))


async def _relay(data: Path) -> None:
    settings = load({"data": data, "port": 0, "metrics": False, "log_level": "error"})
    running = await Relay.start(settings)
    assert running.people is not None
    said = running.people.apply(_POLICY, "a policy")
    say({"port": running.port, "space": said["space"], "key": str(settings.space_key)})
    await asyncio.get_running_loop().run_in_executor(None, hear)
    await running.stop()


class _Caller:
    """Somebody who calls the relay by hand."""

    def __init__(self, port: int, space: str, key: str) -> None:
        self._url = f"ws://127.0.0.1:{port}"
        self.space = bytes.fromhex(space)
        self._key = read_key(Path(key))

    def token(self, pair: KeyPair, space: bytes | None = None) -> str:
        """What the space would issue to a device."""
        now = time.time_ns() // 1000
        return issue(claims_for(space or self.space, USER, pair.public, os.urandom(16), now), self._key)

    async def call(self, *, knows: bool = True) -> tuple[ClientConnection, Handshake]:
        """A connection, and what both ends sign over on it."""
        nonce = os.urandom(proof.NONCE_BYTES)
        headers = {proof.NONCE_HEADER: nonce.hex(), KNOWS_HEADER: str(Known(Versions(), bytes(8)))} if knows else {}
        connection = await connect(
            self._url,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            compression=None,
            ping_interval=None,
            proxy=None,
            open_timeout=_LAST_S,
            close_timeout=0.1,
            additional_headers=headers,
        )
        assert connection.response is not None
        theirs = connection.response.headers.get(proof.NONCE_HEADER, "00" * proof.NONCE_BYTES)
        return connection, Handshake(self.space, nonce, bytes.fromhex(theirs), b"")

    async def admitted(self, connection: ClientConnection, shown: str, replica: bytes) -> str:
        """The code of the bye that follows hello; empty where that lets in."""
        hello = Hello(VERSIONS, replica, shown, time.time_ns() // 1000, None, follow=False, count=0, agent="bench")
        await connection.send(codec.encode(hello))
        while True:
            frame = await connection.recv()
            assert isinstance(frame, bytes)
            message = codec.decode(frame, version=NEWEST)
            if isinstance(message, Bye):
                return message.code
            if isinstance(message, Terms):
                await connection.send(codec.encode(Terms(self.space, True, replica, tuple(sorted(FEATURES))), NEWEST))
                return ""


# --- devices ---------------------------------------------------------------------------------------------------


def devices(port: int, space: str, key: str, count: int, seed: int) -> None:
    """Child: says when all devices are in; answers how long they are to push with what came of it."""
    asyncio.run(_devices(_Caller(port, space, key), count, seed))


async def _devices(caller: _Caller, count: int, seed: int) -> None:
    rng = random.Random(seed)
    all_of_them = [_Device(caller, random.Random(rng.random()), number / count) for number in range(count)]
    for start in range(0, count, 20):
        await asyncio.gather(*(device.begin() for device in all_of_them[start : start + 20]))
    say("ready")
    loop = asyncio.get_running_loop()
    while (asked := await loop.run_in_executor(None, hear)) is not None:
        returns = [rng.uniform(0.2, 0.8) * asked["seconds"] if asked["return"] else None for _ in all_of_them]
        runs = (device.push(asked["seconds"], at) for device, at in zip(all_of_them, returns, strict=True))
        times = [time for found in await asyncio.gather(*runs) for time in found]
        refused, thrown_out = (sum(getattr(each, what) for each in all_of_them) for what in ("refused", "thrown_out"))
        for device in all_of_them:
            device.refused = device.thrown_out = 0
        returned = [each.returned for each in all_of_them if each.has_returned]
        say({"times": times, "returned": returned, "refused": refused, "thrown_out": thrown_out})


class _Device:
    """A device with a record of its own; `offset` of a second after the others' beginning it makes its pushes."""

    def __init__(self, caller: _Caller, rng: random.Random, offset: float) -> None:
        self._caller = caller
        self._offset = offset
        self._pair = KeyPair(rng.randbytes(32))
        self._token = caller.token(self._pair)
        self._replica = rng.randbytes(16)
        self._edited = EditedRecord(rng, bundled_schema("customers"), HybridClock(lambda: time.time_ns() // 1000))
        self._waiting: deque[tuple[float, bytes]] = deque()  # due, and not acknowledged
        self._connection: ClientConnection | None = None
        self._reading: asyncio.Task[None] | None = None
        self._number = numbers(1)
        self._times: list[float | None] = []
        self.refused = self.thrown_out = 0
        self.has_returned = False
        self.returned: float | None = None  # how long that took, where it came in

    async def begin(self) -> None:
        """Come in, with what was not acknowledged."""
        connection, handshake = await self._caller.call()
        shown = handshake.prove_device("dialer", self._pair, self._token)
        code = await self._caller.admitted(connection, shown, self._replica)
        if code:
            self.refused += 1
            return
        self._connection, self._number = connection, numbers(1)
        self._reading = asyncio.create_task(self._read(connection))
        for _, update in tuple(self._waiting):
            await self._send(update)

    async def push(self, seconds: float, leaves: float | None) -> list[float | None]:
        """Push once a second for so long; leave and come back once, after `leaves`. How long each push took."""
        begun, due = time.monotonic(), self._offset * _INTERVAL_S
        while due < seconds:
            await asyncio.sleep(max(0.0, begun + due - time.monotonic()))
            if leaves is not None and due >= leaves:
                leaves = None
                await self._return()
                due += _INTERVAL_S * max(0, math.ceil((time.monotonic() - begun - due) / _INTERVAL_S))
                continue
            update = self._edited.next_update()
            self._waiting.append((begun + due, update))
            await self._send(update)
            due += _INTERVAL_S
        if leaves is not None:
            await self._return()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_S):
                while self._waiting:
                    await asyncio.sleep(0.05)
        times, self._times = [*self._times, *(None for _ in self._waiting)], []
        return times

    async def _return(self) -> None:
        went = time.monotonic()
        if self._connection is not None and self._reading is not None:
            self._reading.cancel()
            await self._connection.close()
            self._connection = None
        with suppress(OSError, InvalidHandshake, ConnectionClosed, TimeoutError):
            async with asyncio.timeout(_LAST_S):
                await self.begin()
        self.returned = None if self._connection is None else time.monotonic() - went
        self.has_returned = True

    async def _send(self, update: bytes) -> None:
        if self._connection is not None:
            message = Push(next(self._number), (PushEntry(self._edited.record, update),))
            with suppress(ConnectionClosed):
                await self._connection.send(codec.encode(message, NEWEST))

    async def _read(self, connection: ClientConnection) -> None:
        try:
            async for frame in connection:
                assert isinstance(frame, bytes)
                match codec.decode(frame, version=NEWEST):
                    case Ping(number):
                        await connection.send(codec.encode(Pong(number), NEWEST))
                    case Ack(verdicts=verdicts):
                        for verdict in verdicts:
                            due, _ = self._waiting.popleft()
                            self._times.append(time.monotonic() - due)
                            self.refused += verdict.code is not VerdictCode.ACCEPTED
        except ConnectionClosed:
            pass
        self.thrown_out += 1
        self._connection = None


# --- impostors -------------------------------------------------------------------------------------------------


def impostors(port: int, space: str, key: str, count: int, seed: int) -> None:
    """Child: `count` at a time, for as many seconds as it is told; says that one is there, and then what came."""
    if hasattr(os, "SCHED_IDLE"):  # they have machines of their own
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    seconds = hear()
    if seconds is not None:
        say(asyncio.run(_impostors(_Caller(port, space, key), count, seed, seconds)))


async def _impostors(caller: _Caller, count: int, seed: int, seconds: float) -> dict[str, int]:
    came: Counter[str] = Counter()
    victim = KeyPair(random.Random(seed).randbytes(32))
    token, foreign = caller.token(victim), caller.token(victim, bytes(16))

    async def come(rng: random.Random) -> None:
        with suppress(OSError, InvalidHandshake, ConnectionClosed, TimeoutError):
            came[await _pretend(caller, rng.choice(_WAYS), rng, token, foreign)] += 1
        await asyncio.sleep(rng.random() / 10)

    first = random.Random(seed)
    while not came:  # idle processes wait for their first turn, on a busy machine longer than devices push
        await come(first)
    say("here")
    until = time.monotonic() + seconds

    async def one(number: int) -> None:
        rng = random.Random(f"{seed} {number}")
        while time.monotonic() < until:
            await come(rng)

    tasks = [asyncio.create_task(one(number)) for number in range(count)]
    await asyncio.wait(tasks, timeout=seconds + 1)
    for task in tasks:
        task.cancel()
    return dict(came)


_WAYS = ("silent", "speechless", "nothing", "bare", "stolen", "elsewhere", "foreign", "invite", "renewal", "garbage")


async def _pretend(caller: _Caller, way: str, rng: random.Random, token: str, foreign: str) -> str:
    """What comes of one connection."""
    thief = KeyPair(rng.randbytes(32))
    if way == "silent":
        _, writer = await asyncio.open_connection("127.0.0.1", int(caller._url.rpartition(":")[2]))
        await asyncio.sleep(_HELD_S)
        writer.close()
        return "silent"
    connection, handshake = await caller.call(knows=way != "nothing")
    try:
        if way == "speechless":
            await asyncio.sleep(_HELD_S)
            return "silent"
        shown = {
            "nothing": "",
            "bare": token,
            "stolen": handshake.prove_device("dialer", thief, token),
            "elsewhere": Handshake(caller.space, bytes(16), bytes(16), b"").prove_device("dialer", thief, token),
            "foreign": handshake.prove_device("dialer", thief, foreign),
            "invite": handshake.enrol(thief, rng.randbytes(16)),
            "renewal": handshake.renew(thief),
            "garbage": f"proof-1.{'a' * rng.randrange(2_000)}.b.c.d",
        }[way]
        return await caller.admitted(connection, shown, rng.randbytes(16)) or "let in"
    finally:
        connection.transport.abort()
