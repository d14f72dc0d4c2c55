"""The space's registry, kept with the records of the relay: as settings of its store, one for each thing.

All of it is in memory too, read when it is opened, as a few thousand devices are a megabyte; what is damaged there is
`StoreCorrupt`, since a relay that forgot who is out would let them in. The lock makes `use` a compare-and-set.
"""

import threading
from collections.abc import Callable
from dataclasses import astuple, replace
from typing import Protocol

from crdt_sync import limits
from crdt_sync.errors import StoreCorrupt
from crdt_sync.identity.enrolling import Invite
from crdt_sync.identity.registry import Device, Kept
from crdt_sync.storage.port import Committer, Settings
from crdt_sync.storage.values import Batch
from crdt_sync.strict_cbor import dumps, loads

PREFIX = "identity/"
_SAID = PREFIX + "said"
_INVITES = PREFIX + "invite/"
_DEVICES = PREFIX + "device/"


class SettingsStore(Settings, Committer, Protocol):
    """What the registry needs of a store."""


class StoreRegistry:
    """See `Registry`. `wall_clock` gives microseconds since 1970. Threads may call."""

    def __init__(self, store: SettingsStore, wall_clock: Callable[[], int]) -> None:
        """Raises `StoreError`, `StoreCorrupt` above all."""
        self._store = store
        self._wall_clock = wall_clock
        self._lock = threading.Lock()
        raw = store.meta(_SAID)
        self._said = None if raw is None else _said(raw)
        found = (_invite(key, store.meta(key)) for key in store.meta_keys(_INVITES))
        self._invites = {invite.lookup: invite for invite in found}
        joined = (_device(key, store.meta(key)) for key in store.meta_keys(_DEVICES))
        self._devices = {device.id: device for device in joined}

    def said(self) -> Kept | None:
        """See `Registry`."""
        return self._said

    def keep(self, said: Kept) -> None:
        """See `Registry`."""
        with self._lock:
            self._write({_SAID: dumps((said.anchor, said.statements))})
            self._said = said

    def find(self, lookup: bytes) -> Invite | None:
        """See `Invites`."""
        return self._invites.get(lookup)

    def use(self, lookup: bytes, device: bytes) -> Invite | None:
        """See `Invites`."""
        with self._lock:
            invite = self._invites.get(lookup)
            if invite is None or invite.device is not None:
                return invite
            used = replace(invite, device=device)
            meta = _packed_invite(used)
            known = self._devices.get(device)
            if known is None:
                known = Device(device, invite.user, self._wall_clock())
                meta |= _packed_device(known)
            self._write(meta)
            self._invites[lookup], self._devices[device] = used, known
            return used

    def owner(self, device: bytes) -> str | None:
        """See `Invites`."""
        known = self._devices.get(device)
        return known.user if known is not None else None

    def invites(self) -> list[Invite]:
        """See `Registry`."""
        return sorted(self._invites.values(), key=lambda invite: (invite.expires, invite.lookup))

    def add(self, invite: Invite) -> None:
        """See `Registry`."""
        with self._lock:
            self._write(_packed_invite(invite))
            self._invites[invite.lookup] = invite

    def withdraw(self, lookup: bytes) -> None:
        """See `Registry`."""
        with self._lock:
            if lookup in self._invites:
                self._write({_INVITES + lookup.hex(): None})
                del self._invites[lookup]

    def devices(self) -> list[Device]:
        """See `Registry`."""
        return sorted(self._devices.values(), key=lambda device: (device.joined, device.id))

    def device(self, device: bytes) -> Device | None:
        """See `Registry`."""
        return self._devices.get(device)

    def note(self, device: Device) -> None:
        """See `Registry`."""
        with self._lock:
            self._write(_packed_device(device))
            self._devices[device.id] = device

    def _write(self, meta: dict[str, bytes | None]) -> None:
        self._store.commit([Batch(meta=meta)])


def _packed_invite(invite: Invite) -> dict[str, bytes | None]:
    return {_INVITES + invite.lookup.hex(): dumps((invite.user, invite.expires, invite.device))}


def _packed_device(device: Device) -> dict[str, bytes | None]:
    return {_DEVICES + device.id.hex(): dumps(astuple(device)[1:])}


def _said(raw: bytes) -> Kept:
    match _read(_SAID, raw):
        case (bytes(anchor), tuple(statements)):
            return Kept(anchor, tuple(each for each in statements if isinstance(each, bytes)))
    raise _unknown(_SAID)


def _invite(key: str, raw: bytes | None) -> Invite:
    match _read(key, raw):
        case (str(user), int(expires), (bytes() | None) as device):
            return Invite(bytes.fromhex(key.removeprefix(_INVITES)), user, expires, device)
    raise _unknown(key)


def _device(key: str, raw: bytes | None) -> Device:
    match _read(key, raw):
        case (str(user), int(joined), str(name), (int() | None) as wiped):
            return Device(bytes.fromhex(key.removeprefix(_DEVICES)), user, joined, name, wiped)
    raise _unknown(key)


def _read(key: str, raw: bytes | None) -> object:
    try:
        return loads(raw or b"", items_max=limits.STATEMENTS_SAID_MAX + 8, depth_max=4)
    except ValueError:
        raise _unknown(key) from None


def _unknown(key: str) -> StoreCorrupt:
    return StoreCorrupt(f"what is kept of the space in {key} cannot be read")
