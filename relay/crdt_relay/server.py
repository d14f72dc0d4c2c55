"""The running relay: opens the store, listens, serves, and shuts down without losing anything."""

import asyncio
import contextlib
import hmac
import os
import ssl
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from crdt_relay.administration import Administration
from crdt_relay.auditing import act_of, bound, note
from crdt_relay.authority import Authority
from crdt_relay.control import ControlServer
from crdt_relay.device_guest import introduced
from crdt_relay.login import Login
from crdt_relay.observability import Metrics, Readings
from crdt_relay.settings import LIVE, Settings
from crdt_relay.store_keys import store_key
from crdt_sync import limits
from crdt_sync.audit_log.entry import administered
from crdt_sync.errors import InvalidSettings, StoreError, StoreMissing, UsageError
from crdt_sync.identity.keys import KeyPair
from crdt_sync.policy.in_force import InForce
from crdt_sync.protocol.acceptor import Refusal
from crdt_sync.protocol.messages import Hello, VerdictCode
from crdt_sync.protocol.principal import Principal, everybody
from crdt_sync.runtime import certificate as certificates
from crdt_sync.runtime.guests import IDENTITY_NEEDED, Guest, Told
from crdt_sync.runtime.hosting.engine import Engine
from crdt_sync.runtime.hosting.link import SEND_TIMEOUT_S
from crdt_sync.runtime.hosting.serving import Port
from crdt_sync.storage.lmdb import LmdbStore, copies
from crdt_sync.storage.values import Batch
from crdt_sync.version import installed

if TYPE_CHECKING:
    from crdt_relay.side_door import SideDoor

_RESTART_RETRY_US = 2_000_000
_BOUND_EVERY_S = 3600
_GRACE_S = 4.0  # for the disk, at a shutdown; what is not stored by then is sent again by its device
_ONLY_LOOK = frozenset({"invites", "devices", "device", "keys"})  # acts of which no line is logged
_ABOUT = ("user", "device", "wipe", "disabled", "invite")  # what the line of any other one says of it
_log = structlog.get_logger("relay")


