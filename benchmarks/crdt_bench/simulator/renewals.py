"""Devices renew records, while others edit, renew, forget and restore them."""

import random

from crdt_bench.simulator.devices import Device
from crdt_bench.simulator.failure import Failure
from crdt_sync.ids import defined_by
from crdt_sync.records import reading_of


class Renewals:
    """Draws which record a device renews."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.count = 0

    def step(self, device: Device) -> str:
        """Renew one record of this device. Raises `StoreError` when the disk refuses."""
        here = [record for record in device.disk.records("", 1 << 30) if defined_by(record) is None]
        if not here or device.collides:  # what two write under one writer id cannot be told apart
            return "renews nothing"
        record = self.rng.choice(here)
        before = reading_of(device.replica.document(record), all_kinds=True)
        if not device.replica.renew(record):
            raise Failure("renewal", f"{device.name}: {record} cannot be renewed")
        if reading_of(device.replica.document(record), all_kinds=True) != before:
            raise Failure("renewal", f"{device.name}: {record} shows something else once it is renewed")
        self.count += 1
        return f"renews {record}"
