"""A device that calls a relay which speaks for a space: it proves itself, joins, or asks for a new token."""

import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import structlog

from crdt_relay import review
from crdt_relay.admitting import admit
from crdt_relay.authority import Authority
from crdt_relay.login import KeysComing
from crdt_sync.audit_log.entry import Act, Entry
from crdt_sync.errors import IdentityRefused, StoreError
from crdt_sync.identity import enrolling
from crdt_sync.identity.claims import Claims
from crdt_sync.identity.handshake import Handshake
from crdt_sync.identity.keys import PublicKey
from crdt_sync.identity.known import KNOWS_HEADER, STATEMENT_HEADER, Known, read_known, statement_text
from crdt_sync.identity.presented import Enrolment, LoggedIn, Renewal, TokenProof, Wiped, presented
from crdt_sync.identity.refusals import Reason, refused
from crdt_sync.identity.registry import Device
from crdt_sync.limits import STATEMENTS_LEADING_MAX
from crdt_sync.protocol import proof
from crdt_sync.protocol.acceptor import Refusal
from crdt_sync.protocol.agent import name_in
from crdt_sync.protocol.handing_in import KEPT, TAKEN, HandedIn
from crdt_sync.protocol.messages import Hello
from crdt_sync.protocol.principal import Principal
from crdt_sync.runtime.guests import Guest, Told, header, refusal, stranger

_RETRY_US = 5_000_000
_KEYS_US = 1_000_000  # what a device that joins waits for at most
_RENEWABLE = frozenset({Reason.TOKEN_EXPIRED, Reason.TOKEN_UNKNOWN_KEY, Reason.TOKEN_FORGED, Reason.TOKEN_MALFORMED})
_log = structlog.get_logger("relay")


def introduced(authority: Authority, binding: bytes, told: Told, log: Any = _log) -> Guest:
    """Whoever asks for a connection; `binding` is the SHA-256 of the certificate that devices see, or nothing."""
    nonce, known = proof.read_nonce(header(told, proof.NONCE_HEADER)), read_known(header(told, KNOWS_HEADER))
    if nonce is None or known is None:
        return Guest(stranger)
    handshake = Handshake(authority.space, nonce, secrets.token_bytes(proof.NONCE_BYTES), binding)
    return DeviceGuest(authority, handshake, known, log)


