"""What people do beside editing: they show what they have open, compare with the relay, and carry bundles."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from crdt_bench.simulator.devices import RELAY, Device
from crdt_bench.simulator.failure import Failure
from crdt_sync.errors import CrdtSyncError, StoreError, UsageError
from crdt_sync.exchange import bundle
from crdt_sync.records import Integrator
from crdt_sync.records.updates import bytes_diff
from crdt_sync.runtime.audits import Audit
from crdt_sync.verdicts import Verdict, VerdictCode, refused

if TYPE_CHECKING:
    from crdt_bench.simulator.world import World

_OPENED_MAX = 3
# Faults under which two stores differ until a repair or a person has looked at it, and an audit rightly says so.
_DIFFERENT = frozenset({"relay_rots", "device_rots", "writer_collides"})


@dataclass(slots=True)
class Beside:
    """Draws what is done, and does it. `audits` were made, `bundles` applied."""

    world: "World"
    rng: random.Random
    audits: int = 0
    bundles: int = 0
    _folder: "TemporaryDirectory[str] | None" = field(default=None)

    def step(self, device: Device) -> str:
        """Do something on this device, which runs. Raises `StoreError`."""
        return self.rng.choice((self._open, self._open, self._audit, self._carry))(device)

    def close(self) -> None:
        """Throw the bundles away."""
        if self._folder is not None:
            self._folder.cleanup()

    # --- presence --------------------------------------------------------------------------------------------

    def _open(self, device: Device) -> str:
        known = self.world.workload.records
        records = self.rng.sample(known, self.rng.randint(0, min(_OPENED_MAX, len(known))))
        device.presence.open(records)
        return f"has open {len(records)} records"

    # --- audits ----------------------------------------------------------------------------------------------

    def _audit(self, device: Device) -> str:
        if RELAY not in device.partners:
            return "audits nothing"
        content, heals = self.rng.random() < 0.5, self.rng.random() < 0.3
        device.audit(content=content, heals=heals, audited=lambda audit: self.audited(device, audit))
        return f"audits content={content} heals={heals}"

    def audited(self, device: Device, audit: Audit | CrdtSyncError) -> None:
        """An audit has ended. No record is named as different between honest partners that hold sound stores."""
        if isinstance(audit, CrdtSyncError):
            self.world.trace.note(self.world.loop.now_us, device.name, f"audit: {audit.code}")
            return
        self.audits += 1
        self.world.trace.note(self.world.loop.now_us, device.name, f"audit: equal={audit.equal}")
        if audit.differences and _DIFFERENT.isdisjoint(self.world.scenario.faults):
            first = audit.differences[0]
            raise Failure("audit", f"{device.name}: {first.record} is named as different: {first.here} {first.there}")

    # --- bundles ---------------------------------------------------------------------------------------------

    def _carry(self, device: Device) -> str:
        """A bundle of another device is applied here."""
        others = [other for other in self.world.devices if other.running and other is not device]
        if not others:
            return "carries nothing"
        other = self.rng.choice(others)
        path = self._path()
        try:
            other.act(lambda: bundle.create(other.replica, path, partner=self._for(device), force=True))
        except UsageError:  # not known there: everything
            other.act(lambda: bundle.create(other.replica, path, force=True))
        examiner = _Examiner(device)
        applied = device.act(lambda: bundle.apply(device.replica, path, examiner, other_space=True))
        self.bundles += 1
        return f"takes a bundle of {other.name}: {applied.received} new, {applied.waiting} wait"

    def _for(self, device: Device) -> str | None:
        return device.replica.id.hex() if self.rng.random() < 0.5 else None

    def _path(self) -> Path:
        if self._folder is None:
            self._folder = TemporaryDirectory(prefix="simulated-")
        return Path(self._folder.name) / "bundle"


class _Examiner:
    """The worker as a bundle sees it, in this process; see `exchange.bundle.port.Vetting`."""

    def __init__(self, device: Device) -> None:
        self._store = device.replica.store

    def judge(
        self, updates: Sequence[tuple[str, Sequence[bytes]]], stamp_max: int | None, user: str | None = None
    ) -> Sequence[Sequence[Verdict]]:
        """See `Vetting`."""
        integrator = Integrator(len(updates) or 1)
        found: list[Sequence[Verdict]] = []
        for record, group in updates:
            try:
                stored = self._store.load(record).updates
            except StoreError as error:
                found.append([refused(VerdictCode.RETRY, error.message)] * len(group))
                continue
            found.append(integrator.integrate(record, stored, group, stamp_max, True, False).verdicts)
        return found

    def trim(self, updates: Sequence[tuple[str, bytes, bytes]]) -> Sequence[bytes | None]:
        """See `Vetting`."""
        return [bytes_diff.diff((update,), known) for _, update, known in updates]
