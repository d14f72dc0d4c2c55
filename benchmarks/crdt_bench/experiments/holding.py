"""What it costs to serve devices that hold some records and not others, over a store on disk."""

import json
import random
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from crdt_bench.results import Measurement, Outcome, Target
from crdt_sync import ids
from crdt_sync.policy.in_force import InForce
from crdt_sync.policy.reading import parse_policy
from crdt_sync.principal import Principal
from crdt_sync.protocol.hub.audience import Audience
from crdt_sync.protocol.live_pages import LivePages
from crdt_sync.protocol.selecting import Selected
from crdt_sync.protocol.serving_selected import SelectedServing
from crdt_sync.protocol.sight import Sight
from crdt_sync.replica import StoreSource
from crdt_sync.replica.sights import StoreSights
from crdt_sync.storage.lmdb import LmdbStore
from crdt_sync.storage.values import Batch, Change, Placement

NAME = "holding"
_FIELDS = b"region, owner"
_US, _MS = 1e6, 1e3
_GRANT = """
[[role.sales.grant]]
collection = "customers"
where = "region in user.regions or owner == user.id"
read = ["*"]
operations = ["edit"]
"""
_ORIGIN = b"o" * 16
_PER_COMMIT = 500


@dataclass(frozen=True, slots=True)
class Sizes:
    """Records, of which each user holds about `held`; devices; changes that are told; rounds."""

    records: int = 100_000
    held: int = 1000
    devices: int = 1000
    changes: int = 1000
    rounds: int = 3


SMALL = Sizes(records=400, held=20, devices=20, changes=20, rounds=1)