class DeviceGuest(Guest):
    """See the module."""

    def __init__(self, authority: Authority, handshake: Handshake, known: Known, log: Any = _log) -> None:
        statements = authority.statements
        leading = statements.leading(known.versions.keys, known.kid, STATEMENTS_LEADING_MAX)
        headers = [
            (proof.NONCE_HEADER, handshake.acceptor_nonce.hex()),
            (proof.PROOF_HEADER, handshake.prove_space(authority.pair)),
            (KNOWS_HEADER, str(Known.of(statements))),
            *((STATEMENT_HEADER, statement_text(raw)) for raw in leading),
        ]
        super().__init__(self._admitted, headers, known.versions)
        self._authority = authority
        self._log = log
        self._handshake = handshake
        self._claims: Claims | None = None  # of the token that it showed
        self._key: PublicKey | None = None  # once it is let in
        self._user = ""
        self._needs_token = False
        self._turn: review.Turn | None = None  # while it hands in

    def check(self) -> Refusal | None:
        """See `Guest`. How old its token is makes no difference here, where it is renewed."""
        try:
            if self._key is not None:
                self._authority.statements.revocations.check_device(self._key.device)
                self._authority.check_user(self._user)
        except IdentityRefused as error:
            return refusal(error, self._authority.statements, self.known)
        return None

    def hands_in(self, hello: Hello) -> Principal | Refusal:
        """See `Guest`. It is let do that once, where the operator said so when it was shut out."""
        authority, desk = self._authority, self._authority.review
        try:
            key = self._handshake.check_hand_in(hello.token)
            revoked = authority.statements.revocations.devices.get(key.device)
            if revoked is None:
                return Refusal("unsent_refused", "this device is not shut out: it syncs what it has")
            if desk is None or not revoked.review:
                authority.statements.revocations.check_device(key.device)
            user = authority.registry.owner(key.device)
            if user is None:
                raise refused(Reason.DEVICE_UNKNOWN, f"the device {key.device.hex()} never joined here")
            assert desk is not None
            if desk.of(key.device) is not None:
                return Refusal(TAKEN, "this device has handed in before")
            if not desk.may_begin(key.device):
                return Refusal("unavailable", "another device hands in now", _RETRY_US)
            if desk.full:
                return Refusal("unavailable", "as much waits for review as may", _RETRY_US)
            self._turn = desk.begin(key.device)
        except IdentityRefused as error:
            return refusal(error, authority.statements, self.known)
        except StoreError as error:
            self._log.warning("review_not_read", code=error.code, error=error.message)
            return Refusal("unavailable", "this cannot be stored now", _RETRY_US)
        self._key, self._user = key, user
        return Principal(key.device, authority.space, user)

    def hand_in_begun(self, give_up: Callable[[], None]) -> None:
        """See `Guest`."""
        assert self._turn is not None
        self._turn.give_up = give_up

    async def handed_in(self, came: HandedIn) -> Refusal:
        """See `Guest`."""
        authority, key = self._authority, self._key
        assert authority.review is not None
        assert key is not None
        assert self._turn is not None
        if not authority.review.settle(self._turn):
            return Refusal("unavailable", "this device has begun anew", _RETRY_US)
        now, records = authority.wall_clock(), len({entry.record for entry in came.entries})
        kept = review.HandedIn(key.device, self._user, now, len(came.entries), came.size)
        try:
            await authority.review.keep(kept, came.entries)
        except StoreError as error:
            self._log.warning("review_not_kept", code=error.code, error=error.message)
            return Refusal("unavailable", "this cannot be stored now", _RETRY_US)
        about = f"records={records} bytes={came.size}"
        authority.tell(Entry(now, Act.HAND_IN, self._user, key.device, about=about))
        self._log.info("unsent_handed_in", device=key.device.hex(), user=self._user, records=records, bytes=came.size)
        return Refusal(KEPT, f"updates of {records} records are kept for review")

    def hand_in_ended(self) -> None:
        """See `Guest`."""
        if self._authority.review is not None and self._turn is not None:
            self._authority.review.end(self._turn)

    def due_token(self) -> str | None:
        """See `Guest`."""
        authority = self._authority
        due = self._needs_token or (self._claims is not None and authority.wall_clock() >= self._claims.renewal_due)
        if self._key is None or not due:
            return None
        token = authority.token_for(self._user, self._key)
        self._claims, self._needs_token = authority.tokens.read(token), False
        return token

    def _admitted(self, hello: Hello) -> Principal | Refusal:
        authority = self._authority
        try:
            self._user, self._key = self._proved(hello)
            authority.check_user(self._user)
            authority.list_device(self._key, self._user)
        except IdentityRefused as error:
            self._key = None
            again = 0 if error.reason in _RENEWABLE else None
            return refusal(error, authority.statements, self.known, again)
        except KeysComing:
            self._key = None
            return Refusal("unavailable", "the keys of the login system are being fetched", _KEYS_US)
        except StoreError as error:
            self._log.warning("identity_not_kept", code=error.code, error=error.message)
            return Refusal("unavailable", "this cannot be stored now", _RETRY_US)
        device = self._key.device
        authority.seen[device] = authority.wall_clock()
        return Principal(device, authority.space, self._user)

    def _proved(self, hello: Hello) -> tuple[str, PublicKey]:
        """The user and the key of who says hello. Raises `IdentityRefused`, `StoreError`."""
        authority, handshake, text = self._authority, self._handshake, hello.token
        now, name = authority.wall_clock(), name_in(hello.agent)
        match presented(text):
            case TokenProof():
                claims = handshake.check_device("dialer", text, authority.tokens, now)
                self._claims = claims
                if authority.registry.device(claims.device) is None:  # a backup was put back that does not know it
                    authority.registry.note(Device(claims.device, claims.user, now, name))
                return claims.user, claims.key
            case Enrolment() | LoggedIn():
                shown = handshake.check_enrolment(text) if text.startswith("enrol") else self._logged_in(text, now)
                joined = enrolling.join(shown, authority.registry, authority.statements.revocations, now)
                device = authority.registry.device(shown.key.device)
                if device is not None and name and not device.name:
                    authority.registry.note(replace(device, name=name))
                if not joined.again:
                    way = "the invite" if text.startswith("enrol") else "a login, known as the invite"
                    about = f"by {way} {joined.invite.hex()[:12]}"
                    authority.tell(Entry(now, Act.ENROLMENT, joined.user, shown.key.device, about=about))
                self._log.info("device_joined", device=shown.key.device.hex(), user=joined.user, again=joined.again)
                self._needs_token = True
                return joined.user, joined.key
            case Renewal():
                key = handshake.check_renewal(text)
                renewed = enrolling.renew(key, authority.registry, authority.statements.revocations)
                self._needs_token = True
                return renewed.user, renewed.key
            case Wiped():
                self._note_wiped(handshake.check_wiped(text), now)
        raise refused(Reason.PROOF_MALFORMED, "this is no proof of a device")

    def _logged_in(self, text: str, now: int) -> Enrolment:
        """Who has logged in, as if with an invite. Raises `IdentityRefused`, `KeysComing`, `StoreError`."""
        authority, shown = self._authority, self._handshake.check_login(text)
        if authority.login is None:
            raise refused(Reason.LOGIN_REFUSED, "this relay lets nobody in by a login system: ask for an invite")
        vouched = authority.login.vouched(shown, now)
        admit(authority, vouched)
        return authority.login.enrolment(shown, vouched, authority.registry)

    def _note_wiped(self, key: PublicKey, now: int) -> None:
        """Raises `IdentityRefused`, as nobody comes in with it."""
        registry, revocations = self._authority.registry, self._authority.statements.revocations
        device, revoked = registry.device(key.device), revocations.devices.get(key.device)
        if revoked is not None and revoked.wipe:
            if device is not None and device.wiped is None:
                registry.note(replace(device, wiped=now))
                self._authority.tell(Entry(now, Act.WIPE, device.user, device.id))
                self._log.info("device_wiped", device=device.id.hex(), user=device.user)
            raise refused(Reason.DEVICE_REVOKED, "it is noted that this device destroyed what it held")
        revocations.check_device(key.device)
