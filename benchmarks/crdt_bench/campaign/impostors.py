"""`crdt-bench campaign impostors`: connections of people who are not who they say, beside devices of a space.

The relay's space has identities. Devices push once a second, and each comes back once while the impostors are there.
Those bring what was stolen or made up, or nothing at all, and call from the devices' own address.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crdt_bench.campaign.siege.judging import P99_S_MIN, SLOWER_MAX
from crdt_bench.campaign.tally import Tally
from crdt_bench.child import Child
from crdt_bench.statistics import percentile
from crdt_bench.workspace import workspace

_CHILDREN = "crdt_bench.campaign.impostors_children"
_LATE_S_MAX = 120.0  # for what a child says on a busy machine


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many of both, and seconds before the impostors come and beside them."""

    devices: int = 200
    impostors: int = 1_000
    calm_s: float = 15.0
    beside_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Met:
    """What devices felt: seconds until each push was acknowledged, None for never, before and beside the impostors, and
    until each that came back was let in; how often one was refused or thrown out. `impostors`: what came of them.
    """

    before: Sequence[float | None]
    beside: Sequence[float | None]
    returned: Sequence[float | None]
    refused: int
    thrown_out: int
    impostors: Mapping[str, int]

    def findings(self) -> list[str]:
        """The promises that were broken."""
        found = []
        before, beside = (_p99(times) for times in (self.before, self.beside))
        if before is None or beside is None:
            found.append("not all pushes were acknowledged")
        elif beside > SLOWER_MAX * max(before, P99_S_MIN):
            found.append(f"p99 beside impostors {_ms(beside)}, before {_ms(before)}")
        if None in self.returned:
            found.append("a device did not come in again")
        if self.refused:
            found.append(f"{self.refused} pushes or hellos of devices were refused")
        if self.thrown_out:
            found.append(f"devices were thrown out {self.thrown_out} times")
        if self.impostors.get("let in"):
            found.append(f"{self.impostors['let in']} impostors were let in")
        if not sum(self.impostors.values()):
            found.append("no impostor came: nothing was tried")
        return found

    def figures(self) -> str:
        """One line for people."""
        p99 = ", ".join(_ms(_p99(each)) for each in (self.before, self.beside))
        came = ", ".join(f"{count:,} {what}" for what, count in sorted(self.impostors.items()))
        return (
            f"  {len(self.beside):,} pushes beside; p99 before, beside: {p99}; "
            f"{len(self.returned):,} came back, p99 {_ms(_p99(self.returned))}; impostors: {came}"
        )


SIZES = Sizes()


def run(seed: int, count: int, sizes: Sizes = SIZES) -> Tally:
    """`count` times."""
    tally = Tally("impostors", "crowds", seed)
    for number in range(seed, seed + count):
        met = crowd(number, sizes)
        tally.ran += 1
        tally.figures.append(met.figures())
        for finding in met.findings():
            tally.found(f"{number}: {finding}")
    return tally


def crowd(seed: int, sizes: Sizes) -> Met:
    """One relay, its devices and the impostors."""
    with (
        workspace() as folder,
        Child(f"{_CHILDREN}:relay", data=str(folder / "relay")) as relay,
    ):
        place: dict[str, Any] = relay.hear(_LATE_S_MAX)
        devices = Child(f"{_CHILDREN}:devices", count=sizes.devices, seed=seed, **place)
        impostors = Child(f"{_CHILDREN}:impostors", count=sizes.impostors, seed=seed, **place)
        with devices, impostors:
            devices.hear(_LATE_S_MAX)
            before = devices.ask({"seconds": sizes.calm_s, "return": False}, _LATE_S_MAX)
            impostors.tell(sizes.beside_s)
            impostors.hear(_LATE_S_MAX)
            beside = devices.ask({"seconds": sizes.beside_s, "return": True}, _LATE_S_MAX)
            came = impostors.hear(_LATE_S_MAX)
    return Met(
        before["times"],
        beside["times"],
        beside["returned"],
        before["refused"] + beside["refused"],
        before["thrown_out"] + beside["thrown_out"],
        came,
    )


def _p99(times: Sequence[float | None]) -> float | None:
    known = [each for each in times if each is not None]
    return percentile(known, 0.99) if known and len(known) == len(times) else None


def _ms(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds * 1000:.0f} ms"
