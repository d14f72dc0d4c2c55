"""Stores that are lost, put back as they once were, or copied, with nobody told: no edit of any life is missing.

The relay is a process, killed under load; its directory is deleted, or replaced by a plain copy taken earlier.
"""

import asyncio
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from crdt_sync import Address, Replica, bundled_schema, compare, keep_syncing, sync, sync_once
from crdt_sync.runtime.listening import listening
from tests.relay.processes import Launcher, kill

PATIENCE_S = 60.0
SHARED = "customers/shared"
TOKEN = "a-token-of-the-space"


class RelayProcess:
    """A relay that can be killed, and started again at the same address on whatever its directory holds."""

    def __init__(self, launcher: Launcher, data: Path, **bugs: Any) -> None:
        self._launcher = launcher
        self._bugs = bugs
        self.data = data
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self._pid: int | None = None

    def start(self) -> None:
        self._pid = self._launcher.launch("relay", data=str(self.data), port=self._port, **self._bugs)["pid"]

    def kill(self) -> None:
        if self._pid is not None:
            pid, self._pid = self._pid, None
            kill(pid)

    @property
    def address(self) -> Address:
        return Address(f"ws://127.0.0.1:{self._port}")


class Device:
    """A replica and the edits that it made: by record, the tags that it added."""

    def __init__(self, folder: Path, name: str) -> None:
        self.replica = Replica.create(folder / name, name, [bundled_schema("customers")])
        self.edits: dict[str, set[str]] = {}
        self.count = 0

    def edit(self, record: str = "") -> None:
        """One more tag, on a record of its own unless another is named."""
        name = self.replica.name
        record = record or f"customers/{name}-{self.count // 10}"
        self.count += 1
        with self.replica.edit(record, create=True) as customer:
            customer["name"] = record
            customer.add("tags", f"{name}-{self.count}")
        self.edits.setdefault(record, set()).add(f"{name}-{self.count}")

    def cursor(self) -> int:
        return max((partner.cursor for partner in self.replica.partners()), default=0)

    @contextmanager
    def at_work(self, address: Address) -> Iterator[None]:
        """Edit and sync in the background while the block runs."""
        done = threading.Event()
        failures: list[BaseException] = []

        def work() -> None:
            try:
                while not done.wait(0.002):
                    self.edit(SHARED if self.count % 20 == 19 else "")
            except BaseException as failure:
                failures.append(failure)

        thread = threading.Thread(target=work)
        with keep_syncing(self.replica, address):
            thread.start()
            try:
                yield
            finally:
                done.set()
                thread.join()
        assert failures == []


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    started = Launcher(tmp_path / "launcher.log")
    yield started
    started.close()


@pytest.fixture
def devices(tmp_path: Path) -> Iterator[Callable[[str], Device]]:
    made: list[Device] = []

    def make(name: str) -> Device:
        made.append(Device(tmp_path, name))
        return made[-1]

    yield make
    for device in made:
        device.replica.close()


@contextmanager
def serving(launcher: Launcher, data: Path, **bugs: Any) -> Iterator[RelayProcess]:
    relay = RelayProcess(launcher, data, **bugs)
    relay.start()
    try:
        yield relay
    finally:
        relay.kill()


def eventually(what: str, reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.01)


def missing(relay: Address, *devices: Device) -> list[str]:
    """What is wrong once everybody has synced: edits that a device lacks, devices that hold something else."""
    for device in [*devices, *devices]:
        assert sync(device.replica, relay).refused == 0
    problems = [f"{device.replica.name} differs" for device in devices if not compare(device.replica, relay).equal]
    for holder in devices:
        for record, tags in [item for device in devices for item in device.edits.items()]:
            known = {view.record for view in holder.replica.list("customers")}
            lacks = tags - set(holder.replica.get(record)["tags"]) if record in known else tags
            problems += [f"{holder.replica.name} lacks {tag} of {record}" for tag in sorted(lacks)]
    return problems


def work_until(relay: RelayProcess, edits: int, *devices: Device) -> None:
    """Let the devices edit under load and kill the relay in the middle of it."""
    goal = {device.replica.name: device.count + edits for device in devices}
    start = {device.replica.name: device.cursor() for device in devices}
    with ExitStack() as stack:
        for device in devices:
            stack.enter_context(device.at_work(relay.address))
        eventually("edits", lambda: all(device.count >= goal[device.replica.name] for device in devices))
        eventually("pushes", lambda: all(device.cursor() not in (0, start[device.replica.name]) for device in devices))
        relay.kill()


def test_what_a_deleted_relay_held_comes_back_from_the_devices(
    tmp_path: Path, launcher: Launcher, devices: Callable[[str], Device]
) -> None:
    with serving(launcher, tmp_path / "relay") as relay:
        anna, bob = devices("anna"), devices("bob")
        work_until(relay, 60, anna, bob)
        shutil.rmtree(relay.data)
        for device in (anna, bob):  # both will push the same record to the empty relay
            device.edit(SHARED)
        relay.start()
        work_until(relay, 30, anna, bob)
        relay.start()
        assert missing(relay.address, anna, bob) == []


