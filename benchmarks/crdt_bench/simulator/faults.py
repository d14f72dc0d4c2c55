"""The faults: when they strike, by the chances that the scenario drew, and how they end.

Every draw comes from one generator, so that leaving a fault out changes a run as little as possible.
"""

import random
from contextlib import suppress
from typing import TYPE_CHECKING

from crdt_bench.simulator.damage import Damage
from crdt_bench.simulator.devices import RELAY, Device
from crdt_bench.simulator.disk import Disk
from crdt_bench.simulator.network import Weather
from crdt_bench.simulator.schemas import SECOND
from crdt_sync.errors import StoreError

if TYPE_CHECKING:
    from crdt_bench.simulator.world import World

_DEVICES_MAX = 8
_PUT_FORWARD = 0.3  # how often the history that a rollback left is put back later
_FULL_US_MAX = 20_000_000


class Faults:
    """The faults of one run."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._rng = random.Random(f"faults/{world.seed}")
        self._chance = dict(world.scenario.faults)
        self._relay_image: Disk | None = None
        self._images: dict[str, Disk] = {}
        self._armed: dict[str, str] = {}  # device name -> what happens to its next commit
        self._relay_failing = 0  # commits of the relay that fail from now on
        self._full_until: dict[str, int] = {}  # device name, or "" for the relay -> when there is room again
        self._damage = Damage(world, random.Random(f"damage/{world.seed}"))

    def _strikes(self, fault: str) -> bool:
        chance = self._chance.get(fault, 0.0)
        return chance > 0 and self._rng.random() < chance

    # --- what the world asks -----------------------------------------------------------------------------------

    def reachable(self, device: Device) -> bool:
        """Whether a connection can be opened: not through a partition."""
        return max(device.weather.blocked_until) <= self._world.loop.now_us

    def kill_worker(self) -> bool:
        """Whether the worker dies over this request."""
        return self._strikes("worker_killed")

    def relay_commit(self, disk: Disk) -> str:
        """What becomes of a commit of the relay."""
        if self._is_full(""):
            return "full"
        if self._relay_failing:
            self._relay_failing -= 1
            return self._rng.choice(("full", "failed"))
        if self._strikes("relay_disk_fails"):
            self._relay_failing = self._rng.choice((0, 0, 1, 5))
            return self._rng.choice(("full", "failed"))
        return "found" if self._strikes("relay_disk_found") else ""

    def device_commit(self, disk: Disk) -> str:
        """What becomes of a commit of a device."""
        for device in self._world.devices:
            if device.disk is disk:
                return "full" if self._is_full(device.name) else self._armed.pop(device.name, "")
        return ""

    def _is_full(self, name: str) -> bool:
        return self._full_until.get(name, 0) > self._world.loop.now_us

    def crashed(self, disk: Disk) -> None:
        """A process died in a commit."""
        for device in self._world.devices:
            if device.disk is disk:
                self._crash(device)

    def step(self) -> None:
        """Let what strikes now strike."""
        rng, world = self._rng, self._world
        for fault in sorted(self._chance):
            if fault in ("worker_killed", "relay_disk_fails", "relay_disk_found") or not self._strikes(fault):
                continue
            device = rng.choice(world.devices)
            world.trace.note(world.loop.now_us, device.name if not fault.startswith("relay") else "relay", fault)
            getattr(self, "_" + fault)(device)

    def stop(self) -> None:
        """No more faults; what is down is started. A half-open link stays so: the sessions must find out."""
        world = self._world
        self._chance.clear()
        self._armed.clear()
        self._relay_failing = 0
        self._full_until.clear()
        for device in world.devices:
            device.weather = Weather()
        self._damage.mend_all()

    # --- network -----------------------------------------------------------------------------------------------

    def _cut(self, device: Device) -> None:
        for conversation in list(device.conversations):
            conversation.cut()

    def _half_open(self, device: Device) -> None:
        direction = self._rng.randrange(2)
        for conversation in device.conversations:
            conversation.go_deaf(direction)

    def _partition(self, device: Device) -> None:
        until = self._world.loop.now_us + self._rng.randint(1_000, 50_000_000)
        sides = self._rng.choice(((1, 0), (0, 1), (1, 1)))
        device.weather.blocked_until = (until * sides[0], until * sides[1])

    def _slow(self, device: Device) -> None:
        rate = self._rng.choice((1, 20, 0))
        device.weather.rate = (rate, self._rng.choice((rate, 0)))
        device.weather.window = self._rng.choice((1_000, 65_536))
        device.weather.delay_max = self._rng.choice((600, 5_000, 900_000))

    def _second_session(self, device: Device) -> None:
        if device.running and len(device.conversations) == 1:
            device.connect(device.conversations[0].name)

    # --- devices -----------------------------------------------------------------------------------------------

    def _crash(self, device: Device, disk: Disk | None = None) -> None:
        if device.running:
            device.crash(disk)
            self._armed.pop(device.name, None)
            self._world.after(self._rng.randint(1, 3_000_000), self._start, device)

    @staticmethod
    def _start(device: Device) -> None:
        if not device.running:  # it may have been started to be mended
            device.start()

    def _device_crash(self, device: Device) -> None:
        self._crash(device)

    def _device_crash_in_commit(self, device: Device) -> None:
        self._armed[device.name] = self._rng.choice(("crash before", "crash after"))

    def _device_disk_fails(self, device: Device) -> None:
        self._armed[device.name] = self._rng.choice(("full", "failed", "found"))

    def _device_disk_full(self, device: Device) -> None:
        self._full_until[device.name] = self._world.loop.now_us + self._rng.randint(1, _FULL_US_MAX)

    def _device_rots(self, device: Device) -> None:
        self._damage.strike_device(device)

    def _schema_upgraded(self, device: Device) -> None:
        upgraded = [known for known in self._world.devices if known.schema.version == SECOND.version]
        if device.running and device not in upgraded and len(upgraded) + 1 < len(self._world.devices):
            with suppress(StoreError):  # the app offers it again some other time
                device.act(lambda: device.replica.add_schema(SECOND))

    def _writer_collides(self, device: Device) -> None:
        """The app starts anew, and its randomness repeats that of another device."""
        others = [other for other in self._world.devices if other.running and other is not device]
        if device.running and others:
            other = self._rng.choice(others)
            other.collides = True
            device.crash()
            device.start(other.randomness)

    def _device_clock(self, device: Device) -> None:
        if RELAY not in device.partners:
            return  # its own time is all that others without a relay have
        clock = device.clock
        clock.skew += self._rng.choice((-1, 1)) * self._rng.choice((2_000_000, 200_000_000, 4_000_000_000))
        clock.drift_ppm = self._rng.choice((0, 0, 200, -200))

    def _device_cloned(self, device: Device) -> None:
        world = self._world
        if len(world.devices) < _DEVICES_MAX:
            world.add_device(f"{device.name}c{len(world.devices)}", device.disk.clone(), device)

    def _late_device(self, device: Device) -> None:
        world = self._world
        if len(world.devices) < _DEVICES_MAX:
            world.add_fresh_device()

    def _device_rolled_back(self, device: Device) -> None:
        image = self._images.pop(device.name, None)
        if image is None or not device.running:
            self._images[device.name] = device.disk.clone()
            return
        self._crash(device, image)
        self._world.cursors.forget(image)
        self._world.assess()

    # --- relay -------------------------------------------------------------------------------------------------

    def _relay_crash(self, device: Device) -> None:
        self._world.start_relay(self._world.stop_relay())

    def _relay_rots(self, device: Device) -> None:
        self._damage.strike_relay()

    def _relay_disk_full(self, device: Device) -> None:
        self._full_until[""] = self._world.loop.now_us + self._rng.randint(1, _FULL_US_MAX)

    def _relay_rolled_back(self, device: Device) -> None:
        self._put_relay_back()

    def _relay_restored(self, device: Device) -> None:
        self._put_relay_back(restore=True)

    def _put_relay_back(self, restore: bool = False) -> None:
        """The relay starts on an older image, as it is, or as 'crdt-relay restore' makes it one."""
        if self._relay_image is None:
            self._relay_image = self._world.relay.disk.clone()
            return
        image, self._relay_image = self._relay_image, None
        if restore:
            image.renew_epoch()
        # Whoever took the image for one may take the history that went on beside it for the next one.
        elif self._rng.random() < _PUT_FORWARD:
            self._relay_image = self._world.relay.disk.clone()
        self._world.stop_relay()
        self._world.start_relay(image)
        self._world.assess()

    def _relay_wiped(self, device: Device) -> None:
        self._relay_image = None
        self._world.stop_relay()
        self._world.start_relay(self._world.fresh_relay_disk())
        self._world.assess()

    def _compaction(self, device: Device) -> None:
        self._world.relay.disk.compact()
        device.disk.compact()
