"""A device and a relay that never met compare what they hold, and one of them, then both, are killed hard meanwhile."""

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pycrdt
import pytest

from crdt_bench.contents import contents
from crdt_sync import Address, Replica, bundled_schema, compare, sync
from crdt_sync.records import Document
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.storage import Batch, Change, LmdbStore
from tests.relay.devices import PATIENCE_S, seen, update
from tests.relay.processes import Launcher, ended, kill

SHARED = [f"customers/shared{number:04}" for number in range(900)]
OURS = [f"customers/ours{number:04}" for number in range(150)]
THEIRS = [f"customers/theirs{number:04}" for number in range(150)]
EDITED_HERE, EDITED_THERE = set(SHARED[::50]), set(SHARED[::60])  # some on both sides


def whole(record: str, content) -> Change:
    return Change(
        record, (content.update,), b"o" * 16, "", 1, content.state_vector, content.update, content.view, content.digest
    )


def edited(record: str, side: str) -> Change:
    """One more entry in a log field, by a writer of its own, with no digest yet."""
    more = update(side)
    document: pycrdt.Doc = pycrdt.Doc()
    document.apply_update(more)
    return Change(record, (more,), b"o" * 16, "", 2, vectors.merge(VECTORS[record], document.get_state()))


VECTORS: dict[str, bytes] = {}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a `device` and a `relay`; each holds records of its own, and edits of shared ones."""
    folder = tmp_path_factory.mktemp("prepared")
    templates = contents(1)
    held = {record: templates[number % len(templates)] for number, record in enumerate(SHARED + OURS + THEIRS)}
    VECTORS.update({record: content.state_vector for record, content in held.items()})
    with Replica.create(folder / "device", "anna", [bundled_schema("customers")]) as replica:
        replica.store.commit([Batch(tuple(whole(record, held[record]) for record in SHARED + OURS))])
        replica.store.commit([Batch(tuple(edited(record, "here") for record in sorted(EDITED_HERE)))])
    with LmdbStore.open(folder / "relay", create=True) as store:
        store.commit([Batch(tuple(whole(record, held[record]) for record in SHARED + THEIRS))])
        store.commit([Batch(tuple(edited(record, "there") for record in sorted(EDITED_THERE)))])
    return folder


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    started = Launcher(tmp_path / "launcher.log")
    try:
        yield started
    finally:
        started.close()


def wait_until_dead(pid: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not ended(pid):
        assert time.monotonic() < deadline, "it was to die by itself"
        time.sleep(0.002)


def kill_if_there(pid: int) -> None:
    with suppress(ProcessLookupError):
        kill(pid)


@pytest.mark.parametrize(
    ("side", "moment", "number"),
    [
        ("relay", "message", 1),
        ("relay", "message", 2),
        ("relay", "commit", 1),
        ("device", "message", 1),
        ("device", "message", 2),
        ("device", "commit", 1),
        ("device", "commit", 2),
    ],
)
def test_whoever_is_killed_while_comparing_both_hold_everything_in_the_end(
    prepared: Path, tmp_path: Path, launcher: Launcher, side: str, moment: str, number: int
) -> None:
    data, store = tmp_path / "relay", tmp_path / "device"
    shutil.copytree(prepared / "relay", data)
    shutil.copytree(prepared / "device", store)
    dying = {"moment": moment, "number": number}
    relay = launcher.launch("relay", data=str(data), **(dying if side == "relay" else {}))
    device = launcher.launch("meeting", store=str(store), url=relay["url"], **(dying if side == "device" else {}))
    wait_until_dead((relay if side == "relay" else device)["pid"])
    kill_if_there(relay["pid"])
    kill_if_there(device["pid"])
    assert any("message" in words for words in launcher.heard()), "they compared"

    # Once more, both at once, at any moment.
    relay = launcher.launch("relay", data=str(data))
    device = launcher.launch("meeting", store=str(store), url=relay["url"])
    # The drawn moment of the kill, not a wait for an outcome: what follows must hold whatever they came to.
    time.sleep(random.Random(f"{side} {moment} {number}").uniform(0.0, 0.4))
    os.kill(device["pid"], signal.SIGKILL)
    kill(relay["pid"])
    kill_if_there(device["pid"])

    relay = launcher.launch("relay", data=str(data))
    with Replica.open(store) as replica:
        sync(replica, Address(relay["url"]))
        assert compare(replica, Address(relay["url"])).equal
    kill(relay["pid"])
    for folder in (data, store):
        assert_everything_is_there(folder)


def assert_everything_is_there(folder: Path) -> None:
    with LmdbStore.open(folder) as store:
        assert store.verify().findings == ()
        assert store.records("", 10_000) == sorted(SHARED + OURS + THEIRS)
        for record in (*EDITED_HERE, *EDITED_THERE):
            expected = {side for side, some in (("here", EDITED_HERE), ("there", EDITED_THERE)) if record in some}
            updates = store.load(record).updates
            assert seen(updates) == expected
            assert vectors.covers(Document.load(updates).state_vector(), VECTORS[record])
