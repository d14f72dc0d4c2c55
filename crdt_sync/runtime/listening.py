"""A device that accepts sessions of other devices, beside those that it opens itself.

It is what a relay is, over the device's own replica: the same engine, hub and worker. What devices push to it is stored
as its own edits are, and passed on to whoever it dials and whoever listens to it.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

from crdt_sync.errors import UsageError
from crdt_sync.limits import LISTENER_SESSIONS_MAX
from crdt_sync.protocol import proof
from crdt_sync.protocol.acceptor import Refusal
from crdt_sync.protocol.messages import Hello
from crdt_sync.protocol.principal import Principal, everybody
from crdt_sync.replica import Event, Replica
from crdt_sync.replica.pushed import PushedUpdates
from crdt_sync.runtime import certificate
from crdt_sync.runtime.guests import Guest, Introduce, Told
from crdt_sync.runtime.hosting.audits import ReplicaAudits
from crdt_sync.runtime.hosting.engine import Engine
from crdt_sync.runtime.hosting.placing import OwnSchemas
from crdt_sync.runtime.hosting.serving import Port
from crdt_sync.runtime.network import is_loopback
from crdt_sync.runtime.outside import OUTSIDE, Outside
from crdt_sync.runtime.steady import steady_us
from crdt_sync.runtime.visits import NotedCallers

_AWAY_RETRY_US = 1_000_000  # another command has the store for a moment
_GRACE_S = 4.0


@dataclass(frozen=True, slots=True)
class Listener:
    """A device that listens: `address` is what others on the network dial, `sessions` how many are connected."""

    engine: Engine
    host: str
    port: int
    secure: bool

    @property
    def url(self) -> str:
        """The address for devices that can reach `host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'wss' if self.secure else 'ws'}://{host}:{self.port}"

    @property
    def sessions(self) -> int:
        """How many devices are connected."""
        return len(self.engine.hub)


@asynccontextmanager
async def listening(
    replica: Replica,
    host: str,
    port: int,
    token: str | Callable[[], str],
    tls: certificate.Own | None,
    ping_us: int | None = None,
) -> AsyncIterator[Listener]:
    """Accept sessions while the block runs. `tls` is as `certificate.own` gives it; None: without encryption. `ping_us`
    is after how long a silence a caller is asked whether it lives. A `token` that is a function is asked for at each
    call, so that it may be exchanged for another one; in a space with identities callers prove their keys, and no token
    counts.

    Raises `UsageError` where everybody on the network could come in, `InvalidSettings` for an address that cannot be
    listened on.
    """
    known = token if callable(token) else lambda: token
    member = replica.membership
    if member is None and not known() and not is_loopback(host):
        raise UsageError(
            "without a token everybody on the network could read these customers",
            "Give the space's token with --token or --token-file, or listen on 127.0.0.1.",
        )
    context, binding = tls or (None, b"")
    opened: Port | None = None
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(hosting(replica, ping_us))
        try:
            opened = await Port.open(
                engine,
                host,
                port,
                certificate=context,
                browsers=False,
                sessions_max=LISTENER_SESSIONS_MAX,
                introduce=_introduce(replica, known, binding, engine),
            )
            yield Listener(engine, host, opened.number, context is not None)
        finally:
            if opened is not None:
                opened.close()
            await stack.aclose()
            if opened is not None:
                await opened.wait_closed()


@asynccontextmanager
async def hosting(
    replica: Replica,
    ping_us: int | None = None,
    outside: Outside = OUTSIDE,
) -> AsyncIterator[Engine]:
    """The engine of a device that listens, for as long as the block runs. It lets in whom a transport says to.

    Where the replica goes by a policy, callers hold some records and not others, and it takes those that it may hold.
    """
    unlisten = _keep_places(replica)
    visits = NotedCallers(replica)
    loop = asyncio.get_running_loop()
    engine = Engine(
        replica.store,
        lambda _: Refusal("unauthorized", "a device proves that it knows the token"),
        replica.clock.now,
        LISTENER_SESSIONS_MAX,
        commits=PushedUpdates(replica),
        digests=_Digests(replica),
        audits=ReplicaAudits(replica, lambda: steady_us(loop)),
        keep_spare=False,
        clock_doubted=replica.context.doubt_clock,
        damage_met=replica.context.note_damage,
        visits=visits,
        ping_us=ping_us,
        outside=outside,
        in_force=replica.context.in_force,
        schemas=OwnSchemas(lambda: replica.context.schemas, replica.context.filter_fields),
        own=replica.context.own_sight,
    )
    noting = asyncio.create_task(visits.keep())
    unsubscribe = replica.subscribe(_Changes(engine).heard)
    try:
        yield engine
    finally:
        unsubscribe()
        unlisten()
        await engine.stop(_AWAY_RETRY_US, _GRACE_S, "it listens no more, or gives way to another command")
        noting.cancel()
        visits.write()


def _keep_places(replica: Replica) -> Callable[[], None]:
    """See to it that the store keeps what records show as soon as there is a policy; returns the call that ends it."""

    def look() -> None:
        if replica.context.in_force() is not None:
            replica.context.keeps_places = True

    look()
    return (lambda: None) if replica.membership is None else replica.membership.listen(look)


def _introduce(replica: Replica, token: Callable[[], str], binding: bytes, engine: Engine) -> Introduce:
    """How newcomers are met: by the keys of both where this device is in a space with identities, else by the token."""
    if (member := replica.membership) is None:
        return _Doorkeeper(replica, token, binding).introduce
    from crdt_sync.runtime.member_door import MemberDoor  # noqa: PLC0415 - few devices are in such a space

    return MemberDoor(member, replica.id, binding, engine, replica.wall_clock).introduce


class _Doorkeeper:
    """Proves this device to each newcomer, and asks for the same."""

    def __init__(self, replica: Replica, token: Callable[[], str], binding: bytes) -> None:
        self._replica = replica
        self._token = token
        self._binding = binding

    def introduce(self, told: Told) -> Guest | None:
        """See `Introduce`."""
        nonces = told(proof.NONCE_HEADER)
        nonce = proof.read_nonce(nonces[0] if len(nonces) == 1 else None)
        if nonce is None:
            return None  # and the engine lets nobody in
        exchange = proof.Exchange(nonce, secrets.token_bytes(proof.NONCE_BYTES), self._binding)
        token = self._token()
        headers = (
            (proof.NONCE_HEADER, exchange.acceptor_nonce.hex()),
            (proof.PROOF_HEADER, exchange.acceptor(token)),
            (proof.REPLICA_HEADER, self._replica.id.hex()),
        )
        expected = exchange.dialer(token)

        def authorise(hello: Hello) -> Principal | Refusal:
            if proof.equal(hello.token, expected):
                return everybody(hello)
            return Refusal("unauthorized", "this device does not know the space's token")

        return Guest(authorise, headers)


class _Changes:
    """Tells the engine, on its loop, what the device itself and its own sessions have stored."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def heard(self, events: Sequence[Event]) -> None:
        """A commit of the replica, in whatever thread."""
        records = [event.record for event in events if event.kind != "stored"]
        if records:
            with suppress(RuntimeError):  # the loop was closed a moment ago
                self._engine.loop.call_soon_threadsafe(self._engine.written_beside, records)


class _Digests:
    """Digests of a device's records, which it can build itself."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    async def refresh(self) -> None:
        """See `hosting.digests.Digests`."""
        await asyncio.to_thread(self._replica.refresh_digests)
