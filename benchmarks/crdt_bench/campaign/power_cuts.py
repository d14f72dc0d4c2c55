"""Power cuts: rebuild the store's file as a disk may have left it, open it, and compare it with what was promised."""

import random
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from crdt_bench.campaign.confined import confined, each_confined
from crdt_bench.campaign.encrypted import prepare
from crdt_bench.campaign.power_images import Image, cut
from crdt_bench.campaign.power_recording import Event, Sync, Write, missing, record
from crdt_bench.campaign.store_history import history, observe
from crdt_bench.campaign.tally import Tally
from crdt_sync.errors import CrdtSyncError
from crdt_sync.storage import LmdbStore, MemoryStore

_STEPS = 60
_TOGETHER = 50  # images in memory, and checked by one process
NOT_CREATED, ACKNOWLEDGED, UNDER_WAY = "not created yet", "as acknowledged", "with the commit under way"
SOUND = {NOT_CREATED, ACKNOWLEDGED, UNDER_WAY}
_MEMORY_DISK = Path("/dev/shm")


def run(seed: int, count: int, *, sync: bool = True, steps: int = _STEPS, encrypted: bool = False) -> Tally:
    """Check `count` images of one recorded history; `sync` False plants the bug that must be found."""
    tally = Tally("power cuts", "images", seed, skipped=missing())
    if tally.skipped:
        return tally
    with tempfile.TemporaryDirectory(dir=memory_disk()) as name:
        directory = Path(name)
        given = (str(seed), str(steps), *(() if sync else ("--no-sync",)))
        prepare(directory / "store", encrypted=encrypted)
        events = record(directory, "crdt_bench.campaign.power_writer", *given)
        expected = _states(seed, steps)

        def check(image: Image, path: Path) -> str:
            return _check(prepare(path, encrypted=encrypted), image, expected)

        examine(tally, directory, events, count, check)
    return tally


def memory_disk() -> Path | None:
    """Where images are written: they are read back at once, and nothing is gained by a disk."""
    return _MEMORY_DISK if _MEMORY_DISK.is_dir() else None


def examine(
    tally: Tally,
    directory: Path,
    events: Sequence[Event],
    count: int,
    check: Callable[[Image, Path], str],
    *,
    first: int = 0,
) -> None:
    """Have `check` say what became of `count` images, each of a cut at the event `first` or later.

    `check` gets the image and a directory of its own to put it into; it runs in a process that may die.
    """
    rng = random.Random(tally.seed)
    everywhere = range(first, len(events))
    critical = [number for number in everywhere if isinstance(events[number], Sync) or _durable(events[number])]
    critical = critical or list(everywhere)
    for begin in range(0, count, _TOGETHER):
        numbers = range(begin, min(begin + _TOGETHER, count))
        images = [cut(events, rng.choice(rng.choice((everywhere, critical))), rng) for _ in numbers]
        checks = [
            partial(check, image, directory / f"image{number}") for number, image in zip(numbers, images, strict=True)
        ]
        for image, each, together in zip(images, checks, each_confined(checks), strict=True):
            outcome = together if together in SOUND else confined(each)  # in a process that saw no other image
            tally.ran += 1
            if outcome in SOUND:
                tally.outcomes[outcome] += 1
            else:
                tally.found(f"event {image.cut_at} of {len(events)}, {image.survival}: {outcome}")


def _durable(event: Event) -> bool:
    return isinstance(event, Write) and event.durable


def _states(seed: int, steps: int) -> list[dict[str, object]]:
    """What the store holds after each step, by the model."""
    model = MemoryStore()
    states = [observe(model)]
    for step in history(seed, steps):
        step(model)
        states.append(observe(model))
    return states


def _check(directory: Path, image: Image, expected: list[dict[str, object]]) -> str:
    """What became of the image."""
    directory.mkdir(exist_ok=True)
    (directory / "data.mdb").write_bytes(image.content)
    done = len(image.said) - 1  # the first thing said is that it was created
    try:
        store = LmdbStore.open(directory)
    except CrdtSyncError as error:
        return _created_again(directory) if done < 0 else f"it does not open: {error}"
    try:
        report = store.verify()
        if report.findings:
            return f"damage: {report.findings[0]}"
        held = observe(store)
        if held == expected[max(done, 0)]:
            return ACKNOWLEDGED
        if done + 1 < len(expected) and held == expected[max(done + 1, 0)]:
            return UNDER_WAY
        differing = [name for name, value in held.items() if value != expected[max(done, 0)][name]]
        return f"{done} steps were acknowledged, and these readings differ: {', '.join(differing)}"
    except CrdtSyncError as error:
        return f"it does not read: {error}"
    finally:
        store.close()
        (directory / "data.mdb").unlink()


def _created_again(directory: Path) -> str:
    """A creation that was cut short can be made up for."""
    try:
        LmdbStore.open(directory, create=True).close()
    except CrdtSyncError as error:
        return f"its creation was cut short, and trying again fails: {error}"
    return NOT_CREATED
