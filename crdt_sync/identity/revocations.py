"""Devices and users that are out: what a `revocations` statement says.

It is the whole list each time, so that whoever holds the newest holds all: 1,000 devices take 25 kB. They are rows of
one byte string: with an item of CBOR for each part of each, they took 1.8 times as long to take up. The last byte of a
row has bit 0 for a device that is to wipe what it holds, and bit 1 for one whose unsent edits are taken into review.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

from crdt_sync.identity.keys import DEVICE_BYTES
from crdt_sync.identity.refusals import Reason, refused
from crdt_sync.identity.users import is_user
from crdt_sync.limits import INTEGER_EXACT_MAX, REVOKED_DEVICES_MAX, REVOKED_USERS_MAX

_ROW = struct.Struct(f">{DEVICE_BYTES}sQB")  # id, since when, orders
_WIPE, _REVIEW = 1, 2


class Revoked(NamedTuple):
    """Since when a device is out, in microseconds since 1970, and whether it is to destroy what it holds.

    `review`: what it had not sent when it heard of that, it may hand in to the relay, where an operator looks at it.
    """

    since: int
    wipe: bool
    review: bool = False


@dataclass(frozen=True, slots=True)
class Revocations:
    """Devices by their ids, users by their names, with the time from which on each is out."""

    kind: ClassVar[str] = "revocations"

    devices: Mapping[bytes, Revoked] = field(default_factory=dict)
    users: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.devices) > REVOKED_DEVICES_MAX or len(self.users) > REVOKED_USERS_MAX:
            raise refused(
                Reason.STATEMENT_MALFORMED,
                f"at most {REVOKED_DEVICES_MAX} devices and {REVOKED_USERS_MAX} users can be revoked",
            )
        sound = (
            all(type(device) is bytes and len(device) == DEVICE_BYTES for device in self.devices)
            and all(0 <= since <= INTEGER_EXACT_MAX for since, *_ in self.devices.values())
            and all(map(is_user, self.users))
            and all(type(since) is int and 0 <= since <= INTEGER_EXACT_MAX for since in self.users.values())
        )
        if not sound:
            raise refused(Reason.STATEMENT_MALFORMED, "a device or user that is revoked is none")

    def check(self, device: bytes, user: str) -> None:
        """Raises `IdentityRefused` where the device or its user is out."""
        self.check_device(device)
        self.check_user(user)

    def check_device(self, device: bytes) -> None:
        """Raises `IdentityRefused` where the device is out."""
        if (revoked := self.devices.get(device)) is not None:
            wipes = ", and is to wipe what it holds" if revoked.wipe else ""
            raise refused(Reason.DEVICE_REVOKED, f"the device {device.hex()} was revoked{wipes}")

    def check_user(self, user: str) -> None:
        """Raises `IdentityRefused` where the user is out."""
        if user in self.users:
            raise refused(Reason.USER_DISABLED, f"the user {user!r} was disabled")

    def packed(self) -> object:
        """As a statement carries it, in the order of ids and names, so that equal ones are equal bytes."""
        rows = []
        for device in sorted(self.devices):
            since, wipe, review = self.devices[device]
            rows.append(_ROW.pack(device, since, _WIPE * wipe | _REVIEW * review))
        return b"".join(rows), tuple(sorted(self.users.items()))

    @classmethod
    def read(cls, value: object) -> "Revocations":
        """From a statement. Raises `IdentityRefused`."""
        try:
            if not isinstance(value, tuple):
                raise TypeError
            rows, users = value
            devices = {}
            for device, since, orders in _ROW.iter_unpack(rows):
                if orders & ~(_WIPE | _REVIEW):
                    raise ValueError(orders)
                devices[device] = Revoked(since, bool(orders & _WIPE), bool(orders & _REVIEW))
            return cls(devices, dict(users))
        except (TypeError, ValueError, struct.error):
            raise refused(Reason.STATEMENT_MALFORMED, "revocations are rows of devices and a list of users") from None
