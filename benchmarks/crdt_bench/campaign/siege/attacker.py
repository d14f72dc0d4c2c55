"""Runs an attack's program again and again. Attackers have machines of their own: here one gets processor time that
nobody else asks for.
"""

import asyncio
import os
import random
import threading
import time
from contextlib import suppress

import uvloop

from crdt_bench.campaign.siege.frames import KINDS, Voice, beginning
from crdt_bench.campaign.siege.named import NAMED
from crdt_bench.campaign.siege.program import Attack, Begin, Close, Crumble, Knock, Open, Send, Step, Wait, drawn
from crdt_bench.child import hear, say
from crdt_bench.load.connection import Connection, client_frame
from crdt_bench.load.flood import UnexpectedAnswer, greeted

_OPEN_S_MAX = 5.0
_LATE_S_MAX = 1.0  # after its time, an attack ends wherever it is
_BUFFERED_BYTES_MAX = 8 << 20  # of one connection; beyond it the attacker waits
_CONNECTIONS_MAX = 400
_FRAGMENTS = client_frame(b"x", 0x02), client_frame(b"x", 0x00)  # the first, and each that follows
_KNOCK = client_frame(bytes(125), 0x89)  # the longest ping


def attack_of(number: int) -> Attack:
    """The named attacks first, then drawn ones."""
    return NAMED[number] if number < len(NAMED) else drawn(number)


def attack(port: int, metrics_port: int, number: int) -> None:
    """Child: begins at the parent's message, which says for how many seconds, and answers with what it did."""
    _give_way()
    chosen = attack_of(number)
    voice = Voice.drawn(random.Random(0))
    for step in chosen.steps:
        if isinstance(step, Send):
            KINDS[step.kind](voice)  # what is dear to make is made before
    say("ready")
    seconds = hear()
    if seconds is not None:
        attacker = _Attacker(metrics_port if chosen.metrics else port, number)
        threading.Thread(target=_end, args=(seconds, attacker.counts), daemon=True).start()
        uvloop.run(_attack(chosen, attacker, seconds))
        _end(0.0, attacker.counts)


def _give_way() -> None:
    """Run while a processor is idle. The lowest niceness is not enough: who has begun may end its slice of the system's
    then, for which whoever wakes up, several times for each push, waits for a millisecond or more.
    """
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(19)


def _end(seconds: float, counts: dict[str, int]) -> None:
    """Say what was done and leave, with all connections: after so many seconds, and a little more.

    The loop cannot be relied on for that: where others need the processor, what it does for some hundred connections in
    one pass takes longer than the siege.
    """
    if seconds:
        time.sleep(seconds + _LATE_S_MAX)
    say(counts)
    os._exit(0)


async def _attack(chosen: Attack, attacker: "_Attacker", seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                for step in chosen.steps:
                    await attacker.take(step)
                await asyncio.sleep(0)
                attacker.counts["rounds"] += 1
    attacker.close()


class _Attacker:
    """The open connections of an attack."""

    def __init__(self, port: int, seed: int) -> None:
        self._port = port
        self._rng = random.Random(f"attacker {seed}")  # nobody honest has its ids
        self._open: list[tuple[Connection, Voice]] = []
        self.counts = {"rounds": 0, "sessions": 0, "refused": 0, "frames": 0}

    async def take(self, step: Step) -> None:
        """Do one step of the program."""
        match step:
            case Open():
                self._open = [known for known in self._open if not known[0].lost.is_set()]
                room = max(0, min(step.count, _CONNECTIONS_MAX - len(self._open)))
                await asyncio.gather(*(self._connect(step) for _ in range(room)))
            case Send(kind, copies):
                await asyncio.gather(*(self._send(*known, kind, copies) for known in self._open))
            case Begin(size):
                begun = beginning(size)
                await asyncio.gather(*(self._write(connection, begun) for connection, _ in self._open))
            case Knock(copies):
                await asyncio.gather(*(self._write(connection, _KNOCK * copies) for connection, _ in self._open))
            case Crumble(count):
                await asyncio.gather(*(self._crumble(*known, count) for known in self._open))
            case Wait(seconds):
                await asyncio.sleep(seconds)
            case Close():
                self.close()

    def close(self) -> None:
        """End all connections."""
        for connection, _ in self._open:
            connection.end()
        self._open.clear()

    async def _connect(self, step: Open) -> None:
        voice = Voice.drawn(random.Random(self._rng.random()))
        try:
            async with asyncio.timeout(_OPEN_S_MAX):
                if step.greeted:
                    wall = time.time_ns() // 1000
                    connection = await greeted(self._port, voice.replica, wall, step.follow)
                elif step.upgraded:
                    connection = await Connection.open(self._port)
                else:
                    _, connection = await asyncio.get_running_loop().create_connection(
                        Connection, "127.0.0.1", self._port
                    )
        except (OSError, UnexpectedAnswer, TimeoutError):
            self.counts["refused"] += 1
            await asyncio.sleep(0.05)
            return
        self.counts["sessions"] += 1
        if step.reading:
            connection.listen(lambda _payload: None)
        else:
            connection.transport.pause_reading()
        self._open.append((connection, voice))

    async def _send(self, connection: Connection, voice: Voice, kind: str, copies: int) -> None:
        for _ in range(copies):
            await self._write(connection, client_frame(KINDS[kind](voice)))

    async def _crumble(self, connection: Connection, voice: Voice, count: int) -> None:
        first, following = _FRAGMENTS
        begun = voice.next() > 1
        await self._write(connection, following * count if begun else first + following * (count - 1))

    async def _write(self, connection: Connection, data: bytes) -> None:
        if connection.lost.is_set():
            return
        connection.transport.write(data)
        self.counts["frames"] += 1
        if connection.transport.get_write_buffer_size() > _BUFFERED_BYTES_MAX:
            await asyncio.sleep(0.001)
        while not connection.lost.is_set() and connection.transport.get_write_buffer_size() > _BUFFERED_BYTES_MAX:
            await asyncio.sleep(0.01)
