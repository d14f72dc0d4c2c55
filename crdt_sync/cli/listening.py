"""Commands for devices that talk to each other without a relay: `listen`, `peers`, `token`."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace

import click

from crdt_sync.cli import devices, drawing, listening_lock, partners
from crdt_sync.cli.invocation import Invocation
from crdt_sync.cli.options import GivenToken, given_token_options, ping_interval_option, token_options
from crdt_sync.cli.output import table
from crdt_sync.cli.renewed_token import OwnToken, Renewal
from crdt_sync.cli.safe_text import one_line
from crdt_sync.cli.staying import stay
from crdt_sync.cli.values import local_time, utc_time
from crdt_sync.cli.watching import Watched
from crdt_sync.errors import UsageError
from crdt_sync.limits import LISTENING_PORT
from crdt_sync.replica import Replica
from crdt_sync.runtime import certificate, discovery
from crdt_sync.runtime.address import ping_us
from crdt_sync.runtime.listening import Listener, listening
from crdt_sync.runtime.network import is_loopback, own_addresses


@click.command("listen")
@click.option("--host", default="0.0.0.0", metavar="ADDRESS", help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(min=0, max=65535),
    default=LISTENING_PORT,
    metavar="N",
    help="Port; 0 takes a free one.",
)
@click.option("--announce", is_flag=True, help="Let devices near find this one: tells its name, nothing of customers.")
@click.option("--with", "beside", multiple=True, metavar="PEER", help="Stay in sync with this device too.")
@ping_interval_option
@click.option("--no-relay", is_flag=True, help="Do not stay in sync with the relay.")
@given_token_options
@click.pass_obj
def listen(
    call: Invocation,
    host: str,
    port: int,
    announce: bool,
    beside: Sequence[str],
    ping_interval: float | None,
    no_relay: bool,
    given: GivenToken,
) -> None:
    """Let other devices of this space sync with this one, until Ctrl-C; the relay is kept in sync too."""
    listen_here(
        call,
        host=host,
        port=port,
        announce=announce,
        beside=beside,
        ping_interval=ping_interval,
        no_relay=no_relay,
        given=given,
    )


def listen_here(
    call: Invocation,
    *,
    host: str = "0.0.0.0",
    port: int = LISTENING_PORT,
    announce: bool = False,
    beside: Sequence[str] = (),
    ping_interval: float | None = None,
    no_relay: bool = False,
    given: GivenToken = GivenToken(),  # noqa: B008 - it never changes
    role: str = "crdt-sync listen",
    beside_it: Sequence[Callable[[], Coroutine[object, object, None]]] = (),
) -> None:
    """See `listen`; `given` is of the token, other programs see `role`, and `beside_it` runs meanwhile."""
    call.must_exist()
    space = "" if given.text is not None else partners.space_of_member(call.store)
    secret = space or (
        partners.token(call.store)
        if is_loopback(host) and given.text is None
        else devices.space_token(call, given.text, beside)
    )
    own = OwnToken(call.store, secret, given=bool(space) or given.text is not None, file=given.file)
    with listening_lock.listening_alone(call.store, port), call.open() as replica:
        relay = None if no_relay else partners.load(call.store)
        addresses = [relay] if relay is not None else []
        addresses += [devices.resolved(replica, peer, secret).address for peer in beside]
        if ping_interval is not None:
            addresses = [replace(address, ping_interval_s=ping_interval) for address in addresses]
        door = _Door(host, port, own, announce, ping_us(ping_interval))
        watched = [
            Watched(
                address,
                beside_others=True,
                store=call.store,
                renewal=Renewal(call.store, given.file if address.direct else None),
            )
            for address in addresses
        ]

        def work(replica: Replica) -> Sequence[Coroutine[object, object, None]]:
            tls = certificate.own(call.store)
            return [
                door.open(replica, tls),
                *(line.stay(replica, alone=False) for line in watched),
                *(each() for each in beside_it),
            ]

        stay(replica, [door, *watched], work, call.output, role)
    call.output.result({**door.data(), "state": "ended"}, "Ended.")


@dataclass(slots=True)
class _Door:
    """The listening side of this device, as it is shown."""

    host: str
    port: int
    token: OwnToken
    announce: bool
    ping_us: int | None
    state: str = "starting"
    url: str = ""
    sessions: int = 0
    listener: Listener | None = None

    async def open(self, replica: Replica, tls: certificate.Own) -> None:
        """Accept sessions until cancelled."""
        async with AsyncExitStack() as opened:
            self.listener = await opened.enter_async_context(
                listening(replica, self.host, self.port, self.token, tls, self.ping_us)
            )
            self.port = self.listener.port
            hosts = own_addresses() if self.host in {"0.0.0.0", "::"} else [self.host]
            self.url = f"wss://{f'[{hosts[0]}]' if ':' in hosts[0] else hosts[0]}:{self.port}"
            if self.announce:
                await opened.enter_async_context(
                    discovery.announced(
                        replica.name, replica.id, self.token(), self.port, hosts, member=replica.membership
                    )
                )
            self.state = "listening"
            await asyncio.Event().wait()

    def look(self, replica: Replica) -> None:
        """See `staying.Line`."""
        self.sessions = self.listener.sessions if self.listener is not None else 0

    @property
    def standing(self) -> tuple[str, str, str]:
        """See `staying.Line`."""
        return self.url, self.state, ""

    def data(self) -> dict[str, object]:
        """See `staying.Line`."""
        return {"listening": self.url, "state": self.state, "devices": self.sessions}

    def sentence(self) -> str:
        """See `staying.Line`."""
        if not self.url:
            return self.state
        return f"{self.state} at {self.url}: {_devices(self.sessions)} connected"

    def __rich__(self) -> "drawing.Text":
        style = "bold green" if self.state == "listening" else "bold"
        return drawing.Text.assemble(
            ("● ", style), (self.state, style), f"  {one_line(self.url)}  {_devices(self.sessions)}"
        )


@click.command("peers")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, max=60),
    default=devices.SEARCH_S,
    metavar="N",
    help="How long to look; 0: only those known.",
)
@token_options
@click.pass_obj
def peers(call: Invocation, seconds: float, token: str | None) -> None:
    """List the devices of this space that are near, and those known from before: called, or calling here."""
    secret = token or partners.space_of_member(call.store) or partners.token(call.store)
    with call.open() as replica:
        standing = replica.status()
        found = devices.look_around(replica, secret, seconds) if seconds else []
    seen = {caller.replica: caller.last_seen for caller in standing.callers}
    seen |= {partner.replica: partner.last_seen for partner in standing.partners}
    rows = [_Row(device.name, device.id.hex(), device.url, True, device.user) for device in found]
    rows += [_Row(partner.name, partner.replica, partner.url, False) for partner in standing.partners]
    rows += [_Row(caller.name, caller.replica, "", False) for caller in standing.callers]
    rows = list({row.replica: row for row in reversed(rows)}.values())[::-1]
    if call.output.as_json:
        for row in rows:
            last = seen.get(row.replica)
            call.output.emit({**asdict(row), "last_seen": utc_time(last) if last else None})
        return
    if not rows:
        call.output.text("Nobody is near, and nobody is known. On the other device: crdt-sync listen --announce")
        return
    shown = [
        (
            one_line(f"{row.name} ({row.user})" if row.user else row.name),
            row.replica[:8],
            one_line(row.url),
            "near" if row.near else "" if row.url else "calls here",
            local_time(seen[row.replica]) if row.replica in seen else "never",
        )
        for row in rows
    ]
    call.output.show(table(("Name", "Id", "Address", "", "Last exchange"), shown))


@dataclass(frozen=True, slots=True)
class _Row:
    """A device that is near, or a partner known from before."""

    name: str
    replica: str
    url: str
    near: bool
    user: str = ""


@click.command("token")
@click.option("--new", is_flag=True, help="Make a token, for a space without a relay.")
@click.option("--show", is_flag=True, help="Print it, to give it to another device.")
@token_options
@click.pass_obj
def token(call: Invocation, new: bool, show: bool, token: str | None) -> None:
    """Keep the token by which the devices of a space know each other, or make one."""
    if new and token is not None:
        raise UsageError("both --new and a token were given", "Keep one of them.")
    with call.open():
        if new:
            token = partners.new_token()
        if token is not None:
            partners.save_token(call.store, token)
        kept = partners.token(call.store)
    if show or new:
        call.output.result({"token": kept}, kept or "No token is kept.")
    else:
        text = (
            "A token is kept; 'crdt-sync token --show' prints it."
            if kept
            else "No token is kept: crdt-sync token --new"
        )
        call.output.result({"kept": bool(kept)}, text)


def _devices(count: int) -> str:
    return "1 device" if count == 1 else f"{count} devices"
