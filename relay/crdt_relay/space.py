"""One space that runs: its store, its engine, its people, and what its operator does to it."""

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from crdt_relay import usage
from crdt_relay.administration import Administration
from crdt_relay.auditing import act_of, bound, note
from crdt_relay.control import Action, ControlServer
from crdt_relay.door import Door
from crdt_relay.login import Login
from crdt_relay.observability import Readings, SpaceMetrics
from crdt_relay.reviewing import Reviewing, named
from crdt_relay.settings import Settings
from crdt_relay.store_keys import store_key
from crdt_sync import limits
from crdt_sync.audit_log.entry import administered
from crdt_sync.errors import InvalidSettings, StoreError, StoreMissing, UsageError
from crdt_sync.identity.keys import KeyPair
from crdt_sync.protocol.messages import VerdictCode
from crdt_sync.runtime.hosting.engine import Engine
from crdt_sync.runtime.hosting.fair_queue import FairQueue
from crdt_sync.runtime.hosting.logs import LOG
from crdt_sync.runtime.outside import OUTSIDE
from crdt_sync.runtime.space_paths import DEFAULT
from crdt_sync.runtime.worker.pool import StartWorker
from crdt_sync.storage.lmdb import LmdbStore, copies
from crdt_sync.storage.values import Batch
from crdt_sync.version import installed

_BOUND_EVERY_S = 3600
_ONLY_LOOK = frozenset({"invites", "devices", "device", "keys"})  # acts of which no line is logged
_ABOUT = ("user", "device", "wipe", "disabled", "invite")  # what the line of any other one says of it