class Relay:
    """A running relay. Make it with `start`, end it with `stop`."""

    def __init__(
        self,
        settings: Settings,
        store: LmdbStore,
        engine: Engine,
        port: Port,
        observed: "SideDoor | None",
        metrics: Metrics,
        door: "Door",
        certificate: ssl.SSLContext | None,
    ) -> None:
        self._door = door
        self._certificate = certificate
        self.settings = settings
        self.store = store
        self.engine = engine
        self._port = port
        self._observed = observed
        self._control: ControlServer | None = None
        self.people: Administration | None = None
        self._bounding: asyncio.Task[None] | None = None
        self._bounds = settings.audit_days, settings.audit_bytes
        self._started_at = time.time()
        self._readings = Readings()
        metrics.read_with(self._read)

    @classmethod
    async def start(
        cls,
        settings: Settings,
        *,
        store: LmdbStore | None = None,
        send_timeout_s: float = SEND_TIMEOUT_S,
        keep_spare: bool = True,
    ) -> "Relay":
        """Open the store (unless an open one is given) and listen; `keep_spare` is that of `IntegrationPool`.

        Raises `StoreError`, `InvalidSettings`, `WorkerUnavailable`; everything is released then.
        """
        certificate = _tls(settings)
        store = store or open_store(settings.data, settings.store_key_file)
        metrics = Metrics()
        door = Door(settings.tokens, bound_to(settings))
        async with contextlib.AsyncExitStack() as started:
            started.callback(store.close)
            people = Administration(store, settings.space_key, _wall_clock, login=_login(settings))
            check_identities(settings, people)
            audited = people.authority is not None if settings.audit is None else settings.audit
            if not audited:
                note(store, "start", audit="off")  # what is not told from here on was not told by the operator's choice
            engine = Engine(
                store,
                door.authorise,
                _wall_clock,
                settings.sessions_max,
                metrics,
                # The longest interval is what sessions keep to by themselves.
                ping_us=int(settings.ping_interval * 1e6) if settings.ping_interval < limits.PING_S_MAX else None,
                keep_spare=keep_spare,
                logs_pushes=True,
                in_force=door.in_force,
            )
            started.push_async_callback(engine.stop, 0, 0.0)
            if audited:
                engine.audit()
            _allow(engine, settings)
            door.identify(engine, people)
            people.changed = lambda: door.identify(engine, people)
            people.tell = engine.tell
            await engine.start()
            await _note(engine, "start", version=installed(), tokens=len(settings.tokens))
            observed = await _observe(settings, engine, metrics)
            if observed is not None:
                started.push_async_callback(observed.stop)
            port = await Port.open(
                engine,
                settings.host,
                settings.port,
                certificate=certificate,
                # Without a token, what keeps other people out is that they are not on this machine, but a web page
                # that somebody opens here is. Browsers say where a page comes from; devices do not.
                browsers=settings.token is not None or people.authority is not None,
                sessions_max=settings.sessions_max,
                send_timeout_s=send_timeout_s,
                http_too=True,
                introduce=door.introduce,
            )
            started.callback(port.close)
            relay = cls(settings, store, engine, port, observed, metrics, door, certificate)
            relay.people = people
            actions = {"status": relay._status, "backup": relay._backup, "compact": relay._compact}
            relay._control = await ControlServer.start(store.path, {**actions, "people": relay._people})
            relay._bounding = asyncio.create_task(relay._bound_audit())
            started.pop_all()
        return relay

    @property
    def port(self) -> int:
        """The port that the relay listens on."""
        return self._port.number

    @property
    def url(self) -> str:
        """The address for devices on this machine, or, where it listens everywhere, with the host as it was given."""
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        return f"{'wss' if self.settings.tls_certificate else 'ws'}://{host}:{self.port}"

    @property
    def metrics_url(self) -> str | None:
        """Where the metrics are, if they are served."""
        host = self.settings.metrics_host
        return f"http://{f'[{host}]' if ':' in host else host}:{self._observed.port}" if self._observed else None

    def reload(self, settings: Settings) -> list[str]:
        """Go by other settings from here on, as far as a running relay can; returns the names of those it cannot take.

        Devices that are connected stay so, whatever their token; whoever connects is held to the new ones. Raises
        `InvalidSettings`, and goes on as before then.
        """
        changed = {name for name in Settings.model_fields if getattr(settings, name) != getattr(self.settings, name)}
        late = {name for name in changed if name not in LIVE}
        if (settings.token is None) is not (self.settings.token is None):
            late.add("token")
        if (settings.tls_certificate is None) is not (self.settings.tls_certificate is None):
            late.add("tls_certificate")
        elif self._certificate is not None:
            _tls(settings)  # first one that nobody uses: half of a pair must not come into use
            _load_certificate(self._certificate, settings)  # the same file may hold another one
        binding = bound_to(settings)
        _allow(self.engine, settings)
        self._bounds = settings.audit_days, settings.audit_bytes
        if settings.tokens != self.settings.tokens:
            changed.add("token")
        if self.engine.recorder is not None:
            self.engine.recorder.note(
                administered(_wall_clock(), "", "reload", settings=",".join(sorted(changed - late)))
            )
        if "token" not in late:
            self._door.tokens = encoded(settings.tokens)
        self._door.bound_to = binding
        return sorted(late)

    @property
    def tokens(self) -> int:
        """How many tokens are valid; with none, anybody is let in."""
        return len(self._door.tokens)

    async def stop(self) -> None:
        """Take no more, put everything taken on disk and acknowledge it, say bye, and release the store."""
        self._port.close()
        if self._bounding is not None:
            self._bounding.cancel()
        if self._control is not None:
            await self._control.stop()
        await self.engine.stop(_RESTART_RETRY_US, _GRACE_S)
        await asyncio.to_thread(self.store.close)  # which waits for a backup under way
        await self._port.wait_closed()
        if self._observed is not None:
            await self._observed.stop()

    # --- what the operator sees ------------------------------------------------------------------------------

    def _read(self) -> Readings:
        engine, store = self.engine, self.store
        with contextlib.suppress(StoreError):  # while the disk fails, the last numbers stand
            self._readings = Readings(records=store.count(), feed_head=store.head(), store_bytes=store.size_bytes())
        known = self._readings
        return Readings(
            sessions=len(engine.hub),
            records=known.records,
            feed_head=known.feed_head,
            store_bytes=known.store_bytes,
            worker_deaths=engine.pool.kills + engine.slow_pool.kills,
            poisoned=engine.pool.poisoned + engine.slow_pool.poisoned,
            unconfined=len(engine.pool.unconfined),
            unloadable=engine.pool.unloadable + engine.slow_pool.unloadable,
            updates={code.name.lower(): engine.hub.verdicts[code] for code in VerdictCode},
        )

    async def _status(self, _: Mapping[str, Any]) -> dict[str, Any]:
        readings, engine = self._read(), self.engine
        return {
            "running": True,
            "pid": os.getpid(),
            "url": self.url,
            "metrics_url": self.metrics_url,
            "data": str(self.store.path),
            "epoch": self.store.epoch.hex(),
            "uptime_s": round(time.time() - self._started_at),
            "ready": engine.unready() is None,
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
        assert self.people is not None
        if (told := act_of(request)) is not None:
            if self.settings.audit is None:
                self.engine.audit()
            await _note(self.engine, told[0], by=str(request.get("by", "")), **told[1])
        done = self.people.do(request)
        if request.get("act") not in _ONLY_LOOK:
            _log.info("people", act=request.get("act"), **{name: request[name] for name in _ABOUT if name in request})
        return done

    async def _backup(self, request: Mapping[str, Any]) -> dict[str, Any]:
        target = Path(str(request.get("to", "")))
        if not target.is_absolute():
            raise UsageError("a backup needs the absolute path of a directory", "Use 'crdt-relay backup DIRECTORY'.")
        await _note(self.engine, "backup", by=str(request.get("by", "")), to=target)
        await asyncio.to_thread(self.store.copy, target)
        _log.info("backup_written", to=str(target))
        return {"records": self.store.count(), "bytes": (target / "data.mdb").stat().st_size}

    def _key(self) -> KeyPair | None:
        """With which the space signs; None where it has no identities."""
        authority = None if self.people is None else self.people.authority
        return None if authority is None else authority.pair

    async def _bound_audit(self) -> None:
        """Now and every hour, drop what the operator does not want to keep of the audit log."""
        writer = self.engine.writer

        def commit(batch: Batch) -> None:
            writer.submit(batch).result()

        while True:
            days, size = self._bounds
            if self.engine.recorder is None:
                pass
            elif days is not None or size is not None:
                try:
                    done = await asyncio.to_thread(bound, self.store, commit, days, size, self._key(), _wall_clock())
                except StoreError as error:
                    _log.warning("audit_not_bounded", error=error.message, hint=error.hint)
                else:
                    _log.info("audit_bounded", dropped=done)
            await asyncio.sleep(_BOUND_EVERY_S)

    async def _compact(self, request: Mapping[str, Any]) -> dict[str, Any]:
        await _note(self.engine, "compact", by=str(request.get("by", "")))
        report = await asyncio.to_thread(self.store.compact)
        _log.info("compacted", dropped=report.dropped, kept=report.kept)
        return {"dropped": report.dropped, "dropped_bytes": report.dropped_bytes, "kept": report.kept}


async def _note(engine: Engine, command: str, *, by: str = "", **about: object) -> None:
    """Have the audit log tell, before it is done, what an operator does, where there is one. Raises `StoreError`."""
    if engine.recorder is not None:
        await engine.recorder.noted(administered(_wall_clock(), by, command, **about))


def open_store(data: Path, key_file: Path | None = None) -> LmdbStore:
    """Open the relay's store, or make it at the first start, encrypted with a key file. Raises `StoreError`."""
    key = None if key_file is None else store_key(data, key_file)
    try:
        return LmdbStore.open(data, create=False, key=key)
    except StoreMissing:
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


def bound_to(settings: Settings) -> bytes:
    """The SHA-256 of the certificate that devices see. Raises `InvalidSettings`."""
    path = settings.proxy_certificate or settings.tls_certificate
    if path is None:
        return b""
    try:
        return certificates.fingerprint(path)
    except (OSError, ValueError) as error:
        raise InvalidSettings(f"cannot read the certificate {path}: {error}", "Give a PEM file.") from error


def _allow(engine: Engine, settings: Settings) -> None:
    engine.quotas.session, engine.quotas.day = settings.allowance("session"), settings.allowance("day")


async def _observe(settings: Settings, engine: Engine, metrics: Metrics) -> "SideDoor | None":
    if not settings.metrics:
        return None
    from crdt_relay import side_door  # noqa: PLC0415 - a web server, which takes as long to load as half a relay

    app = side_door.application(metrics, engine.tried)
    return await side_door.SideDoor.start(settings.metrics_host, settings.metrics_port, app)


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls_certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load_certificate(context, settings)
    return context


def _load_certificate(context: ssl.SSLContext, settings: Settings) -> None:
    assert settings.tls_certificate is not None
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key, password="")
    except (OSError, ssl.SSLError, ValueError) as error:
        raise InvalidSettings(
            f"cannot use the certificate {settings.tls_certificate} with the key {settings.tls_key}: {error}",
            "Give PEM files that belong together, the key without a password: --tls-certificate, --tls-key.",
        ) from error


