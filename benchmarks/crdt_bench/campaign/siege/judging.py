"""What honest devices felt before, during and after an attack, and whether that is more than was promised.

A push's time runs from the moment when it was due to its acknowledgement, over as many sessions as that takes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crdt_bench.statistics import percentile
from crdt_bench.usage import MIB

SLOWER_MAX = 2.0  # times, of the 99th percentile
GROWTH_BYTES_MAX = 64 * MIB
RECOVERY_S_MAX = 5.0
P99_S_MIN = 0.010  # a calm one below this counts as this: one turn of a busy machine's scheduler


@dataclass(frozen=True, slots=True)
class Felt:
    """Times of pushes in seconds by when they were due, in the siege's own time; None: never acknowledged."""

    pushes: Sequence[tuple[float, float | None]]
    refused: int
    thrown_out: int

    def p99(self, begin: float, end: float) -> float | None:
        """The 99th percentile of what was due in that time; None if one of it was never acknowledged."""
        return self._percentile(begin, end, 0.99)

    def median(self, begin: float, end: float) -> float | None:
        """As `p99`."""
        return self._percentile(begin, end, 0.5)

    def _percentile(self, begin: float, end: float, share: float) -> float | None:
        times = [took for due, took in self.pushes if begin <= due < end]
        if None in times or not times:
            return None
        return percentile([took for took in times if took is not None], share)

    def slow_until(self, begin: float, end: float, bound: float) -> float | None:
        """When the last push was acknowledged that took longer than `bound`, of those due before `end`: `begin` if
        none was so late, None if one never was.
        """
        until = begin
        for due, took in self.pushes:
            if due >= end:
                continue
            if took is None:
                return None
            if took > bound:
                until = max(until, due + took)
        return until


@dataclass(frozen=True, slots=True)
class Siege:
    """The times of a siege, in seconds since the honest devices began, and what was seen. Memory in bytes.

    The attack lasted from `begun` to `ended`; from `recovered` to `over` all should have been as before. `in_store` is
    what was wrong with the relay's store afterwards. `attacker` counts what it did. `synced` is what the
    machine did meanwhile, see `yardstick`: when each sync was due, and how long it took.
    """

    begun: float
    ended: float
    recovered: float
    over: float
    felt: Felt
    memory_before: int
    memory_most: int
    ready_after: bool
    in_store: Sequence[str]
    attacker: Mapping[str, int]
    synced: Sequence[tuple[float, float]] = ()

    @property
    def recovery_s(self) -> float | None:
        """After the end of the attack, until pushes took no longer than they may; None: one that was due in the time
        for that was never acknowledged, and where nothing is known of the time before.
        """
        bound = self._bound
        slow_until = None if bound is None else self.felt.slow_until(self.ended, self.recovered, bound)
        return None if slow_until is None else slow_until - self.ended

    @property
    def _bound(self) -> float | None:
        before = self.felt.p99(0.0, self.begun)
        return None if before is None else SLOWER_MAX * max(before, P99_S_MIN)

    def findings(self) -> list[str]:
        """The promises that were broken."""
        found = []
        before = self.felt.p99(0.0, self.begun)
        bound = self._bound
        if before is None or bound is None:
            return ["not all pushes were acknowledged before the attack began"]
        for what, begin, end in (("during it", self.begun, self.ended), ("after it", self.recovered, self.over)):
            p99 = self.felt.p99(begin, end)
            if p99 is None:
                found.append(f"a push {what} was never acknowledged")
            elif p99 > bound:
                found.append(f"p99 {what} {_ms(p99)}, before {_ms(before)}")
        recovery_s = self.recovery_s
        if recovery_s is None or recovery_s > RECOVERY_S_MAX:
            found.append(f"recovery took {_s(recovery_s)}")
        if not self.attacker.get("sessions"):
            found.append("the attacker never got in: nothing was tried")
        if self.felt.thrown_out:
            found.append(f"honest devices were thrown out {self.felt.thrown_out} times")
        if self.felt.refused:
            found.append(f"{self.felt.refused} honest updates were refused")
        if self.memory_most > self.memory_before + GROWTH_BYTES_MAX:
            found.append(f"memory {self.memory_before / MIB:.0f} MiB before, {self.memory_most / MIB:.0f} at most")
        if not self.ready_after:
            found.append(f"not ready {self.recovered - self.ended:.0f} s after its end")
        return [*found, *self.in_store]

    def figures(self) -> str:
        """One line for people, with the verdict."""
        spans = ((0.0, self.begun), (self.begun, self.ended), (self.recovered, self.over))
        machine = Felt(self.synced, 0, 0)
        p99, synced = (", ".join(_ms(felt.p99(*span)) for span in spans) for felt in (self.felt, machine))
        median = ", ".join(_ms(self.felt.median(*span)) for span in spans)
        beside = f" (median {median}; of a sync alone {synced})" if self.synced else ""
        grown = max(0, self.memory_most - self.memory_before)
        did = ", ".join(f"{count:,} {what}" for what, count in self.attacker.items())
        return (
            f"p99 before, during, after: {p99}{beside}; "
            f"memory {self.memory_before / MIB:.0f} MiB, +{grown / MIB:.0f} at most; "
            f"recovery {_s(self.recovery_s)}; attacker: {did}; {'BROKEN' if self.findings() else 'holds'}"
        )


def _s(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.1f} s"


def _ms(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds * 1000:.0f} ms"
