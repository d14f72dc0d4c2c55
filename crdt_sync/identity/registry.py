"""What somebody who speaks for a space keeps: what it said, its invites, and the devices that joined.

A port, and its twin in memory: the model of what a store of these does. One suite holds all to the same.
"""

from dataclasses import dataclass, replace
from typing import Protocol

from crdt_sync.identity.enrolling import Invite, Invites


@dataclass(frozen=True, slots=True)
class Kept:
    """What a space said: the public key from which it all follows, 32 bytes, and `Statements.kept()`."""

    anchor: bytes
    statements: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Device:
    """One device that joined. `name` is what it calls itself, and proves nothing. Times are microseconds since 1970.

    `wiped` is when it confirmed that it destroyed what it held.
    """

    id: bytes
    user: str
    joined: int
    name: str = ""
    wiped: int | None = None


class Registry(Invites, Protocol):
    """See the module. Whatever is written is durable when the call returns, or the call raises `StoreError`."""

    def said(self) -> Kept | None:
        """What the space said; None where it said nothing yet: it has no identities."""

    def keep(self, said: Kept) -> None:
        """Keep this in the place of what was said before."""

    def invites(self) -> list[Invite]:
        """All invites, those that expire first at the beginning."""

    def add(self, invite: Invite) -> None:
        """Keep a new invite."""

    def withdraw(self, lookup: bytes) -> None:
        """Keep an invite no longer; a device that opened it stays."""

    def devices(self) -> list[Device]:
        """All devices, those that joined first at the beginning."""

    def device(self, device: bytes) -> Device | None:
        """One device, by its id."""

    def note(self, device: Device) -> None:
        """Keep this of a device in the place of what was kept of it before."""


class MemoryRegistry:
    """The port's twin in memory. `now` is when something is written, in microseconds since 1970."""

    def __init__(self, now: int = 0) -> None:
        self.now = now
        self._said: Kept | None = None
        self._invites: dict[bytes, Invite] = {}
        self._devices: dict[bytes, Device] = {}

    def said(self) -> Kept | None:
        """See `Registry`."""
        return self._said

    def keep(self, said: Kept) -> None:
        """See `Registry`."""
        self._said = said

    def find(self, lookup: bytes) -> Invite | None:
        """See `Invites`."""
        return self._invites.get(lookup)

    def use(self, lookup: bytes, device: bytes) -> Invite | None:
        """See `Invites`."""
        invite = self._invites.get(lookup)
        if invite is not None and invite.device is None:
            invite = self._invites[lookup] = replace(invite, device=device)
            if device not in self._devices:
                self._devices[device] = Device(device, invite.user, self.now)
        return invite

    def owner(self, device: bytes) -> str | None:
        """See `Invites`."""
        known = self._devices.get(device)
        return known.user if known is not None else None

    def invites(self) -> list[Invite]:
        """See `Registry`."""
        return sorted(self._invites.values(), key=lambda invite: (invite.expires, invite.lookup))

    def add(self, invite: Invite) -> None:
        """See `Registry`."""
        self._invites[invite.lookup] = invite

    def withdraw(self, lookup: bytes) -> None:
        """See `Registry`."""
        self._invites.pop(lookup, None)

    def devices(self) -> list[Device]:
        """See `Registry`."""
        return sorted(self._devices.values(), key=lambda device: (device.joined, device.id))

    def device(self, device: bytes) -> Device | None:
        """See `Registry`."""
        return self._devices.get(device)

    def note(self, device: Device) -> None:
        """See `Registry`."""
        self._devices[device.id] = device
