"""To whom a bundle is sealed, and which records all of them may hold.

Everything follows from what the space said: the devices that joined, the policy, and who is out. A bundle has one
content for all who can open it, so for several users it holds what each of them may hold.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from crdt_sync import ids
from crdt_sync.errors import BundleForbidden, BundleNotWritten, IdentityRefused, UsageError
from crdt_sync.identity.keys import PublicKey
from crdt_sync.limits import BUNDLE_DEVICES_MAX
from crdt_sync.membership.member import Membership
from crdt_sync.nearest import suggestion
from crdt_sync.policy.in_force import InForce
from crdt_sync.policy.rights import Rights
from crdt_sync.policy.values import Forms
from crdt_sync.protocol.sight import Sight, sight_for

_DEVICE_LENGTH_MIN = 4  # characters of an id that name a device
_LACKING = "A device is listed once it has joined: sync this one with the relay, so that it hears of it."


@dataclass(frozen=True, slots=True)
class Recipients:
    """`to` as the envelope has it; `devices` are the keys of those that are not out, `users` whose they are."""

    to: str
    devices: tuple[PublicKey, ...]
    users: tuple[str, ...]


class Allowed:
    """Which records go into a bundle for these recipients: what its maker may bundle, and each of them may hold."""

    def __init__(self, in_force: InForce, maker: str, recipients: Recipients) -> None:
        """Raises `BundleForbidden` where the maker may bundle nothing at all."""
        self._rights: Rights = in_force.rights(maker)
        if not any("bundle" in self._rights.possible(name) for name in self._rights.grants):
            raise BundleForbidden(
                f"{maker} may put nothing into a bundle, by the policy of this space",
                "Ask who runs the space to grant the operation 'bundle'.",
            )
        sights = (sight_for(in_force.rights(user)) for user in recipients.users)
        self._sights: Mapping[bytes, Sight] = {sight.id: sight for sight in sights}  # many may hold the same

    def __call__(self, record: str, forms: Forms) -> bool:
        """Whether a record that shows this goes in, or a companion of one."""
        if not all(sight.holds(record, forms) for sight in self._sights.values()):
            return False
        return ids.is_reserved(record) or self._rights.at(
            ids.whole_collection(ids.collection_of(record)), forms
        ).allows("bundle")


def recipients(member: Membership, in_force: InForce, to: str) -> Recipients:
    """Whom `to` names: `user:NAME`, `role:NAME`, or `device:ID`, where the beginning of the id suffices.

    Raises `UsageError` for what names nobody, `BundleNotWritten` where they have no device that is not out.
    """
    kind, separator, name = to.partition(":")
    match kind, in_force.policy:
        case "user", policy:
            if name not in policy.users:
                raise UsageError(f"the policy names no user {name[:64]!r}", suggestion(name, policy.users, "users"))
            users = [name]
        case "role", policy:
            if name not in policy.roles:
                raise UsageError(f"the policy names no role {name[:64]!r}", suggestion(name, policy.roles, "roles"))
            users = sorted(user for user, known in policy.users.items() if known.role == name)
        case "device", _ if separator:
            device = _device(member, name)
            return _standing(member, f"device:{device.hex()}", [device])
        case _:
            raise UsageError(f"{to[:80]!r} names nobody", "Write user:NAME, role:NAME or device:ID.")
    listed = member.statements.devices
    return _standing(member, to, [device for user in users for device in listed.of(user)])


def _device(member: Membership, named: str) -> bytes:
    listed = sorted(member.statements.devices)
    found = [device for device in listed if device.hex().startswith(named.lower())]
    if len(named) < _DEVICE_LENGTH_MIN or len(found) != 1:
        told = f"{len(found)} devices begin with" if found and len(named) >= _DEVICE_LENGTH_MIN else "no device is"
        raise UsageError(f"{told} {named[:40]!r}", f"'crdt-sync whoami' shows the id of a device. {_LACKING}")
    return found[0]


def _standing(member: Membership, to: str, devices: list[bytes]) -> Recipients:
    keys: list[PublicKey] = []
    users: set[str] = set()
    for device in devices:
        user, key = member.statements.devices.user(device), member.statements.devices.key(device)
        if user is None or key is None:
            continue
        try:
            member.statements.revocations.check_device(device)
            member.check_user(user)
        except IdentityRefused:
            continue
        keys.append(key)
        users.add(user)
    if not keys:
        out = " that is not out" if devices else ""
        raise BundleNotWritten(f"no device of {to}{out} is known here", _LACKING)
    if len(keys) > BUNDLE_DEVICES_MAX:
        raise BundleNotWritten(
            f"{to} has {len(keys)} devices, and a bundle is sealed to {BUNDLE_DEVICES_MAX} at most",
            "Make one for each user: --to user:NAME.",
        )
    return Recipients(to, tuple(keys), tuple(sorted(users)))
