"""What an operator sees: metrics, health and readiness over HTTP, and structured logs.

Metric names and labels are an interface: dashboards and alerts rest on them. Counters that others keep as plain
numbers are read when somebody looks (`Metrics.read_with`), so the hot path pays nothing for them.
"""

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal, Self, TextIO

import structlog
import uvicorn
from prometheus_client import CollectorRegistry, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from structlog.typing import EventDict, Processor, WrappedLogger
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from crdt_sync.errors import InvalidSettings

_PREFIX: Final = "crdt_relay_"
# A commit takes 0.2 to 8 ms on a healthy disk, an integration up to its budget, an acknowledgement both.
_SECONDS: Final = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0, 2.0, 5.0)
_SECRETS: Final = frozenset({"token", "authorization", "tls_key", "password"})
_CONNECTIONS_MAX: Final = 64  # scrapers and probes; beyond them the oldest that asks for nothing gives way
_REQUEST_S: Final = 10.0  # for a request to come whole, and twice that between two on one connection


@dataclass(frozen=True, slots=True)
class Readings:
    """Numbers that are read at the moment of a scrape."""

    sessions: int = 0
    records: int = 0
    feed_head: int = 0
    store_bytes: int = 0
    worker_deaths: int = 0
    poisoned: int = 0
    unloadable: int = 0
    unconfined: int = 0  # limits that the worker lacks on this machine
    updates: Mapping[str, int] = field(default_factory=dict)  # by verdict: accepted or the refusal's code


class Metrics(Collector):
    """The relay's metrics, in a registry of their own.

    `frames_received`, `frames_sent`, `bytes_received` and `bytes_sent` are plain numbers: add to them.
    `commit_seconds`, `integration_seconds` and `acknowledge_seconds` are histograms: `observe` seconds.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self.frames_received = 0
        self.frames_sent = 0
        self.bytes_received = 0
        self.bytes_sent = 0
        self.commit_seconds = self._histogram("commit", "Time to make one group of updates durable.")
        self.integration_seconds = self._histogram("integration", "Time to integrate one batch in the worker.")
        self.acknowledge_seconds = self._histogram("acknowledge", "Time from a push to its acknowledgement.")
        self._read: Callable[[], Readings] = Readings
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def read_with(self, read: Callable[[], Readings]) -> None:
        """Have `read` called at every scrape."""
        self._read = read

    def describe(self) -> Iterator[Metric]:
        """Nothing: names are known only when they are collected."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The metrics that are read now."""
        readings = self._read()
        yield _gauge("sessions", "Devices connected.", readings.sessions)
        yield _gauge("records", "Records held.", readings.records)
        yield _gauge("feed_head", "Newest position of the feed.", readings.feed_head)
        yield _gauge("store_bytes", "Size of the data on disk.", readings.store_bytes)
        yield _counter("worker_deaths", "Integration workers that died or were killed.", readings.worker_deaths)
        yield _counter("poisoned_updates", "Updates refused because they killed workers.", readings.poisoned)
        yield _gauge("worker_limits_missing", "Limits that the worker cannot set itself.", readings.unconfined)
        yield _counter("unloadable_records", "Stored records that no worker could load.", readings.unloadable)
        yield _counters("updates", "Updates by verdict.", "code", readings.updates)
        frames = {"received": self.frames_received, "sent": self.frames_sent}
        yield _counters("frames", "Frames from and to devices.", "direction", frames)
        size = {"received": self.bytes_received, "sent": self.bytes_sent}
        yield _counters("bytes", "Bytes of frames from and to devices.", "direction", size)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(f"{_PREFIX}{name}_seconds", text, registry=self.registry, buckets=_SECONDS)


def application(metrics: Metrics, unready: Callable[[], Awaitable[str | None]]) -> Starlette:
    """`/metrics`, `/healthz` (the process answers) and `/readyz` (it can serve: `unready` returns no reason)."""

    async def show_metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(metrics.registry), headers={"content-type": content_type})

    async def show_health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def show_readiness(_: Request) -> Response:
        reason = await unready()
        if reason is None:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not ready", "reason": reason}, status_code=503)

    return Starlette(
        routes=[
            Route("/metrics", show_metrics),
            Route("/healthz", show_health),
            Route("/readyz", show_readiness),
        ]
    )


