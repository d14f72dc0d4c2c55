"""What an operator decides about a space's people, on the store of a relay, whether it runs or not.

Each function returns what it did as a plain dict, the same for people and for `--json`, and for the control socket.
"""

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from crdt_relay import policy_report
from crdt_relay.authority import Authority
from crdt_relay.login import Login
from crdt_relay.registry import StoreRegistry
from crdt_relay.review import Review
from crdt_sync.audit_log.entry import Entry
from crdt_sync.errors import IdentityRefused, KeyUnusable, UsageError
from crdt_sync.files import sync_folder
from crdt_sync.identity.enrolling import Invite
from crdt_sync.identity.invites import NO_SECRET, Link
from crdt_sync.identity.keys import KeyPair
from crdt_sync.identity.policy_text import PolicyText
from crdt_sync.identity.registry import Device
from crdt_sync.identity.revocations import Revocations, Revoked
from crdt_sync.key_files import make_key, read_key
from crdt_sync.limits import INVITE_LIFE_US, INVITE_SECRET_BYTES, POLICY_USERS_MAX
from crdt_sync.nearest import suggestion
from crdt_sync.policy.differences import difference
from crdt_sync.policy.login_users import with_users
from crdt_sync.policy.model import Policy
from crdt_sync.policy.reading import parse_policy
from crdt_sync.storage.port import Store
from crdt_sync.storage.values import Batch

UNSENT = ("review", "drop")  # what becomes of what a device had not sent when it was shut out
_NEW = ".new"
_DAY_US = 24 * 3600 * 1_000_000
_DEVICE_LENGTH_MIN = 4  # characters of an id that name a device
_NO_SPACE = "crdt-relay policy apply FILE"


