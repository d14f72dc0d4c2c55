"""What one run is made of, all drawn from its seed and printed at its start."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from crdt_bench.simulator.checkers.quotas import DAY_US, STEPS_MAX
from crdt_sync import limits

# Fault -> the highest probability per step that a run may draw for it.
FAULTS: Mapping[str, float] = {
    "cut": 0.08,
    "half_open": 0.03,
    "partition": 0.03,
    "slow": 0.04,
    "second_session": 0.03,
    "device_crash": 0.04,
    "device_crash_in_commit": 0.03,
    "device_disk_fails": 0.03,
    "device_clock": 0.03,
    "device_cloned": 0.01,
    "device_rolled_back": 0.015,
    "relay_crash": 0.03,
    "relay_disk_fails": 0.05,
    "relay_disk_found": 0.02,
    "relay_restored": 0.005,
    "relay_rolled_back": 0.01,
    "relay_wiped": 0.005,
    "compaction": 0.05,
    "worker_killed": 0.05,
    "late_device": 0.01,
    "device_disk_full": 0.02,
    "relay_disk_full": 0.01,
    "device_rots": 0.015,
    "relay_rots": 0.01,
    "schema_upgraded": 0.03,
    "writer_collides": 0.015,
}
# Limits scaled down, so that a small run reaches their both sides.
SCALES: Mapping[str, tuple[int, ...]] = {
    "PAGE_RECORDS_MAX": (2, 5, 512),
    "PUSH_RECORDS_MAX": (2, 6, 512),
    "FRAME_BYTES_TARGET": (400, 4_000, 262_144),
    "UNCONFIRMED_BYTES_MAX": (2_000, 20_000, 8_388_608),
    "FOLLOW_ENTRIES_MAX": (3, 40, 2048),
    "TAIL_UPDATES_MAX": (2, 8, 32),
    "INTEGRATION_UPDATES_MAX": (3, 30, 256),
    "PUSHES_IN_FLIGHT_MAX": (2, 4, 64),
    "PAGES_IN_FLIGHT_MAX": (1, 2, 4),
    "COMMITS_IN_FLIGHT_MAX": (1, 2, limits.COMMITS_IN_FLIGHT_MAX),
    "RECONCILE_LEAF_RECORDS": (16, 32),
    "RECONCILE_FAN_OUT": (2, 16),
    "RENEWED_BYTES_MIN": (200, 600, limits.RENEWED_BYTES_MIN),
    "RENEWED_CONTENT_FACTOR": (2, limits.RENEWED_CONTENT_FACTOR),
}

EVENTS_PER_STEP_MAX = 2_000
_STEPS_MIN = 8
_STEPS_MAX = 250
_STEPS_DENSE = 80  # in a run of fewer steps, each fault is likelier in each of them
_DENSITY_MAX = 4.0
_NEIGHBOURS_CHANCE = 0.3
_BESIDE_CHANCE = 0.2
_BESIDE_MAX = 0.2
_IMPORTS_CHANCE = 0.15
_IMPORTS_MAX = 0.15
_EXPORTS_CHANCE = 0.1
_EXPORTS_MAX = 0.3
_OPEN_BLOCKS_CHANCE = 0.15
_RENEWALS_CHANCE = 0.25
_RENEWALS_MAX = 0.4
_RENEWS_CHANCE = 0.75
_HTTP_CHANCE = 0.15
_PEOPLE_CHANCE = 0.08
_PEOPLE_MAX = 0.15
_MASKS_CHANCE = 0.5
_QUOTAS_CHANCE = 0.06
# Of histories with quotas: what was counted goes with the relay's disk, and a clock that is set makes days longer. What
# was said to fail and is found on disk counts once it is sent again.
_QUOTA_FAULTS = frozenset(FAULTS) - {
    *("device_clock", "device_cloned", "device_rolled_back", "device_rots", "relay_rots", "writer_collides"),
    *("relay_restored", "relay_rolled_back", "relay_wiped", "relay_disk_found"),
}
# Of histories with people: what else there is has histories of its own.
_PEOPLE_FAULTS = frozenset(FAULTS) - {
    *("device_clock", "device_cloned", "device_rolled_back", "device_rots", "relay_rots", "schema_upgraded"),
    *("relay_restored", "relay_rolled_back", "relay_wiped", "writer_collides"),
}


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run. `pace` is the mean time between two steps (microseconds).

    `neighbours` is how likely one device dials another, beside the relay; `imports` how likely, per step, somebody
    imports a table or edits what was imported, `exports` how likely somebody exports, or imports an edited export,
    `open_blocks` how likely somebody opens an edit block, or ends one, `beside` how likely somebody shows what is open,
    audits, or takes a bundle, `renewals` how likely a record is renewed. `renews`: devices renew what has grown by
    themselves. `http` is how likely a session with the relay goes over HTTP. With `people` there is a policy, which
    changes as often as that, per step; see `simulator/people`; with `masks` it shows some of them a
    field in part. With `quotas` the relay takes little of each device in a day, which is short then, and not fast; see
    `checkers/quotas`. A run that needs more than `events_per_step_max`, on the mean, is a storm.
    """

    seed: int
    devices: int
    records: int
    steps: int
    pace: int
    latency_max: int
    documents_max: int
    faults: Mapping[str, float] = field(default_factory=dict)
    scales: Mapping[str, int] = field(default_factory=dict)
    neighbours: float = 0.0
    imports: float = 0.0
    open_blocks: float = 0.0
    beside: float = 0.0
    renewals: float = 0.0
    renews: bool = False
    http: float = 0.0
    exports: float = 0.0
    people: float = 0.0
    masks: bool = False
    quotas: bool = False
    events_per_step_max: int = EVENTS_PER_STEP_MAX

    def without(self, fault: str) -> "Scenario":
        """The same run with one fault less."""
        return replace(self, faults={name: chance for name, chance in self.faults.items() if name != fault})

    def describe(self) -> str:
        """One line with all that was drawn."""
        faults = " ".join(f"{name}={chance:.3f}" for name, chance in self.faults.items()) or "none"
        scales = " ".join(f"{name}={value}" for name, value in self.scales.items()) or "none"
        return (
            f"seed={self.seed} devices={self.devices} records={self.records} steps={self.steps} pace={self.pace}us "
            f"latency={self.latency_max}us documents={self.documents_max} "
            f"neighbours={self.neighbours:.2f} imports={self.imports:.2f} "
            f"blocks={self.open_blocks:.2f} beside={self.beside:.2f} "
            f"renewals={self.renewals:.2f} renews={self.renews} http={self.http:.2f} "
            f"exports={self.exports:.2f} people={self.people:.2f} masks={self.masks} quotas={self.quotas} "
            f"faults: {faults} scales: {scales}"
        )