class Space:
    """See the module. Make it with `open`, end it with `stop`."""

    def __init__(
        self, name: str, settings: Settings, store: LmdbStore, engine: Engine, people: Administration, door: Door
    ) -> None:
        self.name = name
        self.settings = settings
        self.store = store
        self.engine = engine
        self.people = people
        self.door = door
        self._log = _log_of(name)
        self._control: ControlServer | None = None
        self._bounding: asyncio.Task[None] | None = None
        self._bounds = settings.audit_days, settings.audit_bytes
        self._started_at = time.time()
        self._readings = Readings()
        self._batches_seen = 0

    @classmethod
    async def open(
        cls,
        name: str,
        settings: Settings,
        metrics: SpaceMetrics,
        binding: bytes,
        *,
        store: LmdbStore | None = None,
        keep_spare: bool = False,
        beside: FairQueue | None = None,
        start_worker: StartWorker | None = None,
    ) -> "Space":
        """Open the store (unless an open one is given) and begin. `binding` is the SHA-256 of the certificate that
        devices see, or nothing. Where another space runs, that has the queue `beside`, and workers come from
        `start_worker` when they are needed.

        Raises `StoreError`, `InvalidSettings`, `WorkerUnavailable`; everything is released then.
        """
        store = store or open_store(settings.data, settings.store_key_file, create=name == DEFAULT)
        door = Door(settings.tokens, binding, _log_of(name))
        async with contextlib.AsyncExitStack() as started:
            started.callback(store.close)
            people = Administration(store, settings.space_key, wall_clock, login=_login(settings))
            check_identities(settings, people)
            if people.authority is None and name != DEFAULT:
                raise InvalidSettings(
                    f"the space {name!r} in {settings.data} has no key",
                    "Put a backup of it back: crdt-relay restore --space NAME.",
                )
            audited = people.authority is not None if settings.audit is None else settings.audit
            if not audited:
                note(store, "start", audit="off")  # what is not told from here on was not told by the operator's choice
            engine = Engine(
                store,
                door.authorise,
                wall_clock,
                settings.sessions_max,
                metrics,
                # The longest interval is what sessions keep to by themselves.
                ping_us=int(settings.ping_interval * 1e6) if settings.ping_interval < limits.PING_S_MAX else None,
                keep_spare=keep_spare,
                logs_pushes=True,
                outside=OUTSIDE if start_worker is None else replace(OUTSIDE, start_worker=start_worker),
                in_force=door.in_force,
                beside=beside,
                log=LOG if name == DEFAULT else structlog.get_logger("crdt_sync.hosting", space=name),
                used_bytes=store.used_bytes,
            )
            started.push_async_callback(engine.stop, 0, 0.0)
            if audited:
                engine.audit()
            engine.allow(settings.bounds)
            door.identify(engine, people)
            people.changed = lambda: door.identify(engine, people)
            people.tell = engine.tell
            people.review.commit = lambda batch: asyncio.wrap_future(engine.writer.submit(batch))
            await engine.start(workers=start_worker is None)
            space = cls(name, settings, store, engine, people, door)
            await space.note("start", version=installed(), tokens=len(settings.tokens))
            metrics.read_with(space.read)
            started.pop_all()
        return space

    async def attend(self, actions: Mapping[str, Action]) -> None:
        """Carry out what operators ask for, `actions` among it. Raises `StoreFailed`."""
        own: dict[str, Action] = {
            "backup": self._backup,
            "compact": self._compact,
            "people": self._people,
            "usage": self._usage,
            "review": self._review,
        }
        self._control = await ControlServer.start(self.store.path, {**own, **actions})
        self._bounding = asyncio.create_task(self._bound_audit())

    def knows(self, kid: bytes) -> bool:
        """Whether a key of that name is the space's, or was."""
        authority = self.people.authority
        return authority is not None and authority.statements.knew(kid)

    def rest(self) -> None:
        """End the workers where nothing came since the last time."""
        batches = self.engine.pool.batches + self.engine.slow_pool.batches
        if batches == self._batches_seen:
            self.engine.rest()
        self._batches_seen = batches

    def reload(self, settings: Settings, changed: Sequence[str], binding: bytes) -> None:
        """Go by other settings from here on, of which those have `changed`."""
        self.engine.allow(settings.bounds)
        self._bounds = settings.audit_days, settings.audit_bytes
        self.door.bound_to = binding
        if self.engine.recorder is not None:
            self.engine.recorder.note(administered(wall_clock(), "", "reload", settings=",".join(changed)))

    async def stop(self, retry_after_us: int, grace_s: float, why: str = "it restarts") -> None:
        """Take no more, put everything taken on disk and acknowledge it, say bye, and release the store."""
        if self._bounding is not None:
            self._bounding.cancel()
        if self._control is not None:
            await self._control.stop()
        await self.engine.stop(retry_after_us, grace_s, why)
        await asyncio.to_thread(self.store.close)  # which waits for a backup under way

    async def note(self, command: str, *, by: str = "", **about: object) -> None:
        """Have the audit log tell what an operator is about to do, where there is one. Raises `StoreError`."""
        if self.engine.recorder is not None:
            await self.engine.recorder.noted(administered(wall_clock(), by, command, **about))

    # --- what the operator sees ------------------------------------------------------------------------------

    def read(self) -> Readings:
        """How much is here now."""
        engine, store = self.engine, self.store
        with contextlib.suppress(StoreError):  # while the disk fails, the last numbers stand
            self._readings = Readings(records=store.count(), feed_head=store.head(), store_bytes=store.size_bytes())
        return replace(
            self._readings,
            sessions=len(engine.hub),
            worker_deaths=engine.pool.kills + engine.slow_pool.kills,
            poisoned=engine.pool.poisoned + engine.slow_pool.poisoned,
            unconfined=len(engine.pool.unconfined),
            unloadable=engine.pool.unloadable + engine.slow_pool.unloadable,
            updates={code.name.lower(): engine.hub.verdicts[code] for code in VerdictCode},
            store_bytes_max=engine.quotas.bounds.store_bytes or 0,
            quotas_met=sum(bool(each.met) for each in engine.quotas.usage()),
            ready=engine.unready() is None,
        )

    def status(self) -> dict[str, Any]:
        """The same, and more, for `crdt-relay status`."""
        readings, engine = self.read(), self.engine
        return {
            "data": str(self.store.path),
            "epoch": self.store.epoch.hex(),
            "uptime_s": round(time.time() - self._started_at),
            "ready": readings.ready,
            "reason": engine.unready(),
            "sessions": readings.sessions,
            "records": readings.records,
            "head": readings.feed_head,
            "store_bytes": readings.store_bytes,
            "updates": dict(readings.updates),
            "commits": engine.writer.metrics.commits,
            "worker_deaths": readings.worker_deaths,
            "quarantined": len(self.store.quarantined()),
            "copies": [str(each) for each in copies.found(self.store.path)],
        }

    async def _people(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if (told := act_of(request)) is not None:
            if self.settings.audit is None:
                self.engine.audit()
            await self.note(told[0], by=str(request.get("by", "")), **told[1])
        done = self.people.do(request)
        if request.get("act") not in _ONLY_LOOK:
            about = {name: request[name] for name in _ABOUT if name in request}
            self._log.info("people", act=request.get("act"), **about)
        return done

    async def _usage(self, request: Mapping[str, Any]) -> dict[str, Any]:
        changes = request.get("act") in usage.CHANGES
        if changes:
            command, owner = f"usage {request['act']}", str(request.get("owner", ""))
            await self.note(command, by=str(request.get("by", "")), owner=owner)
        done = usage.do(self.engine.usage, request)
        if changes:
            await self.engine.usage.keep(self.engine.writer)
            self.engine.tell_put_off()
            self._log.info("usage", act=request["act"], of=done["of"], owner=done["name"])
        return done

    async def _review(self, request: Mapping[str, Any]) -> dict[str, Any]:
        by, act, device = (str(request.get(name, "")) for name in ("by", "act", "device"))
        if act != "list":
            await self.note(f"review {act}", by=by, device=device, records=named(request.get("records") or ()))
        done = await Reviewing(self.store, self.people, wall_clock, self.engine).do(request)
        if act != "list":
            self._log.info("review", act=act, device=device)
        return done

    async def _backup(self, request: Mapping[str, Any]) -> dict[str, Any]:
        target = Path(str(request.get("to", "")))
        if not target.is_absolute():
            raise UsageError("a backup needs the absolute path of a directory", "Use 'crdt-relay backup DIRECTORY'.")
        await self.note("backup", by=str(request.get("by", "")), to=target)
        await asyncio.to_thread(self.store.copy, target)
        self._log.info("backup_written", to=str(target))
        return {"records": self.store.count(), "bytes": (target / "data.mdb").stat().st_size}

    async def _compact(self, request: Mapping[str, Any]) -> dict[str, Any]:
        await self.note("compact", by=str(request.get("by", "")))
        report = await asyncio.to_thread(self.store.compact)
        self._log.info("compacted", dropped=report.dropped, kept=report.kept)
        return {"dropped": report.dropped, "dropped_bytes": report.dropped_bytes, "kept": report.kept}

    def _key(self) -> KeyPair | None:
        """With which the space signs; None where it has no identities."""
        authority = self.people.authority
        return None if authority is None else authority.pair

    async def _bound_audit(self) -> None:
        """Now and every hour, drop what the operator does not want to keep of the audit log."""
        writer = self.engine.writer

        def commit(batch: Batch) -> None:
            writer.submit(batch).result()

        while True:
            days, size = self._bounds
            if self.engine.recorder is not None and (days is not None or size is not None):
                try:
                    done = await asyncio.to_thread(bound, self.store, commit, days, size, self._key(), wall_clock())
                except StoreError as error:
                    self._log.warning("audit_not_bounded", error=error.message, hint=error.hint)
                else:
                    self._log.info("audit_bounded", dropped=done)
            await asyncio.sleep(_BOUND_EVERY_S)


def open_store(data: Path, key_file: Path | None = None, *, create: bool = True) -> LmdbStore:
    """Open a relay's store, or `create` it at the first start, encrypted with a key file. Raises `StoreError`."""
    key = None if key_file is None else store_key(data, key_file)
    try:
        return LmdbStore.open(data, create=False, key=key)
    except StoreMissing:
        if not create:
            raise
        return LmdbStore.open(data, create=True, key=key)


def _login(settings: Settings) -> Login | None:
    """Who vouches for users beside invites. Raises `InvalidSettings`."""
    if settings.oidc_issuer is None or settings.oidc_audience is None or settings.oidc_keys is None:
        return None
    return Login(settings.oidc_issuer, settings.oidc_audience, settings.oidc_claim, settings.oidc_keys)


def check_identities(settings: Settings, people: Administration) -> None:
    """Raise `InvalidSettings` where a space had identities and what it said is lost: nobody may be let in then."""
    if people.authority is None and settings.space_key.exists():
        raise InvalidSettings(
            f"there is a space's key in {settings.space_key}, and in {settings.data} nothing that the space said",
            "Put a backup back: crdt-relay restore. Where the key is new, say the first thing: crdt-relay policy apply "
            "FILE. To let everybody in who has the token, move the key away.",
        )


def wall_clock() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000


def _log_of(name: str) -> Any:
    """Lines of the default name no space, as they do where there is no other."""
    return structlog.get_logger("relay") if name == DEFAULT else structlog.get_logger("relay", space=name)