class Administration:
    """See the module. `changed` is called when the space said something, or began to, and `tell` with what devices do
    that the audit log has a line of.
    """

    def __init__(
        self,
        store: Store,
        key: Path,
        wall_clock: Callable[[], int],
        changed: Callable[[], None] = lambda: None,
        login: Login | None = None,
    ) -> None:
        """Raises `StoreError`, `KeyUnusable` where the space's key is lost."""
        self._store = store
        self._key = key
        self._wall_clock = wall_clock
        self.changed = changed
        self.tell: Callable[[Entry], None] = lambda _: None
        self.registry = StoreRegistry(store, wall_clock)
        self._login = login
        self.review = Review(store, self._committed)
        self.authority: Authority | None = None
        if self.registry.said() is not None:
            self._open()

    def do(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out a request of the control socket. Raises `CrdtSyncError`."""
        match dict(request):
            case {"act": "apply", "text": str(text), "source": str(source)}:
                return self.apply(text, source)
            case {"act": "invite", "user": str(user), "address": str(address), "certificate": str(fingerprint)}:
                return self.invite(user, address, bytes.fromhex(fingerprint), request.get("days"))
            case {"act": "login_link", "address": str(address), "certificate": str(fingerprint)}:
                return self.login_link(address, bytes.fromhex(fingerprint))
            case {"act": "invites"}:
                return self.invites()
            case {"act": "withdraw", "invite": str(invite)}:
                return self.withdraw(invite)
            case {"act": "devices"}:
                return self.devices()
            case {"act": "device", "device": str(device)}:
                return self.device(device)
            case {"act": "revoke", "device": str(device), "wipe": bool(wipe)}:
                unsent = request.get("unsent")
                return self.revoke(device, wipe=wipe, unsent=unsent if unsent in UNSENT else None)
            case {"act": "unsent", "device": str(device)}:
                return self.take_unsent(device)
            case {"act": "user", "user": str(user), "disabled": bool(disabled)}:
                return self.switch_user(user, disabled=disabled)
            case {"act": "keys"}:
                return self.keys()
            case {"act": "rotate", "to": str(to)}:
                return self.rotate(Path(to) if to else None)
            case {"act": "retire", "key": str(key)}:
                return self.retire(key)
        raise UsageError("the relay does not know that request", "Use the same version as the relay.")

    # --- policy ----------------------------------------------------------------------------------------------

    def apply(self, text: str, source: str) -> dict[str, Any]:
        """Put a policy in force; the first one makes the space's key. Raises `InvalidPolicy`: the old one holds."""
        new = parse_policy(text, source)
        before = self.authority.in_force() if self.authority is not None else None
        old = before.policy if before is not None else Policy({}, {})
        if new.logins is not None and old.logins is not None:  # who has logged in has what the new one gives for it
            users = {user: login for user, login in old.logins.users.items() if user not in new.users}
            room = POLICY_USERS_MAX - len(new.users)
            text = with_users(text, replace(new.logins, users=users).kept(self._wall_clock(), room))
            new = parse_policy(text, source, said=True)
        began = self.authority is None
        authority = self._begun()
        found = difference(old, new)
        again = authority.statements.policy == text
        if not again:
            authority.say(PolicyText(text))
        return {
            "policy": authority.statements.versions.policy,
            "applied": not again,
            "space": authority.space.hex(),
            "key": authority.pair.public.kid.hex(),
            "key_file": str(self._key) if began else None,
            "changes": policy_report.changes(found),
            "told": policy_report.changes_text(found),
        }

    def begin(self) -> None:
        """Have the space say its first word, its key, which is made; nobody is let in before a policy names them."""
        self._begun()

    def _begun(self) -> Authority:
        if self.authority is None:
            pair = read_key(self._key) if self._key.exists() else make_key(self._key)
            space = self._store.space.id
            self._store.join(space)
            self.authority = Authority.begin(self.registry, space, pair, self._wall_clock)
            self._heed(self.authority)
            self.changed()  # from here on nobody comes in who does not prove who it is
        return self.authority

    # --- invites ---------------------------------------------------------------------------------------------

    def invite(self, user: str, address: str, certificate: bytes, days: object = None) -> dict[str, Any]:
        """Make an invite for one device of a user. Raises `UsageError` for a user who is not in the policy."""
        authority = self._needed()
        self._known_user(authority, user)
        now = self._wall_clock()
        expires = now + (INVITE_LIFE_US if not isinstance(days, int) else days * _DAY_US)
        secret = secrets.token_bytes(INVITE_SECRET_BYTES)
        link = Link(address, authority.space, authority.pair.public, certificate, secret)
        self.registry.add(Invite(link.lookup, user, expires))
        return {**_invite(Invite(link.lookup, user, expires), now), "link": str(link)}

    def login_link(self, address: str, certificate: bytes) -> dict[str, Any]:
        """The link with which everybody joins who has logged in: it is no secret."""
        authority = self._needed()
        return {"link": str(Link(address, authority.space, authority.pair.public, certificate, NO_SECRET))}

    def invites(self) -> dict[str, Any]:
        """All invites that were not withdrawn."""
        self._needed()
        now = self._wall_clock()
        return {"invites": [_invite(invite, now) for invite in self.registry.invites()]}

    def withdraw(self, named: str) -> dict[str, Any]:
        """Withdraw an invite, by the beginning of its id; a device that opened it stays."""
        self._needed()
        found = [each for each in self.registry.invites() if each.lookup.hex().startswith(named) and named]
        if len(found) != 1:
            raise UsageError(
                f"{len(found) or 'no'} invites begin with {named[:40]!r}", "See them with: crdt-relay invite list"
            )
        self.registry.withdraw(found[0].lookup)
        return _invite(found[0], self._wall_clock())

    # --- devices and users -----------------------------------------------------------------------------------

    def devices(self) -> dict[str, Any]:
        """All devices that joined."""
        authority = self._needed()
        return {"devices": [self._device(authority, device) for device in self.registry.devices()]}

    def device(self, named: str) -> dict[str, Any]:
        """One device, by the beginning of its id or by its name."""
        authority = self._needed()
        return self._device(authority, self.named(named))

    def revoke(self, named: str, *, wipe: bool, unsent: str | None = None) -> dict[str, Any]:
        """Shut a device out, for good; with `wipe` it destroys what it holds at its next contact. `unsent`, one of
        `UNSENT`, says what becomes of what it had not sent; None leaves that as it is, which is `drop` at first.
        """
        authority = self._needed()
        device = self.named(named)
        revocations = authority.statements.revocations
        before = revocations.devices.get(device.id)
        since, wiping, review = before or (self._wall_clock(), False, False)
        revoked = Revoked(since, wipe or wiping, review if unsent is None else unsent == "review")
        if revoked != before:
            devices = {**revocations.devices, device.id: revoked}
            authority.say(Revocations(devices, revocations.users))
        return self._device(authority, device)

    def take_unsent(self, named: str) -> dict[str, Any]:
        """Have a device that is out hand in what it had not sent, at its next contact. Raises `UsageError`."""
        authority, device = self._needed(), self.named(named)
        if device.id not in authority.statements.revocations.devices:
            raise UsageError(
                f"{device.name or device.id.hex()} is not shut out: what it has it syncs",
                "To shut it out: crdt-relay device revoke DEVICE --unsent review",
            )
        if device.wiped is not None:
            raise UsageError(
                f"{device.name or device.id.hex()} has destroyed what it held", "Nothing is left that it could hand in."
            )
        return self.revoke(named, wipe=False, unsent="review")

    def switch_user(self, user: str, *, disabled: bool) -> dict[str, Any]:
        """Shut a user out with all devices, or let them in again."""
        authority = self._needed()
        revocations = authority.statements.revocations
        users = dict(revocations.users)
        if disabled:
            if user not in users:
                self._known_user(authority, user)
            users.setdefault(user, self._wall_clock())
        else:
            users.pop(user, None)
        changed = users != dict(revocations.users)
        if changed:
            authority.say(Revocations(revocations.devices, users))
        devices = [device.id.hex() for device in self.registry.devices() if device.user == user]
        policy = authority.in_force()
        known = policy.policy.users.get(user) if policy is not None else None
        return {
            "user": user,
            "disabled": disabled,
            "changed": changed,
            "devices": devices,
            "policy_disables": known is None or known.disabled,
        }

    # --- keys ------------------------------------------------------------------------------------------------

    def keys(self) -> dict[str, Any]:
        """The keys of the space that hold, the newest last."""
        authority = self._needed()
        keys = [key.kid.hex() for key in authority.statements.keys.keys]
        return {"space": authority.space.hex(), "keys": keys, "key_file": str(self._key)}

    def rotate(self, to: Path | None = None) -> dict[str, Any]:
        """Make a new key, which signs from now on: in the place of the one before, or in the file `to`."""
        authority = self._needed()
        target = to or self._key
        written = target if to else target.with_name(target.name + _NEW)
        pair = self._unused(written)
        authority.introduce(pair)
        if to is None:
            _take_place(written, target)
        else:
            self._key = to
        return {**self.keys(), "new": pair.public.kid.hex()}

    def retire(self, named: str) -> dict[str, Any]:
        """Retire the keys before the newest, or the one that `named` begins."""
        authority = self._needed()
        older = authority.statements.keys.keys[:-1]
        found = [key for key in older if key.kid.hex().startswith(named)]
        if not found:
            raise UsageError(
                "there is no older key to retire" if not named else f"no older key begins with {named[:40]!r}",
                "Make a new one first: crdt-relay key rotate"
                if not older
                else f"Older keys: {', '.join(key.kid.hex() for key in older)}.",
            )
        for key in found:
            authority.retire(key)
        return {**self.keys(), "retired": [key.kid.hex() for key in found]}

    def _unused(self, path: Path) -> KeyPair:
        """A new key in `path`; one that an interrupted rotation left there, and nobody was told of, is used."""
        return read_key(path) if path.exists() else make_key(path)

    # --- parts -----------------------------------------------------------------------------------------------

    def _open(self) -> None:
        newest = self.registry.said()
        assert newest is not None
        space, left = self._store.space.id, self._key.with_name(self._key.name + _NEW)
        try:
            self.authority = Authority(self.registry, space, read_key(self._key), self._wall_clock)
        except KeyUnusable:
            if not left.exists():
                if self._key.exists():
                    raise
                raise KeyUnusable(
                    f"the key of the space is not here: there is no {self._key}",
                    "Put a copy of it back, or name it with --key-file. Where there is none, begin anew: a new store "
                    "and policy, and each device joins with a new invite. See docs/joining.md.",
                ) from None
            self.authority = Authority(self.registry, space, read_key(left), self._wall_clock)
            _take_place(left, self._key)  # a rotation that was cut short
        self._heed(self.authority)

    def _heed(self, authority: Authority) -> None:
        authority.changed, authority.tell, authority.login = self._said, self._tell, self._login
        authority.review = self.review

    def _said(self) -> None:
        self.changed()

    def _tell(self, entry: Entry) -> None:
        self.tell(entry)

    def _needed(self) -> Authority:
        if self.authority is None:
            raise UsageError("this relay has no identities: whoever has its token is let in", f"Begin: {_NO_SPACE}")
        return self.authority

    def _known_user(self, authority: Authority, user: str) -> None:
        policy = authority.in_force()
        users: Sequence[str] = () if policy is None else list(policy.policy.users)
        if user not in users:
            raise UsageError(
                f"the policy names no user {user[:80]!r}",
                f"{suggestion(user, users, 'users')} Add the user to the policy, and apply it: {_NO_SPACE}",
            )

    async def _committed(self, batch: Batch) -> None:
        self._store.commit([batch])

    def named(self, named: str) -> Device:
        """The device of that name, or whose id begins so. Raises `UsageError`."""
        devices = self.registry.devices()
        found = [each for each in devices if len(named) >= _DEVICE_LENGTH_MIN and each.id.hex().startswith(named)]
        found = found or [each for each in devices if named and each.name == named]
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(
                f"{len(found)} devices are called {named[:80]!r}",
                f"Name one by its id: {', '.join(each.id.hex()[:12] for each in found[:8])}.",
            )
        raise UsageError(f"no device {named[:80]!r} has joined", "See them with: crdt-relay device list")

    def _device(self, authority: Authority, device: Device) -> dict[str, Any]:
        revoked = authority.statements.revocations.devices.get(device.id)
        out = ""
        if revoked is None:
            try:
                authority.check_user(device.user)
            except IdentityRefused as error:
                out = error.message
        seen, handed = authority.seen.get(device.id), self.review.of(device.id)
        return {
            "device": device.id.hex(),
            "name": device.name,
            "user": device.user,
            "joined": device.joined,
            "seen": seen,
            "revoked": revoked.since if revoked else None,
            "wipe": bool(revoked and revoked.wipe),
            "review": bool(revoked and revoked.review),
            "handed_in": None if handed is None else handed.at,
            "wiped": device.wiped,
            "out": out,
        }


def _invite(invite: Invite, now: int) -> dict[str, Any]:
    standing = "used" if invite.device is not None else "expired" if now >= invite.expires else "open"
    device = invite.device.hex() if invite.device is not None else None
    return {
        "invite": invite.lookup.hex()[:12],
        "user": invite.user,
        "expires": invite.expires,
        "standing": standing,
        "device": device,
    }


def _take_place(new: Path, old: Path) -> None:
    try:
        os.replace(new, old)
        sync_folder(old.parent)
    except OSError as error:
        raise KeyUnusable(
            f"the new key is in {new}, and cannot take the place of {old}: {error.strerror}",
            f"Move it there, or start the relay with --key-file {new}.",
        ) from error