def draw(seed: int, steps: int | None = None, devices: int | None = None) -> Scenario:
    """The scenario of a seed. Each fault is left out of about half of the runs, so that none hides another.

    Most runs are short, some are thirty times as long. What strikes in a short one strikes more often.
    """
    rng = random.Random(f"scenario/{seed}")
    size = rng.random()
    steps = steps or int(_STEPS_MIN * (_STEPS_MAX / _STEPS_MIN) ** (size**3))
    density = min(_DENSITY_MAX, max(1.0, _STEPS_DENSE / steps))
    # One generator for each draw, so that a fault or limit that is added later leaves the others as they were.
    faults: dict[str, float] = {}
    for name, highest in FAULTS.items():
        own = random.Random(f"scenario/{seed}/{name}")
        if own.random() < 0.45:
            faults[name] = own.random() * highest * density
    if "writer_collides" in faults:  # a record that is stamped again is written by the core, whoever wrote into it
        faults.pop("device_clock", None)
    scales = {name: random.Random(f"scenario/{seed}/{name}").choice(values) for name, values in SCALES.items()}
    drawn = Scenario(
        seed,
        devices or rng.choice((2, 2, 2, 3, 3, 4, 5, 6)),
        rng.choice((1, 2, 4, 10, 30)),
        steps,
        rng.choice((3_000, 50_000, 500_000)),
        rng.choice((300, 5_000, 100_000)),
        rng.choice((1, 3, 2048)),
        faults if rng.random() < 0.95 else {},
        scales,
        _draw_neighbours(random.Random(f"scenario/{seed}/neighbours")),
        _draw_imports(random.Random(f"scenario/{seed}/imports")),
        # Where another device draws the same ids, only whoever makes one edit at a time can leave those records alone.
        0.0 if "writer_collides" in faults else _draw_open_blocks(random.Random(f"scenario/{seed}/blocks")),
        _draw_beside(random.Random(f"scenario/{seed}/beside")),
        *_draw_renewals(random.Random(f"scenario/{seed}/renewals"), collides="writer_collides" in faults),
        _draw_http(random.Random(f"scenario/{seed}/http")),
        _draw_exports(random.Random(f"scenario/{seed}/exports")),
    )
    if random.Random(f"scenario/{seed}/quotas").random() < _QUOTAS_CHANCE:
        return with_quotas(drawn)
    own = random.Random(f"scenario/{seed}/people")
    if own.random() >= _PEOPLE_CHANCE:
        return drawn
    return with_people(drawn, own.uniform(0.01, _PEOPLE_MAX), masks=draw_masks(seed))


