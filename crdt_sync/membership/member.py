"""A device in a space: what it proves itself with, and what it was told.

Rules:

1. What is taken is kept before anybody hears of it. What is kept never goes back.
2. A token is taken from whoever speaks for the space, if it is one of this space's, for this device's key.
3. Who was told to destroy what it holds keeps that order, and its key, until it has confirmed.
4. Whose device it is says its last token, also when that opens nothing any more: edits are signed by no other name.

Threads may call; who listens is called in the thread that brought the news.
"""

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace

from crdt_sync.errors import IdentityRefused
from crdt_sync.identity.certified import DeviceSigner, verifier_for
from crdt_sync.identity.claims import Claims
from crdt_sync.identity.keys import KeyPair, PublicKey
from crdt_sync.identity.known import Known
from crdt_sync.identity.refusals import Reason, refused
from crdt_sync.identity.statements import Statements
from crdt_sync.identity.tokens import Tokens
from crdt_sync.membership.contact import ContactFile, Standing
from crdt_sync.membership.facts import Facts
from crdt_sync.policy.in_force import Heard, InForce

_RENEWABLE = frozenset({Reason.TOKEN_EXPIRED, Reason.TOKEN_UNKNOWN_KEY, Reason.TOKEN_FORGED, Reason.TOKEN_MALFORMED})


