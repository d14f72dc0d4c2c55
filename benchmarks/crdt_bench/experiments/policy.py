"""Who hears of a change, and what a change of grants moves, at the size of a company."""

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from crdt_bench.results import Measurement, Outcome, Target
from crdt_bench.usage import MIB, usage_of_process
from crdt_sync.policy.cells import Cell, cells_of
from crdt_sync.policy.holdings import Holdings
from crdt_sync.policy.index import Index
from crdt_sync.policy.model import Policy
from crdt_sync.policy.reading import parse_policy
from crdt_sync.policy.rights import Rights, rights_of

NAME = "policy"
_COLLECTION = "customers"
_US = 1e6
_MS = 1e3
_ROLES = """
[[role.sales.grant]]
collection = "customers"
where = "region in user.regions or owner == user.id"
read = ["*"]
write = ["phone", "stage"]
operations = ["create", "edit"]

[[role.office.grant]]
collection = "customers"
read = ["*", "finance"]
operations = ["export"]
"""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Records, devices and those of them who may see all, regions and how many a user has, repetitions of each step."""

    records: int = 100_000
    devices: int = 1000
    office: int = 20
    regions: int = 30
    regions_each: int = 2
    changes: int = 5000
    grants: int = 200
    asked: int = 100
    rounds: int = 3


SMALL = Sizes(records=300, devices=20, office=2, regions=5, changes=20, grants=5, asked=5, rounds=2)


@dataclass(frozen=True, slots=True)
class _World:
    policy: Policy
    rights: Mapping[str, Rights]
    cells: Mapping[str, frozenset[Cell]]
    index: Index[str]
    holdings: Holdings
    records: Mapping[str, Mapping[str, object]]


def run(sizes: Sizes) -> list[Outcome]:
    """Each round builds everything anew, and asks both ways for the same changes."""
    figures: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        figures.setdefault(name, []).append(value)

    for number in range(sizes.rounds):
        rng = random.Random(number)
        world = _built(sizes, rng, note)
        _changes(world, sizes, rng, note)
        _grants(world, sizes, rng, note)
    what = f"among {sizes.devices:,} devices"
    told = (
        ("read", "a policy is read", "ms", None),
        ("bind", "what all devices may, and their places in the index", "ms", None),
        ("put", f"{sizes.records:,} records are taken up", "ms", None),
        ("memory", "memory of records, index and policy", "MiB", None),
        ("change", f"a change: who hears of it, {what}", "µs", 30.0),
        ("move", "a record moves to another region: who leaves, joins and stays", "µs", None),
        ("asked", "the same change: every device's grants are asked", "µs", None),
        ("ratio", "asking every device, over the index", "", None),
        ("holders", "devices that hold a record", "", None),
        ("grant", "a user's regions change: the records that go and come", "ms", 1.0),
        ("moved", "records that go and come by it", "", None),
        ("held", "all records that one device may hold", "ms", None),
        ("hold", "records that one device may hold", "", None),
    )
    figures["memory"] = figures["memory"][:1]  # later rounds use again what was given back
    return [
        Measurement(NAME, label, unit, tuple(figures[key]), Target("at most", bound) if bound else None)
        for key, label, unit, bound in told
    ]


def _built(sizes: Sizes, rng: random.Random, note: Callable[[str, float], None]) -> _World:
    text = _text(sizes, rng)
    records = {
        f"{_COLLECTION}/{number}": {"region": _region(number % sizes.regions), "owner": f"u{number % sizes.devices}"}
        for number in range(sizes.records)
    }
    before = usage_of_process().private_bytes
    started = time.process_time()
    policy = parse_policy(text, NAME)
    note("read", (time.process_time() - started) * _MS)
    started = time.process_time()
    rights = {user: rights_of(policy, user) for user in policy.users}
    cells = {user: cells_of(each) for user, each in rights.items()}
    index: Index[str] = Index()
    for user, each in cells.items():
        index.put(user, each)
    note("bind", (time.process_time() - started) * _MS)
    holdings = Holdings(_COLLECTION, ["region", "owner"])
    started = time.process_time()
    for record, values in records.items():
        holdings.put(record, values)
    note("put", (time.process_time() - started) * _MS)
    note("memory", (usage_of_process().private_bytes - before) / MIB)
    return _World(policy, rights, cells, index, holdings, records)


def _changes(world: _World, sizes: Sizes, rng: random.Random, note: Callable[[str, float], None]) -> None:
    names = list(world.records)
    chosen = [world.records[rng.choice(names)] for _ in range(sizes.changes)]
    moved = [{**values, "region": _region(rng.randrange(sizes.regions))} for values in chosen]
    started = time.process_time()
    for values in chosen:
        world.index.change(_COLLECTION, values, values)
    change = (time.process_time() - started) / sizes.changes
    started = time.process_time()
    for old, new in zip(chosen, moved, strict=True):
        world.index.change(_COLLECTION, old, new)
    move = (time.process_time() - started) / sizes.changes
    asked = chosen[: sizes.asked]
    started = time.process_time()
    answers = [{user for user, each in world.rights.items() if each.on(_COLLECTION, values).held} for values in asked]
    scan = (time.process_time() - started) / len(asked)
    for values, answer in zip(asked, answers, strict=True):
        if world.index.holders(_COLLECTION, values) != answer:
            raise AssertionError("the index and the grants of the devices say different things")
    note("change", change * _US)
    note("move", move * _US)
    note("asked", scan * _US)
    note("ratio", scan / change if change else 0.0)
    note("holders", sum(map(len, answers)) / len(answers))


def _grants(world: _World, sizes: Sizes, rng: random.Random, note: Callable[[str, float], None]) -> None:
    sales = [user for user in world.policy.users.values() if user.role == "sales"]
    spent = count = 0.0
    for _ in range(sizes.grants):
        user = rng.choice(sales)
        regions = (*user.attributes["regions"][1:], _region(rng.randrange(sizes.regions)))
        changed = replace(user, attributes={"regions": regions})
        newer = Policy(world.policy.roles, {user.id: changed})
        started = time.process_time()
        cells = cells_of(rights_of(newer, user.id))
        world.index.put(user.id, cells)
        moved = world.holdings.moved(world.cells[user.id], cells)
        spent += time.process_time() - started
        count += len(moved.lost) + len(moved.gained)
        world.index.put(user.id, world.cells[user.id])
    note("grant", spent / sizes.grants * _MS)
    note("moved", count / sizes.grants)
    started = time.process_time()
    held = sum(len(world.holdings.held(world.cells[rng.choice(sales).id])) for _ in range(sizes.grants))
    note("held", (time.process_time() - started) / sizes.grants * _MS)
    note("hold", held / sizes.grants)


def _text(sizes: Sizes, rng: random.Random) -> str:
    lines = [_ROLES]
    for number in range(sizes.devices):
        lines.append(f"[user.u{number}]")
        if number < sizes.office:
            lines.append('role = "office"')
            continue
        regions = [_region(each) for each in rng.sample(range(sizes.regions), sizes.regions_each)]
        lines += ['role = "sales"', f"attributes = {{ regions = {json.dumps(regions)} }}"]
    return "\n".join(lines)


def _region(number: int) -> str:
    return f"region {number}"