def run(sizes: Sizes) -> list[Outcome]:
    """Each round makes a store with as many records, and one with a tenth of them, of which users hold as many."""
    figures: dict[str, list[float]] = {}
    for number in range(sizes.rounds):
        cold = {}
        for records in (sizes.records, max(sizes.held, sizes.records // 10)):
            with (
                tempfile.TemporaryDirectory() as directory,
                LmdbStore.open(Path(directory) / "s", create=True) as store,
            ):
                world = _World(store, sizes, records, random.Random(number))
                cold[records] = world.first_sync()
                if records == sizes.records:
                    for key, value in world.measured():
                        figures.setdefault(key, []).append(value)
        large, small = cold[sizes.records], cold[max(sizes.held, sizes.records // 10)]
        figures.setdefault("cold", []).append(large * _MS)
        figures.setdefault("ratio", []).append(large / small if small else 0.0)
    told = (
        ("kept", "a commit with what records show, over one without", "", None),
        ("change", f"a change: read from the log, and who of {sizes.devices:,} devices is woken", "µs", 30.0),
        ("move", "a record moves to another region: the same", "µs", None),
        ("grant", "a user's regions change: what goes and comes is told", "ms", None),
        ("told", "records that go and come by it", "", None),
        ("cold", f"a first sync lists {sizes.held:,} of {sizes.records:,} records", "ms", None),
        ("ratio", "the same, over one of a tenth of the records", "", None),
    )
    return [
        Measurement(NAME, label, unit, tuple(figures[key]), Target("at most", bound) if bound else None)
        for key, label, unit, bound in told
    ]


class _World:
    """One store, and the sessions of many devices that follow it."""

    def __init__(self, store: LmdbStore, sizes: Sizes, records: int, rng: random.Random) -> None:
        self._store, self._sizes, self._rng = store, sizes, rng
        self._regions = max(2, 2 * records // sizes.held)
        store.commit([Batch(placement=Placement(_FIELDS, ""))])
        store.commit([Batch(placement=Placement(_FIELDS))])
        self._names = [f"customers/{ids.new_record('customers', rng).partition('/')[2]}" for _ in range(records)]
        self._numbers = {record: number for number, record in enumerate(self._names)}
        for start in range(0, records, 5000):
            self._commit(self._names[start : start + 5000])
        self._in_force = InForce(1, parse_policy(_policy(sizes.devices, self._regions, rng), NAME))
        self._source = StoreSource(store, lambda _: None)
        self._sights = StoreSights(store, lambda: self._in_force, lambda: _FIELDS)

    def _commit(self, records: list[str], *, kept: bool = True, region: str | None = None) -> float:
        """Commit a change of each; the processor time of it."""
        numbers = [self._numbers[record] for record in records]
        forms = [
            {"region": region or f"r{number % self._regions}", "owner": f"u{number % self._sizes.devices}"}
            for number in numbers
        ]
        changes = tuple(
            Change(record, (b"u" * 60,), _ORIGIN, "", 1, b"\x01\x01\x01", forms=found if kept else None, fields=_FIELDS)
            for record, found in zip(records, forms, strict=True)
        )
        begun = time.process_time()
        self._store.commit([Batch(changes=changes)])
        return time.process_time() - begun

    def _selected(self, user: str) -> Selected:
        principal = Principal(b"d" * 16, user=user)
        sight = self._sights.of(principal)
        assert sight is not None, "a policy is in force"
        return Selected(self._source, self._sights, principal, sight)

    def _listed(self, selected: Selected, cursor: int) -> tuple[int, float]:
        """All that the feed lists and drops after a cursor, and the processor time of it."""
        begun, found = time.process_time(), 0
        selected.begin(cursor)
        while not (step := selected.next(cursor, 512)).ended:
            cursor = step.cursor
            found += len(step.listed) + len(step.dropped)
        return found, time.process_time() - begun

    def first_sync(self) -> float:
        """The processor time of what a first sync takes to find its records."""
        spent = [self._listed(self._selected(f"u{number}"), 0)[1] for number in range(min(20, self._sizes.devices))]
        return sorted(spent)[len(spent) // 2]

    def measured(self) -> list[tuple[str, float]]:
        """What changes and grants cost."""
        return [*self._grants(), *self._changes(), ("kept", self._kept())]

    def _changes(self) -> list[tuple[str, float]]:
        live = LivePages(self._source)
        audience = Audience(self._source, live, self._sights)
        for number in range(self._sizes.devices):
            audience.join(number, cast(SelectedServing, _AtRest(self._selected(f"u{number}").sight)))
        found = []
        for key, region in (("change", None), ("move", "elsewhere")):
            chosen = self._rng.sample(
                self._names[:: self._regions], min(self._sizes.changes, len(self._names) // self._regions)
            )
            for start in range(0, len(chosen), _PER_COMMIT):
                self._commit(chosen[start : start + _PER_COMMIT], region=region or "r0")
            begun = time.process_time()
            audience.concerned()
            found.append((key, (time.process_time() - begun) / len(chosen) * _US))
        return found

    def _grants(self) -> list[tuple[str, float]]:
        spent = count = 0.0
        users = range(min(20, self._sizes.devices))
        head = self._store.head()
        for number in users:
            before, after = self._selected(f"u{number}"), self._selected(f"u{(number + 1) % self._sizes.devices}")
            before.regrant(after.sight)
            found, took = self._listed(before, head)
            spent, count = spent + took, count + found
        return [("grant", spent / len(users) * _MS), ("told", count / len(users))]

    def _kept(self) -> float:
        """In turns, so that a busy machine counts on both sides."""
        spent = [0.0, 0.0]
        chunk = min(_PER_COMMIT, len(self._names) // 2)
        for turn, start in enumerate(range(0, min(20 * chunk, len(self._names)), chunk)):
            spent[turn % 2] += self._commit(self._names[start : start + chunk], kept=turn % 2 == 0)
        return spent[0] / spent[1] if spent[1] else 0.0


class _AtRest:
    """As much of a session as an audience looks at."""

    wants_room = True

    def __init__(self, sight: Sight) -> None:
        self.sight = sight
        self.at_rest = True

    def wake(self, _cursor: int) -> None:
        self.at_rest = False


def _policy(devices: int, regions: int, rng: random.Random) -> str:
    lines = [_GRANT]
    for number in range(devices):
        chosen = [f"r{each}" for each in rng.sample(range(regions), 2)]
        lines += [f"[user.u{number}]", 'role = "sales"', f"attributes = {{ regions = {json.dumps(chosen)} }}"]
    return "\n".join(lines)
