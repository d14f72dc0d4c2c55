"""Edit blocks that stay open while time goes on: sessions integrate and push, and others edit the same records."""

import random
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from crdt_bench.simulator.contents import State
from crdt_bench.simulator.devices import Device
from crdt_bench.simulator.failure import Failure
from crdt_bench.simulator.ledger import Intent
from crdt_bench.simulator.virtual_loop import Process
from crdt_bench.simulator.workload import Workload
from crdt_sync.errors import EditOvertaken
from crdt_sync.records import Schema
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.replica import EditedRecord

_OPEN_MAX = 4  # blocks of one device
_ROLLED_BACK = 0.2


@dataclass(slots=True)
class _Open:
    life: Process
    device: Device
    record: str
    block: AbstractContextManager[EditedRecord]
    editor: EditedRecord
    schema: Schema  # of the app when the block was opened
    seen: State
    intent: Intent = field(default_factory=Intent)


class OpenBlocks:
    """Opens blocks, and ends them some steps later. `workload` draws what is written in them.

    `twins`: stores are copied, put back or repaired, which may overtake an edit.
    """

    def __init__(self, rng: random.Random, workload: Workload, *, twins: bool) -> None:
        self._rng = rng
        self._twins = twins
        self._workload = workload
        self._open: list[_Open] = []
        self._number = 0

    def step(self, device: Device) -> str:
        """Open a block on this device, or end one. Raises `StoreError` when the disk refuses."""
        self._open = [each for each in self._open if each.life.alive]  # those of a crashed app are gone with it
        own = [each for each in self._open if each.device is device]
        if own and (len(own) >= _OPEN_MAX or self._rng.random() < 0.5):
            ended = self._rng.choice(own)
            self._open.remove(ended)
            return self._end(ended)
        return self._begin(device)

    def _begin(self, device: Device) -> str:
        record = self._rng.choice(self._workload.records)
        seen = self._workload.state(device, record)
        self._number += 1
        block = device.replica.edit(record, create=True).opened_by((self._number, None))
        editor = block.__enter__()
        opened = _Open(device.life, device, record, block, editor, device.schema, seen)
        self._open.append(opened)
        if self._rng.random() < 0.5:
            self._write(opened)
        return f"opens a block of {record}"

    def _write(self, opened: _Open) -> None:
        self._workload.act(opened.schema, opened.editor, opened.intent, new=opened.seen.vector == vectors.EMPTY)

    def _end(self, opened: _Open) -> str:
        device, record = opened.device, opened.record
        self._write(opened)
        if self._rng.random() < _ROLLED_BACK:
            error = ZeroDivisionError("rolled back")
            opened.block.__exit__(ZeroDivisionError, error, None)
            return f"rolls back a block of {record}"
        before = self._workload.state(device, record)
        try:
            opened.block.__exit__(None, None, None)
        except EditOvertaken as overtaken:
            if not self._twins:
                raise Failure("overtaken", f"{device.name} {record}: {overtaken}") from overtaken
            return f"is overtaken in {record}"
        finally:
            self._workload.note(device, record, before, opened.intent, opened.seen)
        return f"ends a block of {record}"
