"""Five devices that meet by bundle only end equal, whatever was lost, late, or applied twice."""

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crdt_sync.exchange.bundle import contents
from crdt_sync.replica.carried import carried
from crdt_sync.storage.memory import MemoryStore
from tests.replica.wire import VirtualTime

from .conftest import Device


class Story:
    """Five devices, edits, bundles that are delivered late, twice or never, and directories that are put back raw."""

    def __init__(self, devices: list[Device]) -> None:
        self.devices = devices
        self.bundles: list[Path] = []
        self.images: dict[int, MemoryStore] = {}
        self.records: list[str] = [devices[0].new(name="shared", notes="once upon a time")]

    def edit(self, who: int, which: int, what: int) -> None:
        device = self.devices[who]
        record = self.records[which % len(self.records)]
        if device.store.record_head(record) is None or what == 0:
            self.records.append(device.new(name=f"by {device.name}"))
            return
        if what == 1:
            device.replica.delete(record)
            return
        if device.replica.get(record).deleted:
            device.replica.restore(record)
        with device.replica.edit(record) as customer:
            phone = f"{device.name} {device.store.head()}"
            if customer.conflict("phone") is None:
                customer["phone"] = phone
            else:
                customer.resolve("phone", phone)
            customer.increment("visits")
            customer.add("tags", f"{device.name}{what}")
            notes = customer.text("notes")
            notes.replace(f"{notes} {device.name} wrote {what}")

    def make(self, who: int, whom: int) -> None:
        device = self.devices[who]
        names = {known.name for known in carried(device.store).values()}
        name = self.devices[whom].name
        self.bundles.append(device.write(name if name in names else None))

    def carry(self, which: int, to: int) -> None:
        if self.bundles:
            self.devices[to].read(self.bundles[which % len(self.bundles)])

    def save(self, who: int) -> None:
        self.images[who] = self.devices[who].store.clone()

    def put_back(self, who: int) -> None:
        if who in self.images:
            self.devices[who].open(self.images[who].clone())

    def held(self) -> set[str]:
        """Every record that some device holds."""
        return {record for device in self.devices for record in device.store.records("", 1 << 30)}

    def heal(self, neighbours: list[tuple[int, int]]) -> None:
        """Carry bundles along the lines, each made for whom it is carried to, until nothing new arrives."""
        for _ in range(4 * len(self.devices)):
            received = 0
            for here, there in neighbours:
                for source, target in ((here, there), (there, here)):
                    self.make(source, target)
                    done = self.devices[target].read(self.bundles[-1])
                    received += done.received
                    if done.obstacle:
                        self.devices[source].read(self.devices[target].write())
                        received += 1
            if not received:
                return
        raise AssertionError("bundles go round for ever")


LINES = {
    "chain": [(0, 1), (1, 2), (2, 3), (3, 4)],
    "ring": [(0, 1), (1, 2), (2, 3), (3, 4), (4, 0)],
}
_device = st.integers(0, 4)
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("edit"), _device, st.integers(0, 9), st.integers(0, 5)),
        st.tuples(st.just("make"), _device, _device),
        st.tuples(st.just("carry"), st.integers(0, 30), _device),
        st.tuples(st.sampled_from(["save", "put_back"]), _device),
    ),
    max_size=40,
)


@pytest.mark.parametrize("lines", LINES)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=_steps)
def test_devices_that_meet_by_bundle_only_converge(
    lines: str, steps: list[tuple[Any, ...]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    time = VirtualTime()
    folder = tmp_path_factory.mktemp("bundles")
    story = Story([Device(f"device{number}", folder, time, number + 1) for number in range(5)])
    for name, *arguments in steps:
        getattr(story, name)(*arguments)
    held = story.held()
    story.heal(LINES[lines])
    first, *others = [device.state() for device in story.devices]
    assert all(other == first for other in others)
    assert all(device.store.record_head(record) for record in held for device in story.devices)


def run_drawn(seed: int, folder: Path) -> None:
    """A drawn story of three devices, healed; raises `AssertionError` where they do not end equal."""
    rng = random.Random(seed)
    time = VirtualTime()
    folder.mkdir()
    story = Story([Device(f"device{number}", folder, time, seed * 10 + number) for number in range(3)])
    story.heal([(0, 1), (1, 2), (2, 0)])  # all know each other
    for _ in range(100):
        match rng.choice(("edit", "edit", "make", "make", "carry", "carry", "disk")):
            case "edit":
                story.edit(rng.randrange(3), rng.randrange(10), rng.randrange(6))
            case "disk":
                rng.choice((story.save, story.put_back))(rng.randrange(3))
            case "make":
                story.make(rng.randrange(3), rng.randrange(3))
            case _:
                story.carry(len(story.bundles) - rng.randrange(1, 6), rng.randrange(3))
    held = story.held()
    story.heal(LINES["chain"][:2])
    first, *others = [device.state() for device in story.devices]
    assert all(other == first for other in others)
    assert held <= story.held()


def test_drawn_stories_converge(tmp_path: Path) -> None:
    for seed in range(12):
        run_drawn(seed, tmp_path / str(seed))


def _all_is_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Making a bundle counts as delivering it."""
    honest = contents.lacking

    def lacking(store: Any, partner: Any) -> contents.Contents:
        made = honest(store, partner)
        return contents.Contents(made.head, made.head, made.partner, 0, iter(())) if partner.carried.told else made

    monkeypatch.setattr("crdt_sync.exchange.bundle.creating.lacking", lacking)


def _others_edits_are_taken_for_the_partners(monkeypatch: pytest.MonkeyPatch) -> None:
    """What came from anybody is believed to be there."""

    def changed(store: Any, base: int, partner: bytes, floor: int) -> Any:
        for entry in store.feed(base, 10_000):
            if any(update.origin == store.replica and update.seq > base for update in store.history(entry.record)):
                yield entry.record, b"\x00"

    monkeypatch.setattr(contents, "_changed", changed)


@pytest.mark.parametrize(
    "plant",
    [_all_is_delivered, _others_edits_are_taken_for_the_partners],
)
def test_a_planted_bug_keeps_them_apart(plant: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    for seed in range(12):
        try:
            run_drawn(seed, tmp_path / str(seed))
        except AssertionError:
            return
    raise AssertionError("nobody noticed")
