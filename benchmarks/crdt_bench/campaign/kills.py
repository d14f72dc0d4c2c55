"""SIGKILL at any moment, of relay, integration worker and devices, under load; what was acknowledged is there after.

One device's store is edited by a second program, through the first one, which owns it: either is killed. After each
kill of a relay, device or owner its store is opened and verified, everything that it acknowledged is looked for,
and it is started again; the others go on meanwhile. At the end all agree, and nothing is missing or counted twice.
"""

import asyncio
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from crdt_bench.campaign.kill_cast import PATIENCE_S, Cast, NothingHeard
from crdt_bench.campaign.kill_ledger import Ledger
from crdt_bench.campaign.kill_operations import OPERATIONS
from crdt_bench.campaign.tally import Tally
from crdt_bench.usage import descendants
from crdt_relay.control import ControlFailed, NotRunning, ask
from crdt_sync import Address, Replica, bundled_schema
from crdt_sync.errors import CrdtSyncError, StoreInUse, Unreachable
from crdt_sync.runtime import compare_once, sync_once
from crdt_sync.storage import LmdbStore
from crdt_sync.storage.lmdb.lock import StoreLock

_DEVICES = ("anna", "bob")
_SHARED = "carl"  # a device whose store is edited by a client of its owner, too
_CLIENT = "carl's client"
VICTIMS = ("relay", "worker", *_DEVICES, *_DEVICES, "owner", "client")
_RELAY_ACTIONS = ("serving", "compacting", "backing up", "starting")
_MAP_BYTES_FIRST = 1 << 18  # small, so that every life sees it grow
_DELAY_S_MAX = 0.08


def run(seed: int, count: int, *, victims: Sequence[str] = VICTIMS, early: bool = False) -> Tally:
    """`count` kills; with `early` relay and owners acknowledge before they commit, which must be found."""
    tally = Tally("kill -9", "kills", seed)
    with tempfile.TemporaryDirectory() as name:
        stage = _Stage(Path(name), random.Random(seed), tally, early)
        try:
            stage.begin(shared=not {"owner", "client"}.isdisjoint(victims))
            for number in range(count):
                stage.kill_one(number, victims)
            stage.converge()
        except (NothingHeard, CrdtSyncError, TimeoutError) as error:
            tally.found(f"after {tally.ran} kills: {type(error).__name__}: {error}")
        finally:
            stage.cast.close()
    return tally