def draw_masks(seed: int) -> bool:
    """Whether a history with people shows some of them a field in part: every other one does."""
    return random.Random(f"scenario/{seed}/masks").random() < _MASKS_CHANCE


def with_people(scenario: Scenario, often: float, *, masks: bool = False) -> Scenario:
    """The same run with a policy, which changes that often."""
    return replace(
        scenario,
        people=often,
        masks=masks,
        faults={name: chance for name, chance in scenario.faults.items() if name in _PEOPLE_FAULTS},
        imports=0.0,
        exports=0.0,
        open_blocks=0.0,
        beside=0.0,
        renewals=0.0,
        renews=False,
        http=0.0,
    )


def with_quotas(scenario: Scenario) -> Scenario:
    """The same run with quotas and rates."""
    return replace(
        with_people(scenario, 0.0),
        quotas=True,
        steps=min(scenario.steps, STEPS_MAX),
        neighbours=0.0,
        faults={name: chance for name, chance in scenario.faults.items() if name in _QUOTA_FAULTS},
        scales={**scenario.scales, "QUOTA_DAY_US": DAY_US},
    )


def _draw_neighbours(rng: random.Random) -> float:
    """In most runs all go through the relay alone, and in most of the others few know each other."""
    return rng.random() ** 2 if rng.random() < _NEIGHBOURS_CHANCE else 0.0


def _draw_beside(rng: random.Random) -> float:
    return rng.random() * _BESIDE_MAX if rng.random() < _BESIDE_CHANCE else 0.0


def _draw_renewals(rng: random.Random, *, collides: bool) -> tuple[float, bool]:
    """Nothing where another device draws the same ids: a renewed record takes a new one, unseen."""
    renewals = rng.random() * _RENEWALS_MAX if rng.random() < _RENEWALS_CHANCE else 0.0
    return (0.0, False) if collides else (renewals, rng.random() < _RENEWS_CHANCE)


def _draw_http(rng: random.Random) -> float:
    """Where anybody comes over HTTP, most do: what happens on connections is many times what happens on links."""
    return rng.uniform(0.5, 1.0) if rng.random() < _HTTP_CHANCE else 0.0


def _draw_imports(rng: random.Random) -> float:
    return rng.random() * _IMPORTS_MAX if rng.random() < _IMPORTS_CHANCE else 0.0


def _draw_exports(rng: random.Random) -> float:
    return rng.random() * _EXPORTS_MAX if rng.random() < _EXPORTS_CHANCE else 0.0


def _draw_open_blocks(rng: random.Random) -> float:
    return rng.random() if rng.random() < _OPEN_BLOCKS_CHANCE else 0.0


def pinned(title: str, scenario: Scenario) -> str:
    """The line that makes a scenario a test: an entry of the table in `tests/simulator/test_regressions.py`."""
    plain = replace(scenario, faults=dict(scenario.faults), scales=dict(scenario.scales))
    return f"    {title!r}: {plain!r},"


@contextmanager
def scaled(scales: Mapping[str, int]) -> Iterator[None]:
    """Put scaled limits in force while the block runs."""
    before = {name: getattr(limits, name) for name in scales}
    try:
        for name, value in scales.items():
            setattr(limits, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(limits, name, value)
