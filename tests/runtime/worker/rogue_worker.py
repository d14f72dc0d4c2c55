"""A worker whose integrator obeys orders hidden in updates, trusts all other bytes unread, and reads the result.

!hang  !crash  !exit  !bomb  !print     at this update
!once PATH    crash if PATH exists, and remove it
!slow-once PATH   hang if PATH exists, and remove it
!freeze       stop, without using the processor
!garbage      answer with bytes that are no answer
"""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, cast

import pycrdt

from crdt_sync.records.gate.integrate import Integration, Integrator
from crdt_sync.runtime.worker import pipe
from crdt_sync.runtime.worker.confine import confine
from crdt_sync.runtime.worker.progress import progress_of
from crdt_sync.runtime.worker.service import Service, run


class RogueIntegrator:
    """Does what it is told, and integrates without reading first. It has an integrator, as nothing may inherit from a
    compiled one.
    """

    def __init__(self, documents_max: int) -> None:
        self._own = Integrator(documents_max)
        self.forget = self._own.forget
        self._seen: dict[str, list[bytes]] = {}

    def integrate(
        self,
        record: str,
        stored: Sequence[bytes] | None,
        updates: Sequence[bytes],
        stamp_max: int | None,
        checked: bool,
        snapshot: bool,
        *,
        quick: bool = False,
        begin: Callable[[int], bool] | None = None,
    ) -> Integration:
        for update in stored or ():
            obey(update)
        reached: list[bytes] = []
        for position, update in enumerate(updates):
            if begin is not None and not begin(position):
                break
            obey(update)
            reached.append(update)
        honest = [update for update in reached if not update.startswith(b"!")]
        read_in = [b"\x00\x00" if update.startswith(b"!") else update for update in reached]
        done = self._own.integrate(record, stored, read_in, stamp_max, False, snapshot)
        self._seen[record] = [*(stored if stored is not None else self._seen.get(record, ())), *honest]
        read(self._seen[record])
        return done


def read(updates: Sequence[bytes]) -> None:
    """Read all content the way that the known hostile updates were made for."""
    document: pycrdt.Doc[Any] = pycrdt.Doc()
    text = document.get("t", type=pycrdt.Text)
    array = document.get("a", type=pycrdt.Array)
    mapping = document.get("m", type=pycrdt.Map)
    for update in updates:
        document.apply_update(update)
    str(text)
    array.to_py()
    mapping.to_py()


class RogueService(Service):
    """Answers nonsense when told to."""

    def answer(self, body: bytes) -> bytes:
        if b"!garbage" in body:
            return pipe.frame((0, [float("nan")] * 3, "nothing"))
        if b"!huge" in body:
            return pipe.LENGTH.pack(2**31)
        return super().answer(body)


def obey(update: bytes) -> None:
    """Carry out the order in `update`, if it is one."""
    order, _, argument = update.partition(b" ")
    if order == b"!hang":
        while True:
            pass
    if order == b"!freeze":
        signal.pause()
    if order == b"!crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if order == b"!exit":
        os._exit(0)
    if order == b"!bomb":
        bombs = []
        while True:
            bombs.append(bytearray(1 << 26))
    if order == b"!print":
        os.write(1, b"\x00\x00\x00\x01\x00 printed by native code")
        os.write(2, b"x" * (1 << 20))
    if order == b"!slow-once" and os.path.exists(argument):
        os.rename(argument, argument + b".used")
        while True:
            pass
    if order == b"!once" and os.path.exists(argument):
        os.rename(argument, argument + b".used")
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    confine()
    run(RogueService(cast("Integrator", RogueIntegrator(8)), progress_of(sys.argv[1])))
