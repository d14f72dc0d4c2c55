"""The running relay: opens its spaces, listens, serves, and shuts down without losing anything."""

import asyncio
import contextlib
import os
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from crdt_relay.administration import Administration
from crdt_relay.control import Action
from crdt_relay.door import encoded
from crdt_relay.hosted import HostedSpaces
from crdt_relay.observability import Metrics
from crdt_relay.settings import LIVE, Settings
from crdt_relay.space import Space
from crdt_sync.errors import InvalidSettings
from crdt_sync.runtime import certificate as certificates
from crdt_sync.runtime.hosting.engine import Engine
from crdt_sync.runtime.hosting.link import SEND_TIMEOUT_S
from crdt_sync.runtime.hosting.proxies import Proxies
from crdt_sync.runtime.hosting.serving import Port
from crdt_sync.runtime.space_paths import DEFAULT, at_space
from crdt_sync.storage.lmdb import LmdbStore

if TYPE_CHECKING:
    from crdt_relay.side_door import SideDoor

_RESTART_RETRY_US = 2_000_000
_GRACE_S = 4.0  # for the disk, at a shutdown; what is not stored by then is sent again by its device


class Relay:
    """A running relay. Make it with `start`, end it with `stop`."""

    def __init__(
        self,
        settings: Settings,
        default: Space,
        spaces: HostedSpaces,
        port: Port,
        observed: "SideDoor | None",
        certificate: ssl.SSLContext | None,
        proxies: Proxies,
    ) -> None:
        self.settings = settings
        self.default = default
        self.spaces = spaces
        self._port = port
        self._observed = observed
        self._certificate = certificate
        self._proxies = proxies

    @classmethod
    async def start(
        cls,
        settings: Settings,
        *,
        store: LmdbStore | None = None,
        send_timeout_s: float = SEND_TIMEOUT_S,
        keep_spare: bool = True,
    ) -> "Relay":
        """Open the store of the default space (unless an open one is given) and the other spaces, and listen;
        `keep_spare` is that of `IntegrationPool`.

        Raises `StoreError`, `InvalidSettings`, `WorkerUnavailable`; everything is released then.
        """
        certificate = _tls(settings)
        metrics = Metrics()
        proxies = Proxies(settings.trusted_proxies, settings.proxy_header)
        relay: Relay

        def attended(space: Space) -> Mapping[str, Action]:
            own = {"spaces": spaces.do} if space is default else {}

            async def status(_: Mapping[str, Any]) -> dict[str, Any]:
                return relay.status(space)

            return {"status": status, **own}

        async with contextlib.AsyncExitStack() as started:
            binding = bound_to(settings)
            default = await Space.open(
                DEFAULT, settings, metrics.of(DEFAULT), binding, store=store, keep_spare=keep_spare
            )
            started.push_async_callback(default.stop, 0, 0.0)
            spaces = HostedSpaces(settings, default, metrics, binding, attended)
            started.push_async_callback(spaces.stop, 0, 0.0)
            await spaces.open_all()
            observed = await _observe(settings, default.engine.tried, metrics)
            if observed is not None:
                started.push_async_callback(observed.stop)
            port = await Port.open(
                default.engine,
                settings.host,
                settings.port,
                certificate=certificate,
                # Without a token, what keeps other people out is that they are not on this machine, but a web page
                # that somebody opens here is. Browsers say where a page comes from; devices do not.
                browsers=settings.token is not None or default.people.authority is not None,
                sessions_max=settings.sessions_max,
                send_timeout_s=send_timeout_s,
                http_too=True,
                introduce=default.door.introduce,
                elsewhere=spaces.elsewhere,
                proxies=proxies,
            )
            started.callback(port.close)
            relay = cls(settings, default, spaces, port, observed, certificate, proxies)
            await default.attend(attended(default))
            started.pop_all()
        return relay

    @property
    def engine(self) -> Engine:
        """That of the default space."""
        return self.default.engine

    @property
    def store(self) -> LmdbStore:
        """That of the default space."""
        return self.default.store

    @property
    def people(self) -> Administration:
        """Those of the default space."""
        return self.default.people

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
        self.spaces.check(settings)
        self._proxies.trusted, self._proxies.header = settings.trusted_proxies, settings.proxy_header
        if settings.tokens != self.settings.tokens:
            changed.add("token")
        self.default.reload(settings, sorted(changed - late), binding)
        if "token" not in late:
            self.default.door.tokens = encoded(settings.tokens)
        return [*sorted(late), *self.spaces.reload(settings, binding)]

    @property
    def tokens(self) -> int:
        """How many tokens are valid; with none, anybody is let in."""
        return len(self.default.door.tokens)

    def status(self, space: Space) -> dict[str, Any]:
        """How one of the spaces is, for `crdt-relay status`."""
        found = {
            "running": True,
            "pid": os.getpid(),
            "url": at_space(self.url, space.name),
            "metrics_url": self.metrics_url,
            **space.status(),
        }
        return {**found, "spaces": len(self.spaces)} if space is self.default and len(self.spaces) else found

    async def stop(self) -> None:
        """Take no more, put everything taken on disk and acknowledge it, say bye, and release the stores."""
        self._port.close()
        await asyncio.gather(
            self.default.stop(_RESTART_RETRY_US, _GRACE_S), self.spaces.stop(_RESTART_RETRY_US, _GRACE_S)
        )
        await self._port.wait_closed()
        if self._observed is not None:
            await self._observed.stop()


def bound_to(settings: Settings) -> bytes:
    """The SHA-256 of the certificate that devices see. Raises `InvalidSettings`."""
    path = settings.proxy_certificate or settings.tls_certificate
    if path is None:
        return b""
    try:
        return certificates.fingerprint(path)
    except (OSError, ValueError) as error:
        raise InvalidSettings(f"cannot read the certificate {path}: {error}", "Give a PEM file.") from error


async def _observe(
    settings: Settings, tried: Callable[[], Awaitable[str | None]], metrics: Metrics
) -> "SideDoor | None":
    if not settings.metrics:
        return None
    from crdt_relay import side_door  # noqa: PLC0415 - a web server, which takes as long to load as half a relay

    app = side_door.application(metrics, tried)
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
