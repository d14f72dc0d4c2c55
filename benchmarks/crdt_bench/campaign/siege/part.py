"""`crdt-bench campaign siege`: one attack after the other on a relay, beside ten honest devices.

Each attack gets a relay of its own. The honest devices run alone first, then beside the attack, then alone again.
"""

import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass

from crdt_bench.campaign.siege.afterwards import wrong
from crdt_bench.campaign.siege.attacker import attack_of
from crdt_bench.campaign.siege.judging import RECOVERY_S_MAX, Felt, Siege
from crdt_bench.campaign.siege.named import NAMED
from crdt_bench.campaign.tally import Tally
from crdt_bench.child import Child
from crdt_bench.memory_watch import MemoryWatch
from crdt_bench.servers import start_observed_relay
from crdt_bench.workspace import workspace
from crdt_sync.storage import LmdbStore

_SAMPLE_S = 0.1
_ANSWER_S = 5.0
_LATE_S_MAX = 60.0  # for what a child says on a busy machine
_BESIDES_S = 6.0  # of each siege: starting, stopping, and looking at the store


@dataclass(frozen=True, slots=True)
class Sizes:
    """Seconds of each phase, and how many devices push once a second. `recovery_s`: in which nothing is judged."""

    calm_s: float = 30.0
    attack_s: float = 60.0
    recovery_s: float = RECOVERY_S_MAX
    after_s: float = 15.0
    devices: int = 10

    @property
    def whole_s(self) -> float:
        """Of one siege, about."""
        return self.calm_s + self.attack_s + self.recovery_s + self.after_s + _BESIDES_S


SIZES = Sizes()


def run(seed: int, count: int, sizes: Sizes = SIZES) -> Tally:
    """`count` sieges, of the named attacks from number `seed` on."""
    return _run("siege", seed, range(seed, seed + count), sizes)


def run_drawn(seed: int, count: int, sizes: Sizes = SIZES) -> Tally:
    """`count` sieges, of the attacks that the grammar draws from number `seed` on."""
    return _run("siege-drawn", seed, range(len(NAMED) + seed, len(NAMED) + seed + count), sizes)


def _run(part: str, seed: int, numbers: range, sizes: Sizes) -> Tally:
    tally = Tally(part, "sieges", seed)
    for number in numbers:
        name = attack_of(number).name
        tally.ran += 1
        try:
            siege = besieged(number, sizes)
        except Exception as failure:  # the next one is to be run all the same
            tally.found(f"{name}: broken off: {type(failure).__name__}: {failure}")
            continue
        tally.figures.append(f"  {number} {name}: {siege.figures()}")
        for finding in siege.findings():
            tally.found(f"{name}: {finding}")
    return tally


def besieged(number: int, sizes: Sizes) -> Siege:
    """One siege."""
    with workspace() as folder:
        with ExitStack() as running:
            relay, port, metrics_port = start_observed_relay(folder / "relay")
            running.enter_context(relay)
            honest = running.enter_context(
                Child("crdt_bench.campaign.siege.honest:devices", port=port, count=sizes.devices, seed=number)
            )
            attacker = running.enter_context(
                Child("crdt_bench.campaign.siege.attacker:attack", port=port, metrics_port=metrics_port, number=number)
            )
            yardstick = running.enter_context(
                Child("crdt_bench.campaign.siege.yardstick:measure", path=str(folder / "yardstick"))
            )
            assert all(child.hear(_LATE_S_MAX) == "ready" for child in (honest, attacker, yardstick))
            memory = running.enter_context(MemoryWatch(lambda: relay.pid, _SAMPLE_S))
            started = float(honest.ask("go", _LATE_S_MAX))  # the children's clock is ours: it is the system's
            yardstick.tell(started)
            time.sleep(sizes.calm_s)
            before, begun = memory.now(), time.monotonic() - started
            attacker.tell(sizes.attack_s)
            did = attacker.hear(sizes.attack_s + _LATE_S_MAX)
            ended = time.monotonic() - started
            time.sleep(sizes.recovery_s)
            ready, recovered = _ready(metrics_port), time.monotonic() - started
            time.sleep(sizes.after_s)
            over = time.monotonic() - started
            felt, synced = honest.ask("end", _LATE_S_MAX), yardstick.ask("end", _LATE_S_MAX)
            most = memory.most
        with LmdbStore.open(folder / "relay") as store:
            in_store = wrong(store, {record: list(map(bytes.fromhex, edits)) for record, edits in felt["acknowledged"]})
        return Siege(
            begun,
            ended,
            recovered,
            over,
            Felt(felt["pushes"], felt["refused"], felt["thrown_out"]),
            before,
            most,
            ready,
            in_store,
            did,
            synced,
        )


def _ready(metrics_port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/readyz", timeout=_ANSWER_S) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