def roll_back_under_load(relay: RelayProcess, devices: Callable[[str], Device]) -> list[str]:
    """Take an image under load, go on, put it back; one device comes back later than the other, which wrote much."""
    anna, bob = devices("anna"), devices("bob")
    work_until(relay, 40, anna, bob)
    image = relay.data.with_name("image")
    shutil.copytree(relay.data, image, ignore=shutil.ignore_patterns("control"))  # not its socket
    relay.start()
    work_until(relay, 60, anna, bob)
    shutil.rmtree(relay.data)
    shutil.move(image, relay.data)
    for device in (anna, bob):
        device.edit(SHARED)
    relay.start()
    sync(bob.replica, relay.address)
    for number in range(anna.cursor() - bob.cursor() + 20):  # the new history outgrows what anna knows of the lost one
        bob.edit(f"customers/late-{number}")
    sync(bob.replica, relay.address)
    assert bob.cursor() > anna.cursor()
    return missing(relay.address, anna, bob)


def test_what_a_relay_lost_by_a_plain_copy_of_its_directory_comes_back(
    tmp_path: Path, launcher: Launcher, devices: Callable[[str], Device]
) -> None:
    with serving(launcher, tmp_path / "relay") as relay:
        assert roll_back_under_load(relay, devices) == []


def test_without_lives_the_same_loss_stays(
    tmp_path: Path, launcher: Launcher, devices: Callable[[str], Device]
) -> None:
    with serving(launcher, tmp_path / "relay", one_life=True) as relay:
        assert roll_back_under_load(relay, devices) != []


def test_a_relay_that_goes_back_and_forth_between_two_histories_has_both(
    tmp_path: Path, launcher: Launcher, devices: Callable[[str], Device]
) -> None:
    """An image is put back, and, after some work, the history that it had replaced."""
    with serving(launcher, tmp_path / "relay") as relay:
        anna, bob = devices("anna"), devices("bob")
        work_until(relay, 20, anna, bob)
        image, beside = relay.data.with_name("image"), relay.data.with_name("beside")
        shutil.copytree(relay.data, image, ignore=shutil.ignore_patterns("control"))  # not its socket
        for edits, other in ((30, image), (30, beside)):
            relay.start()
            work_until(relay, edits, anna, bob)
            shutil.move(relay.data, beside.with_name(f"from-{other.name}"))
            shutil.move(other if other.exists() else beside.with_name("from-image"), relay.data)
        relay.start()
        assert missing(relay.address, anna, bob) == []


def reopen(device: Device, path: Path) -> None:
    device.replica.close()
    device.replica = Replica.open(path)


def test_a_copied_and_a_rolled_back_device_keep_the_edits_of_all_lives(
    tmp_path: Path, launcher: Launcher, devices: Callable[[str], Device]
) -> None:
    with serving(launcher, tmp_path / "relay") as relay:
        anna, bob = devices("anna"), devices("bob")
        home = tmp_path / "anna"
        for device in (anna, bob):
            device.edit(SHARED)
            sync(device.replica, relay.address)
        anna.edit()
        anna.replica.close()
        shutil.copytree(home, tmp_path / "image")
        shutil.copytree(home, tmp_path / "twin")
        anna.replica, twin = Replica.open(home), devices("another")
        reopen(twin, tmp_path / "twin")
        twin.count = 1000
        with keep_syncing(anna.replica, relay.address), keep_syncing(twin.replica, relay.address):
            for _ in range(30):  # both lives at once, on the same records
                for device in (anna, twin, bob):
                    device.edit(SHARED)
                    device.edit()
        sync(bob.replica, relay.address)
        sync(anna.replica, relay.address)  # what only this life's disk held would be lost with it
        anna.replica.close()
        shutil.rmtree(home)
        shutil.copytree(tmp_path / "image", home)
        anna.replica = Replica.open(home)
        anna.count = 2000
        for _ in range(5):
            anna.edit(SHARED)
        assert missing(relay.address, anna, bob, twin) == []


def test_a_listening_device_that_was_rolled_back_honours_no_cursor_of_the_lost_history(
    tmp_path: Path, devices: Callable[[str], Device]
) -> None:
    anna, bob = devices("anna"), devices("bob")
    home = tmp_path / "anna"

    async def meet() -> None:
        async with listening(anna.replica, "127.0.0.1", 0, TOKEN, None) as listener:
            await sync_once(bob.replica, Address(listener.url, TOKEN, direct=True))

    for device in (anna, bob):
        device.edit(SHARED)
    asyncio.run(meet())
    anna.replica.close()
    shutil.copytree(home, tmp_path / "image")
    anna.replica = Replica.open(home)
    for _ in range(10):
        anna.edit(SHARED)
        bob.edit()
    asyncio.run(meet())  # and only bob holds what anna wrote in this life
    bob_at = bob.cursor()
    anna.replica.close()
    shutil.rmtree(home)
    os.rename(tmp_path / "image", home)
    anna.replica = Replica.open(home)
    anna.count = 1000
    while anna.replica.store.head() <= bob_at + 5:
        anna.edit()
    asyncio.run(meet())
    assert anna.replica.receipt().root == bob.replica.receipt().root
    for device in (anna, bob):
        assert anna.edits[SHARED] | bob.edits[SHARED] <= set(device.replica.get(SHARED)["tags"])
        assert anna.edits.keys() | bob.edits.keys() == {view.record for view in device.replica.list("customers")}