class Door:
    """Who is let in: whoever proves an identity where the space has those; else whoever presents one of the tokens, or
    anybody where there is none. `bound_to` is the SHA-256 of the certificate that devices see, or nothing.
    """

    def __init__(self, tokens: Sequence[str], bound_to: bytes = b"") -> None:
        self.tokens = encoded(tokens)
        self.bound_to = bound_to
        self._authority: Authority | None = None

    def identify(self, engine: Engine, people: Administration) -> None:
        """Go by what the space said: at the start, and again whenever it said more."""
        if people.authority is not None:
            engine.people.identities = self._authority = people.authority
            engine.people_changed()

    def in_force(self) -> InForce | None:
        """The policy that is in force; None where the space has no identities."""
        return None if self._authority is None else self._authority.in_force()

    def introduce(self, told: Told) -> Guest | None:
        """See `Introduce`."""
        return None if self._authority is None else introduced(self._authority, self.bound_to, told)

    def authorise(self, hello: Hello) -> Principal | Refusal:
        """See `Authorise`. All are compared, so that the time tells nothing."""
        if self._authority is not None:
            return IDENTITY_NEEDED
        given = hello.token.encode()
        matches = [hmac.compare_digest(given, token) for token in self.tokens]
        if matches and not any(matches):
            return Refusal("unauthorized", "the token is not valid here")
        return everybody(hello)


def encoded(tokens: Sequence[str]) -> tuple[bytes, ...]:
    """Tokens as they are compared."""
    return tuple(token.encode() for token in tokens)


def _wall_clock() -> int:
    return time.time_ns() // 1000