class _Stage:
    """One relay, two devices, and who is killed next."""

    def __init__(self, directory: Path, rng: random.Random, tally: Tally, early: bool) -> None:
        self.directory = directory
        self.cast = Cast()
        self._rng = rng
        self._tally = tally
        self._early = early
        self._ledger = Ledger(tally)
        self._port = 0
        self._doing: dict[str, str] = {}
        self._lives = 0
        self._next: list[str] = []

    @property
    def _url(self) -> str:
        return f"ws://127.0.0.1:{self._port}"

    def begin(self, *, shared: bool) -> None:
        """Make the replicas and start everybody; `shared`: also the device whose store two programs edit."""
        self._names = (*_DEVICES, _SHARED) if shared else _DEVICES
        for name in self._names:
            Replica.create(self.directory / name, name, [bundled_schema("customers")]).close()
        self._start_relay()
        self._port = self.cast.wait("relay", "port")
        for name in _DEVICES:
            self._start_device(name)
            self.cast.wait(name, "stored")
        if shared:
            self._start_shared()

    def kill_one(self, number: int, victims: Sequence[str]) -> None:
        """Kill one of `victims` at some moment, look at what is left, and start it again."""
        if not self._next:  # each comes in its turn, in an order that is drawn
            self._next = self._rng.sample(victims, len(victims))
        victim = self._next.pop()
        if victim == "relay":
            doing = self._kill_relay(number)
        elif victim == "worker":
            doing = self._kill_worker()
        elif victim == "owner":
            doing = self._kill_owner()
        elif victim == "client":
            doing = self._kill_client()
        else:
            doing = self._kill_device(victim)
            victim = "device"
        self._tally.ran += 1
        self._tally.outcomes[f"{victim} {doing}"] += 1

    # --- the relay -------------------------------------------------------------------------------------------

    def _kill_relay(self, number: int) -> str:
        doing = self._rng.choice(_RELAY_ACTIONS)
        backups = [self.directory / f"backup {number} {each}" for each in range(50)]
        if doing == "starting":
            self._kill_soon("relay")
            self._released("relay")
            self._start_relay()
        busy = {"compacting": lambda: self._ask("compact"), "backing up": lambda: self._back_up(backups)}.get(doing)
        helper = threading.Thread(target=busy or (lambda: None))
        helper.start()
        self._kill_soon("relay")
        helper.join()
        self._look_at_relay()
        for backup in backups:
            self._look_at_copy(backup, "relay")
        self._start_relay()
        if self._rng.random() < 0.5:  # else the next is killed while devices look for the relay
            self.cast.wait(None, "stored", "at_rest")
        return doing

    def _start_relay(self) -> None:
        self.cast.launch(
            "relay", "relay", data=str(self.directory / "relay"), port=self._port, map_bytes=_MAP_BYTES_FIRST,
            early=self._early,
        )  # fmt: skip

    def _ask(self, do: str, **arguments: object) -> bool:
        """Have the relay do something; False when it was killed meanwhile."""
        try:
            ask(self.directory / "relay", do, **arguments)
        except (NotRunning, ControlFailed):
            return False
        return True

    def _back_up(self, targets: list[Path]) -> None:
        for target in targets:
            if not self._ask("backup", to=str(target)):
                return

    def _look_at_relay(self) -> None:
        self._ledger.hear(self.cast.take())
        self._released("relay")
        with LmdbStore.open(self.directory / "relay") as store:
            self._ledger.check_relay(store)

    # --- the worker ------------------------------------------------------------------------------------------

    def _kill_worker(self) -> str:
        self.cast.wait_at_work("relay")  # which gives up when its first workers die, one after the other
        workers = sorted(set(descendants(self.cast.pids["relay"])) - {self.cast.pids["relay"]})
        if not workers:
            return "away"
        time.sleep(self._rng.uniform(0, _DELAY_S_MAX))
        self.cast.kill_process(self._rng.choice(workers))
        self.cast.wait(None, "stored", "at_rest")
        return "integrating or spare"

    # --- devices ---------------------------------------------------------------------------------------------

    def _kill_device(self, name: str) -> str:
        doing = self._doing[name]
        if self._rng.random() < 0.75:
            self.cast.wait(name, "edited", "at_rest")
        self._kill_soon(name)
        self._look_at_device(name)
        self._start_device(name)
        return doing

    def _look_at_device(self, name: str) -> None:
        """What the store of a killed device holds, and the copies of it."""
        self._ledger.hear(self.cast.take())
        self._released(name)
        with Replica.open(self.directory / name) as replica:
            self._ledger.check_device(replica)
        for copy in self._ledger.copies(name):
            self._look_at_copy(copy, name)

    def _start_device(self, name: str) -> None:
        self._doing[name] = self._rng.choice(tuple(OPERATIONS))
        self._lives += 1
        self.cast.launch(
            "device", name, store=str(self.directory / name), url=self._url, operation=self._doing[name],
            life=self._lives, map_bytes=_MAP_BYTES_FIRST, early=self._early,
        )  # fmt: skip

    # --- the store that two programs edit --------------------------------------------------------------------

    def _kill_owner(self) -> str:
        """The client's edits are cut off too. What it does then, alone perhaps, is seen for a moment."""
        doing = self._doing[_SHARED]
        self._kill_soon(_SHARED)
        self._kill_soon(_CLIENT)
        self._look_at_device(_SHARED)
        self._start_shared()
        return f"while a client edits, {doing}"

    def _kill_client(self) -> str:
        """The owner goes on, and serves the next one."""
        self._kill_soon(_CLIENT)
        self._start_client()
        return "of an owner"

    def _start_shared(self) -> None:
        self._start_device(_SHARED)
        self.cast.wait(_SHARED, "opened")
        self._start_client()

    def _start_client(self) -> None:
        self._lives += 1
        store = str(self.directory / _SHARED)
        self.cast.launch("client", _CLIENT, store=store, device=_SHARED, life=self._lives)
        while not self.cast.wait(_SHARED, "edited")[1].startswith(_CLIENT):
            pass  # the owner edits, too

    def _released(self, name: str) -> None:
        """A worker on its way into its program holds what the relay had open until it is there."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                StoreLock(self.directory / name).release()
            except StoreInUse:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.001)
            else:
                return

    # --- both ------------------------------------------------------------------------------------------------

    def _kill_soon(self, name: str) -> None:
        time.sleep(self._rng.uniform(0, _DELAY_S_MAX))
        self.cast.kill(name)

    def _look_at_copy(self, path: Path, owner: str) -> None:
        """A copy is there whole or not at all, and what is left of one does not prevent the next."""
        if not path.exists():
            if not path.with_name(path.name + ".partial").exists():
                return
            with LmdbStore.open(self.directory / owner) as store:
                store.copy(path)
        with LmdbStore.open(path) as copy:
            if copy.verify().findings:
                self._tally.found(f"a copy of {owner} is damaged")
        shutil.rmtree(path)

    def converge(self) -> None:
        """No more edits: everybody syncs, and all hold the same."""
        for name in [name for name in self.cast.pids if name != "relay"]:
            self.cast.kill(name)
        self._ledger.hear(self.cast.take())
        devices = [Replica.open(self.directory / name) for name in self._names]
        try:
            asyncio.run(self._sync(devices))
            self._ledger.check_converged(devices)
        finally:
            for device in devices:
                device.close()
        self.cast.kill("relay")
        self._look_at_relay()

    async def _sync(self, devices: list[Replica]) -> None:
        address = Address(self._url)
        for device in (*devices, *devices):
            async with asyncio.timeout(PATIENCE_S):
                while not await _synced(device, address):  # the relay may be starting
                    await asyncio.sleep(0.05)
        for device in devices:
            if not (await asyncio.wait_for(compare_once(device, address), PATIENCE_S)).equal:
                self._tally.found(f"{device.name} and the relay differ at the end")


async def _synced(device: Replica, address: Address) -> bool:
    try:
        await sync_once(device, address)
    except Unreachable:
        return False
    return True