class Membership:
    """See the module. `keep` makes facts durable, and raises `StoreError`. `secret` is of an invite that is opened,
    `login` an id token that is shown instead. `contact` keeps when the relay let the device in.
    """

    def __init__(
        self,
        facts: Facts,
        pair: KeyPair,
        keep: Callable[[Facts], None],
        secret: bytes = b"",
        login: str = "",
        contact: ContactFile | None = None,
    ) -> None:
        """Raises `IdentityRefused` where what was kept does not hold."""
        self.facts = facts
        self.pair = pair
        self.secret = secret
        self.login = login
        self.handing_in = False  # what was not sent is handed in, instead of syncing
        self.statements = Statements(facts.space, PublicKey(facts.anchor), facts.statements)
        self.statements.confirm(facts.confirmed)
        self.tokens = Tokens(self.statements)
        self._keep = keep
        self._contact = contact
        self._lock = threading.RLock()
        self._listeners: list[Callable[[], None]] = []
        self._policy = Heard()
        self._renews = False
        self.now: Callable[[], int] = lambda: time.time_ns() // 1000  # the clock that tokens of others are checked by
        if not facts.user and (claims := self.claims()) is not None:
            self.facts = replace(facts, user=claims.user)

    @property
    def space(self) -> bytes:
        """The space's id."""
        return self.facts.space

    @property
    def device(self) -> bytes:
        """The id of this device."""
        return self.pair.public.device

    @property
    def known(self) -> Known:
        """How far this device knows what the space said."""
        return Known.of(self.statements)

    def claims(self) -> Claims | None:
        """What the token says; None where there is none, or one that nobody would take any more."""
        with suppress(IdentityRefused):
            return self.tokens.read(self.facts.token) if self.facts.token else None
        return None

    @property
    def user(self) -> str:
        """Whose device this is; empty before it was let in."""
        return self.facts.user

    def renews(self, now: int) -> bool:
        """Whether a new token is asked for instead of showing the one that is here."""
        claims = self.claims()
        return self._renews or claims is None or now >= claims.expires

    def renew(self) -> None:
        """Ask for a new token the next time, though the one that is here may hold."""
        self._renews = True

    def token_refused(self, reason: str) -> bool:
        """Somebody who speaks for the space refused the token; returns whether asking for a new one may help."""
        again = reason in _RENEWABLE and not self._renews
        self._renews = self._renews or again
        return again

    def in_force(self) -> InForce | None:
        """The policy as it was heard last; None where none was."""
        said = self.statements
        return self._policy.of(said.versions.policy, said.policy, said.issuer)

    def signer(self) -> DeviceSigner | None:
        """What this device signs entries with; None where no token says yet whose it is."""
        claims = self.claims()
        if claims is None:
            return None
        return DeviceSigner(verifier_for(self.statements.issuer), claims.user, self.facts.token, self.pair)

    def check_out(self) -> None:
        """Raises `IdentityRefused` where this device or its user is out, as far as is known here."""
        self.statements.revocations.check_device(self.device)
        if self.user:
            self.check_user(self.user)

    def check_user(self, user: str) -> None:
        """Raises `IdentityRefused` where a user is out, as far as is known here."""
        check_user(self.statements, self.in_force(), user, self.now())

    @property
    def wiping(self) -> bool:
        """Whether this device was told to destroy what it holds."""
        return self.facts.wiping

    @property
    def asked_for_review(self) -> bool:
        """Whether this device is out, and its relay takes what it had not sent, for an operator to look at."""
        revoked = self.statements.revocations.devices.get(self.device)
        return revoked is not None and revoked.review

    # --- what it is told -------------------------------------------------------------------------------------

    def hear(self, statements: Iterable[bytes]) -> bool:
        """Take what somebody passes on; returns whether any of it is news, which is kept then.

        Raises `IdentityRefused` for what nobody of the space passes on, after the rest was taken.
        """
        with self._lock:
            news, hostile = self.statements.take_all(statements)
            if news:
                revoked = self.statements.revocations.devices.get(self.device)
                wiping = self.facts.wiping or (revoked is not None and revoked.wipe)
                self._store(replace(self._said(), wiping=wiping))
        if news:
            self._heed_policy()
            self._tell()
        if hostile is not None:
            raise hostile
        return news

    def confirm(self, now: int) -> None:
        """Who speaks for the space has nothing newer."""
        with self._lock:
            self.statements.confirm(now)

    def take_token(self, token: str) -> Claims:
        """Take a token that who speaks for the space issued. Raises `IdentityRefused` for that of anybody else."""
        with self._lock:
            claims = self.tokens.read(token)
            if claims.key != self.pair.public:
                raise refused(Reason.TOKEN_MALFORMED, "the token is that of another device")
            self._store(replace(self._said(), token=token, user=claims.user))
            self._renews, self.secret, self.login = False, b"", ""
            return claims

    # --- contact ---------------------------------------------------------------------------------------------

    def let_in(self, now: int, told: int | None = None) -> None:
        """The relay has let this device in, whose clock says `now`, and the relay's `told`. Raises `StoreError`."""
        if self._contact is not None:
            self._heed_policy()
            self._contact.made(now, told)

    def standing(self, now: int) -> Standing:
        """What this device may do with its store, after so long without contact. Raises `StoreError`."""
        return Standing.OPEN if self._contact is None else self._contact.look(now)

    def _heed_policy(self) -> None:
        policy = self.in_force()
        if self._contact is not None and policy is not None and not policy.is_unread:
            self._contact.allow(*policy.policy.silence_of(self.user))

    # --- who hears of it -------------------------------------------------------------------------------------

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """`listener` is called after each news, until the call that is returned."""
        self._listeners.append(listener)

        def unsubscribe() -> None:
            with suppress(ValueError):
                self._listeners.remove(listener)

        return unsubscribe

    def _said(self) -> Facts:
        statements, confirmed = tuple(self.statements.kept()), self.statements.confirmed
        return replace(self.facts, anchor=self.statements.anchor.raw, statements=statements, confirmed=confirmed)

    def _store(self, facts: Facts) -> None:
        self._keep(facts)
        self.facts = facts

    def _tell(self) -> None:
        for listener in tuple(self._listeners):
            listener()


def check_user(statements: Statements, policy: InForce | None, user: str, now: int) -> None:
    """Raises `IdentityRefused` where a user is out: disabled, in the policy no more, or to log in again, at the time
    `now` in microseconds since 1970. Where the policy cannot be read here, everybody is.
    """
    statements.revocations.check_user(user)
    if policy is not None and policy.is_unread:
        raise refused(
            Reason.POLICY_UNREAD, f"version {policy.version} of the policy is of a form that is not known here"
        )
    if policy is not None:
        known = policy.policy.users.get(user)
        if known is None:
            raise refused(Reason.USER_DISABLED, f"the policy names no user {user!r}")
        if known.disabled:
            raise refused(Reason.USER_DISABLED, f"the policy disables the user {user!r}")
        logins = policy.policy.logins
        if logins is not None and (over := logins.days_over(user, now)) is not None:
            message = f"the last login of {user!r} was {logins.days + over} days ago, and {logins.days} are allowed"
            raise refused(Reason.LOGIN_NEEDED, message)
