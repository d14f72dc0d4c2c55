"""The HTTP side door of a relay: `/metrics` for scrapers, `/healthz` and `/readyz` for probes.

What it needs is loaded only where it is open.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Generator
from typing import ClassVar, Final, Self

import uvicorn
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from crdt_relay.observability import Metrics
from crdt_sync.errors import InvalidSettings

_CONNECTIONS_MAX: Final = 64  # scrapers and probes; beyond them the oldest that asks for nothing gives way
_REQUEST_S: Final = 10.0  # for a request to come whole, and twice that between two on one connection


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


class SideDoor:
    """The server, inside the relay's event loop. Make it with `start`, end it with `stop`."""

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
