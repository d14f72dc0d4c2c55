"""The devices that joined, by their keys: what a `devices` statement says.

It is the whole list each time, those that are out too: who is out is said by the revocations, and what a device signed
before that is still to be checked. So whoever holds the newest can seal to a device that it never met, find it on a
network, and check its signatures.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from crdt_sync.errors import IdentityRefused
from crdt_sync.identity.keys import KEY_BYTES, PublicKey, device_of
from crdt_sync.identity.refusals import Reason, refused
from crdt_sync.identity.users import is_user
from crdt_sync.limits import DEVICES_LISTED_MAX


@dataclass(frozen=True, slots=True)
class Devices:
    """`users` has the user of each device, by the device's public key, 32 bytes. A device is of one user."""

    kind: ClassVar[str] = "devices"

    users: Mapping[bytes, str] = field(default_factory=dict)
    _keys: Mapping[bytes, bytes] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.users) > DEVICES_LISTED_MAX:
            raise refused(Reason.STATEMENT_MALFORMED, f"at most {DEVICES_LISTED_MAX} devices are listed")
        sound = all(type(raw) is bytes and len(raw) == KEY_BYTES for raw in self.users)
        if not sound or not all(map(is_user, set(self.users.values()))):
            raise refused(Reason.STATEMENT_MALFORMED, "a device that is listed, or its user, is none")
        object.__setattr__(self, "_keys", {device_of(raw): raw for raw in self.users})

    def __iter__(self) -> Iterator[bytes]:
        """The ids of all."""
        return iter(self._keys)

    def user(self, device: bytes) -> str | None:
        """Whose device it is, by its id; None for one that is not listed."""
        raw = self._keys.get(device)
        return None if raw is None else self.users[raw]

    def key(self, device: bytes) -> PublicKey | None:
        """The key of a device, by its id; None for one that is not listed, or whose key is none."""
        raw = self._keys.get(device)
        try:
            return None if raw is None else PublicKey(raw)
        except IdentityRefused:
            return None

    def of(self, user: str) -> list[bytes]:
        """The ids of a user's devices, in their order."""
        return sorted(device for device, raw in self._keys.items() if self.users[raw] == user)

    def joined(self, key: PublicKey, user: str) -> "Devices":
        """The list with one more. Raises `IdentityRefused` where it is full."""
        return Devices({**self.users, key.raw: user})

    def packed(self) -> object:
        """As a statement carries it: by user, in the order of names, their keys in order in one byte string."""
        keys: dict[str, list[bytes]] = {}
        for raw in sorted(self.users):
            keys.setdefault(self.users[raw], []).append(raw)
        return tuple((user, b"".join(keys[user])) for user in sorted(keys))

    @classmethod
    def read(cls, value: object) -> "Devices":
        """From a statement. Raises `IdentityRefused`."""
        try:
            if not isinstance(value, tuple):
                raise TypeError
            users: dict[bytes, str] = {}
            for user, keys in value:
                if type(keys) is not bytes or type(user) is not str or not keys or len(keys) % KEY_BYTES:
                    raise TypeError
                users.update({keys[at : at + KEY_BYTES]: user for at in range(0, len(keys), KEY_BYTES)})
            return cls(users)
        except (TypeError, ValueError):
            raise refused(Reason.STATEMENT_MALFORMED, "devices are users, each with the keys of theirs") from None
