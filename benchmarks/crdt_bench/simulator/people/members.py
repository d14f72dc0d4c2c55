"""A device of a user: it keeps its key and what it heard, proves itself to whom it dials, and lets in whom it may."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from crdt_bench.simulator.channels import LinkChannel
from crdt_bench.simulator.devices import Device, Watched
from crdt_bench.simulator.network import TO_HOST, Link
from crdt_sync.errors import IdentityRefused, Unreachable
from crdt_sync.identity.keys import KeyPair
from crdt_sync.identity.refusals import Reason
from crdt_sync.membership.facts import Facts
from crdt_sync.membership.member import Membership
from crdt_sync.protocol.hub import Hub
from crdt_sync.runtime.address import Address
from crdt_sync.runtime.greeting import Greeting
from crdt_sync.runtime.guests import Guest
from crdt_sync.runtime.hosting.engine import Engine
from crdt_sync.runtime.member_door import MemberDoor
from crdt_sync.runtime.transports.channel import Opened

Headers = Sequence[tuple[str, str]]
Meet = Callable[["Member", str, Headers], tuple[Link, bytes | None, Guest] | None]
"""Opens a link to a partner, who is greeted with these headers; None where there is no way."""


def told_by(headers: Headers) -> Callable[[str], Sequence[str]]:
    """The values of a header, by its name."""
    return lambda name: [value for each, value in headers if each == name]


class Talking(Watched):
    """A session that begins with the shipped greeting."""

    _device: "Member"

    async def _open(self, address: Address) -> Opened:
        assert address.member is not None, "the device is one of a space"
        greeting = Greeting(address.member, direct=address.direct)
        way = self._device.meet(self._device, self.name, greeting.headers)
        if way is None:
            raise Unreachable(f"there is no way to {address.url} now", "Try again later.")
        self.link, replica, guest = way
        self._device.conversations.append(self)
        try:
            met = greeting.met(told_by(guest.headers), b"", address.whom)
        except IdentityRefused:
            self.link.cut()
            raise
        return Opened(LinkChannel(self.link, TO_HOST), met.token, met.replica or replica, met.known, met.claims)


class Member(Device):
    """See the module. Another device that starts from a copy of it has its key, too."""

    talking = Talking

    def __init__(
        self,
        pair: KeyPair,
        facts: Facts,
        meet: Meet,
        looked_at: Callable[["Member", Hub], None],
        *arguments: Any,
        **named: Any,
    ) -> None:
        self.pair = pair
        self.facts = facts
        self.meet = meet
        self._looked_at = looked_at
        self.door: MemberDoor | None = None
        super().__init__(*arguments, **named)

    @property
    def member(self) -> Membership:
        """What it is in its space, in this life."""
        membership = self.replica.membership
        assert membership is not None
        return membership

    @property
    def user(self) -> str:
        """Whose it is."""
        return self.replica.context.user

    @property
    def is_out(self) -> bool:
        """Whether it has heard that it is out."""
        return self.pair.public.device in self.member.statements.revocations.devices

    def opened(self) -> None:
        """See `Device`."""
        self.door = None
        self.replica.join_as(Membership(self.facts, self.pair, self._keep))

    def hosts(self, engine: Engine) -> None:
        """See `Device`."""
        self._looked_at(self, engine.hub)
        self.door = MemberDoor(self.member, self.replica.id, b"", engine, self.replica.wall_clock)

    def _keep(self, facts: Facts) -> None:
        self.facts = facts

    async def _reported(self, work: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> None:
        async def until_out() -> None:
            try:
                await work(*arguments)
            except IdentityRefused as error:  # it is out itself, or whom it dialed is
                if error.reason != Reason.DEVICE_REVOKED:
                    raise

        await super()._reported(until_out)