class _QuietServer(uvicorn.Server):
    """Leaves signals to the relay, which has data to put on disk before it ends."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Capture none."""
        yield


class _Visitor(H11Protocol):
    """A connection, which ends if it asks for nothing, or too slowly, and gives way to a newer one among many.

    So what others leave open here keeps nobody from asking whether the relay lives.
    """

    here: ClassVar[dict["_Visitor", None]]  # the oldest first
    _looked_at: RequestResponseCycle | None = None
    _timer: asyncio.TimerHandle | None = None

    @property
    def _idle(self) -> bool:
        """Whether it is at no request."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        if len(self.here) >= _CONNECTIONS_MAX:
            oldest = next((visitor for visitor in self.here if visitor._idle), next(iter(self.here)))
            del self.here[oldest]
            oldest.transport.abort()
        self.here[self] = None
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self.here.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._timer = self.loop.call_later(_REQUEST_S, self._look)

    def _look(self) -> None:
        if self._idle and self.cycle is self._looked_at:
            self.transport.abort()
        else:
            self._looked_at = self.cycle
            self._wait()


class ObservabilityServer:
    """The HTTP side door, inside the relay's event loop. Make it with `start`, end it with `stop`."""

    def __init__(self, server: uvicorn.Server, listener: socket.socket, serving: asyncio.Task[None]) -> None:
        self._server = server
        self._listener = listener
        self._serving = serving

    @classmethod
    async def start(cls, host: str, port: int, app: Starlette) -> Self:
        """Listen and serve. Raises `InvalidSettings` when the address cannot be used."""
        listener = _listen(host, port)

        class Visitor(_Visitor):
            here: ClassVar[dict[_Visitor, None]] = {}

        server = _QuietServer(
            uvicorn.Config(
                app,
                loop="none",
                http=Visitor,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                timeout_keep_alive=int(2 * _REQUEST_S),
                timeout_graceful_shutdown=1,
            )
        )
        return cls(server, listener, asyncio.create_task(server.serve(sockets=[listener])))

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._listener.getsockname()[1])

    async def stop(self) -> None:
        """Finish what is being answered, for a second at most, and close."""
        self._server.should_exit = True
        await self._serving
        self._listener.close()


def configure_logging(
    form: Literal["console", "json"] = "console", level: str = "info", stream: TextIO | None = None
) -> None:
    """Send our log lines, and those of libraries, to `stream` (standard error), one event a line.

    Text that came from elsewhere is escaped, so that nobody writes log lines or terminal codes for us; values
    under names such as `token` are replaced.
    """
    stream = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _hide_secrets,
    ]
    # Tracebacks show no local variables: those hold customers' data and secrets.
    traceback = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    last: list[Processor] = (
        [structlog.processors.ExceptionRenderer(traceback), structlog.processors.JSONRenderer(sort_keys=True)]
        if form == "json"
        else [
            _escape,
            structlog.dev.ConsoleRenderer(
                colors=stream.isatty(), sort_keys=True, exception_formatter=structlog.dev.plain_traceback
            ),
        ]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()
            listener.setblocking(False)
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        raise InvalidSettings(
            f"metrics cannot be served on {host}:{port}: {error.strerror or error}",
            "Choose another metrics_port, or set metrics = false.",
        ) from error
    return listener


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(_PREFIX + name, text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(_PREFIX + name, text, value=value)


def _counters(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(_PREFIX + name, text, labels=[label])
    for key in sorted(values):
        family.add_metric([key], values[key])
    return family


def _hide_secrets(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    for name in _SECRETS.intersection(event):
        event[name] = "**********"
    return event


def _escape(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Escape the event's own text; the console renderer does so with the other values."""
    text = str(event["event"])
    if not text.isprintable():
        event["event"] = "".join(
            character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
        )
    return event
