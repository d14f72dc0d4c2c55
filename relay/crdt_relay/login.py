"""Joining by the login system of a company, which vouches for its users by id tokens.

Rules:

1. The keys of the login system are fetched beside the relay's work, at most once in `_AGAIN_S`: when it starts, and
   when a token names a key that is not known, as after a change of keys. A device waits a moment meanwhile.
2. An id token opens one device: it is kept as an invite is, by a hash of what is signed, until it expires.
3. It names a user, and gives nothing: what that user may do stands in the policy, see `admitting.py`.
"""

import hashlib
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import structlog

from crdt_sync.errors import InvalidSettings
from crdt_sync.identity.enrolling import Invite
from crdt_sync.identity.id_tokens import IdTokens, UnknownKey, Vouched
from crdt_sync.identity.invites import lookup
from crdt_sync.identity.presented import Enrolment, LoggedIn
from crdt_sync.identity.refusals import Reason, refused
from crdt_sync.identity.registry import Registry
from crdt_sync.limits import INVITE_SECRET_BYTES, LOGIN_KEYS_BYTES_MAX

_AGAIN_S = 60.0  # between two fetches
_FETCH_S = 5.0
_log = structlog.get_logger("relay")


class KeysComing(Exception):
    """The keys of the login system are being fetched: ask again in a moment."""


class Login:
    """See the module. `keys` is the address of the JWKS, or a file. `steady` gives seconds."""

    def __init__(
        self, issuer: str, audience: str, claim: str, keys: str, steady: Callable[[], float] = time.monotonic
    ) -> None:
        """Raises `InvalidSettings` where the keys are in a file that cannot be used."""
        self._tokens = IdTokens(issuer, audience, claim)
        self._keys = keys
        self._steady = steady
        self._fetched: float | None = None
        self._fetching: threading.Thread | None = None
        if not keys.startswith(("https://", "http://")):
            self._learn()
        else:
            self._fetch()

    def vouched(self, shown: LoggedIn, now: int) -> Vouched:
        """Whom the login system vouches for by what a device shows, whose key was proved.

        Raises `IdentityRefused`, `KeysComing`.
        """
        try:
            return self._tokens.vouched(shown.token, shown.key, now)
        except UnknownKey as error:
            if self._fetch():
                raise KeysComing from None
            raise refused(
                Reason.LOGIN_REFUSED,
                f"the id token is refused: it is signed by the key {str(error)[:40]!r}, which the login system does "
                "not name",
            ) from None

    @staticmethod
    def enrolment(shown: LoggedIn, vouched: Vouched, registry: Registry) -> Enrolment:
        """What is shown, as if it were an invite of that user. Raises `StoreError`."""
        signed = shown.token.rpartition(".")[0]  # a signature can be written in several ways, and what it signs cannot
        secret = hashlib.sha256(signed.encode()).digest()[:INVITE_SECRET_BYTES]
        if registry.find(lookup(secret)) is None:
            registry.add(Invite(lookup(secret), vouched.user, vouched.expires))
        return Enrolment(secret, shown.key, shown.signature)

    def wait(self) -> None:
        """Return when nothing is being fetched."""
        if self._fetching is not None:
            self._fetching.join()

    def _fetch(self) -> bool:
        """Fetch the keys beside the work here, unless that was done a moment ago; whether they are being fetched."""
        if self._fetching is not None and self._fetching.is_alive():
            return True
        if self._fetched is not None and self._steady() < self._fetched + _AGAIN_S:
            return False
        self._fetched = self._steady()
        self._fetching = threading.Thread(target=self._learn_beside, name="login-keys", daemon=True)
        self._fetching.start()
        return True

    def _learn_beside(self) -> None:
        try:
            self._learn()
        except InvalidSettings as error:
            _log.warning("login_keys_not_fetched", error=error.message, hint=error.hint)

    def _learn(self) -> None:
        """Raises `InvalidSettings`."""
        try:
            if self._keys.startswith(("https://", "http://")):
                with urllib.request.urlopen(self._keys, timeout=_FETCH_S) as answer:
                    raw = answer.read(LOGIN_KEYS_BYTES_MAX + 1)
            else:
                with Path(self._keys).open("rb") as file:
                    raw = file.read(LOGIN_KEYS_BYTES_MAX + 1)
        except (OSError, ValueError) as error:
            raise InvalidSettings(
                f"the keys of the login system cannot be read from {self._keys}: {error}", "Check oidc_keys."
            ) from None
        if len(raw) > LOGIN_KEYS_BYTES_MAX:
            raise InvalidSettings(f"what is at {self._keys} is far too long for keys", "Check oidc_keys.")
        self._tokens.learn(raw)
