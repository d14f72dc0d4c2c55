"""`crdt-bench campaign siege`: one attack after the other on a relay, beside ten honest devices.

Each attack gets a relay of its own. The honest devices run alone first, then beside the attack, then alone again.
"""

import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from crdt_bench.campaign.siege.attacker import attack_of
from crdt_bench.campaign.siege.judging import Felt, Siege
from crdt_bench.campaign.tally import Tally
from crdt_bench.child import Child
from crdt_bench.memory_watch import MemoryWatch
from crdt_bench.servers import start_observed_relay
from crdt_bench.workspace import workspace

_SAMPLE_S = 0.1
_ANSWER_S = 5.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """Seconds of each phase, and how many devices push once a second. `recovery_s`: in which nothing is judged."""

    calm_s: float = 30.0
    attack_s: float = 60.0
    recovery_s: float = 5.0
    after_s: float = 15.0
    devices: int = 10


def run(seed: int, count: int, sizes: Sizes = Sizes()) -> Tally:
    """`count` sieges, from number `seed` on: the named attacks come first."""
    tally = Tally("siege", "sieges", seed)
    for number in range(seed, seed + count):
        siege = besieged(number, sizes)
        name = attack_of(number).name
        tally.ran += 1
        tally.figures.append(f"  {name}: {siege.figures()}")
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
            assert honest.hear() == attacker.hear() == "ready"
            memory = running.enter_context(MemoryWatch(lambda: relay.pid, _SAMPLE_S))
            started = float(honest.ask("go"))  # the children's clock is ours: it is the system's
            time.sleep(sizes.calm_s)
            before, begun = memory.now(), time.monotonic() - started
            attacker.tell(sizes.attack_s)
            attacker.hear(sizes.attack_s + 60)
            ended = time.monotonic() - started
            time.sleep(sizes.recovery_s)
            ready, recovered = _ready(metrics_port), time.monotonic() - started
            time.sleep(sizes.after_s)
            over = time.monotonic() - started
            felt = honest.ask("end")
            most = memory.most
        return Siege(
            begun,
            ended,
            recovered,
            over,
            Felt(felt["pushes"], felt["refused"], felt["thrown_out"]),
            before,
            most,
            ready,
            _intact(folder / "relay"),
        )


def _ready(metrics_port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/readyz", timeout=_ANSWER_S) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _intact(store: Path) -> bool:
    command = (sys.executable, "-P", "-m", "crdt_relay", "verify", "--data", str(store))
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
