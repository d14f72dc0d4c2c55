"""The spaces that run beside the default one: opened, added and removed while devices are connected to the others.

Rules:

1. Nothing of a space is told to who does not name one of its keys. They are answered as where there is no space of that
   name: by the engine of the default, which lets nobody in who comes by the path of a space.
2. Each has a store, an engine and workers of its own; they share the port, the turns of the loop, which each has alike,
   and one warm worker that has seen nothing.
3. A space that cannot be opened is named in the log and in `crdt-relay space list`, and keeps no other from running.
4. Workers of a space where nothing happens end, and come back when they are needed.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog

from crdt_relay import spaces
from crdt_relay.control import Action
from crdt_relay.device_guest import DeviceGuest
from crdt_relay.observability import Metrics, Readings
from crdt_relay.settings import LIVE, Settings
from crdt_relay.space import Space, wall_clock
from crdt_sync.errors import CrdtSyncError, UsageError
from crdt_sync.identity.known import KNOWS_HEADER, read_known
from crdt_sync.runtime.guests import Guest, Told, header, stranger
from crdt_sync.runtime.hosting.engine import Engine
from crdt_sync.runtime.space_paths import DEFAULT, named_in
from crdt_sync.runtime.worker.process import WorkerProcess
from crdt_sync.runtime.worker.spare import SharedSpare

_REST_EVERY_S = 60.0
_GRACE_S = 4.0
_REMOVED_RETRY_US = 60_000_000  # of devices of a space that is removed, which may be put back
_log = structlog.get_logger("relay")


class HostedSpaces:
    """See the module. `default` is the space that they are beside; `attend` makes the actions of a control socket."""

    def __init__(
        self,
        settings: Settings,
        default: Space,
        metrics: Metrics,
        binding: bytes,
        attend: Callable[[Space], Mapping[str, Action]],
    ) -> None:
        self._settings = settings
        self._default = default
        self._metrics = metrics
        self._binding = binding
        self._attend = attend
        self._spare = SharedSpare(WorkerProcess.start)
        self._spaces: dict[str, Space] = {}
        self._failures: dict[str, CrdtSyncError] = {}  # of those that are there and could not be opened
        self._changing = asyncio.Lock()
        self._resting = asyncio.create_task(self._rest())

    def __len__(self) -> int:
        return len(self._spaces)

    async def open_all(self) -> None:
        """Open those that are there."""
        for name in spaces.names(self._settings.data):
            await self._try(name)

    def elsewhere(self, target: str, told: Told) -> tuple[Engine, Guest] | None:
        """See `Elsewhere`."""
        name = named_in(target)
        if name == DEFAULT:
            return None
        space, known = self._spaces.get(name), read_known(header(told, KNOWS_HEADER))
        if space is not None and known is not None and space.knows(known.kid):
            guest = space.door.introduce(told)
            if isinstance(guest, DeviceGuest):
                return space.engine, guest
        return self._default.engine, Guest(stranger)

    async def do(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out a request of the control socket. Raises `CrdtSyncError`."""
        match dict(request):
            case {"act": "add", "space": str(name), "back": str(back)}:
                return await self.add(name, Path(back) if back else None)
            case {"act": "list"}:
                return {"spaces": self.all()}
            case {"act": "remove", "space": str(name)}:
                return await self.remove(name)
        raise UsageError("the relay does not know that request", "Use the same version as the relay.")

    async def add(self, name: str, back: Path | None = None) -> dict[str, Any]:
        """Make a space, or put one back, and open it. Raises `CrdtSyncError`."""
        async with self._changing:
            if back is None and name not in self._spaces and name in spaces.names(self._settings.data):
                done = {"space": name, "data": str(spaces.settings_of(self._settings, name).data)}  # it is not open
            else:
                done = await asyncio.to_thread(spaces.add, self._settings.data, name, wall_clock, back)
            await self._open(name)
        _log.info("space_added", space=name)
        return done

    async def remove(self, name: str) -> dict[str, Any]:
        """End the sessions of a space, and move it away. Raises `CrdtSyncError`."""
        async with self._changing:
            space = self._spaces.pop(spaces.check_name(name), None)
            if space is not None:
                await space.stop(_REMOVED_RETRY_US, _GRACE_S, "its space is closed")
            done = await asyncio.to_thread(spaces.remove, self._settings.data, name)
            self._metrics.forget(name)
            self._failures.pop(name, None)
        _log.info("space_removed", space=name, kept=done["kept"])
        return done

    def all(self) -> list[dict[str, Any]]:
        """How each is, the default first."""
        found = [_told(self._default)]
        for name in sorted({*self._spaces, *self._failures}):
            space, failure = self._spaces.get(name), self._failures.get(name)
            if space is not None:
                found.append(_told(space))
            elif failure is not None:
                found.append({"space": name, "ready": False, "reason": f"{failure.code}: {failure.message}"})
        return found

    def check(self, settings: Settings) -> None:
        """Raise `InvalidSettings` where a space cannot go by what is set now."""
        for name in self._spaces:
            spaces.settings_of(settings, name)

    def reload(self, settings: Settings, binding: bytes) -> list[str]:
        """Have each go by what is set now; returns what needs a start. Raises `InvalidSettings`."""
        self._settings, self._binding = settings, binding
        late: set[str] = set()
        for name, space in self._spaces.items():
            new, old = spaces.settings_of(settings, name), space.settings
            changed = {each for each in Settings.model_fields if getattr(new, each) != getattr(old, each)}
            late |= {f"{name}: {each}" for each in changed & {"sessions_max", "audit", "key_file", "store_key_file"}}
            space.reload(new, sorted(changed & LIVE), binding)
        return sorted(late)

    async def stop(self, retry_after_us: int, grace_s: float) -> None:
        """End them all; see `Space.stop`."""
        self._resting.cancel()
        await asyncio.gather(*(space.stop(retry_after_us, grace_s) for space in self._spaces.values()))
        await self._spare.close()

    async def _try(self, name: str) -> None:
        try:
            await self._open(name)
        except CrdtSyncError as error:
            _log.error("space_not_served", space=name, code=error.code, error=error.message, hint=error.hint)

    async def _open(self, name: str) -> None:
        try:
            settings = spaces.settings_of(self._settings, name)
            space = await Space.open(
                name,
                settings,
                self._metrics.of(name),
                self._binding,
                beside=self._default.engine.queue,
                start_worker=self._spare.take,
            )
            try:
                await space.attend(self._attend(space))
            except CrdtSyncError:
                await space.stop(0, 0.0)
                raise
        except CrdtSyncError as error:
            self._metrics.of(name).read_with(lambda: Readings(ready=False))
            self._failures[name] = error
            raise
        self._failures.pop(name, None)
        self._spaces[name] = space

    async def _rest(self) -> None:
        while True:
            await asyncio.sleep(_REST_EVERY_S)
            for space in self._spaces.values():
                space.rest()


def _told(space: Space) -> dict[str, Any]:
    readings = space.read()
    return {
        "space": space.name,
        "ready": readings.ready,
        "reason": space.engine.unready(),
        "sessions": readings.sessions,
        "records": readings.records,
        "store_bytes": readings.store_bytes,
    }
