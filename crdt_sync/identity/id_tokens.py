"""Id tokens of a company's login system (OpenID Connect), by which somebody joins who has no invite.

What they must be like is pinned: who issued them and for whom, an asymmetric algorithm, the one that the key itself is
for, found by its `kid`. So a token that is signed with a public key as a shared secret, or by nobody, is none. The
login system is asked for nothing here: its keys are handed in, as its JWKS says them.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from crdt_sync.errors import IdentityRefused, InvalidSettings
from crdt_sync.identity.keys import PublicKey
from crdt_sync.identity.refusals import Reason, refused
from crdt_sync.identity.users import is_user
from crdt_sync.limits import ID_TOKEN_LENGTH_MAX, LOGIN_KEYS_MAX, TOKEN_SKEW_US

if TYPE_CHECKING:
    from jwt import PyJWK

ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
_SECOND_US = 1_000_000
_TIME_MAX = 10**11  # seconds


class UnknownKey(Exception):
    """A token names a key that is not among those known: they may have changed."""


class Vouched(NamedTuple):
    """Whom a token names, and since when and until when, in microseconds since 1970; `claims` are all that it says."""

    user: str
    issued: int
    expires: int
    claims: Mapping[str, Any]


class IdTokens:
    """Checks the tokens of one `issuer` for one `audience`; `claim` is the one that names the user."""

    def __init__(self, issuer: str, audience: str, claim: str) -> None:
        self._issuer = issuer
        self._audience = audience
        self._claim = claim
        self._keys: dict[str, PyJWK] = {}

    def learn(self, jwks: bytes) -> None:
        """Take the keys that the login system has now. Raises `InvalidSettings` where they are no JWKS, or none is of
        any use.
        """
        from jwt import PyJWKSet, PyJWTError  # noqa: PLC0415 - it takes long to import, and few relays need it

        try:
            found = PyJWKSet.from_json(jwks.decode()).keys
        except (PyJWTError, ValueError, AttributeError, TypeError, RecursionError) as error:
            raise InvalidSettings(f"this is no JWKS: {error}", "Name the jwks_uri of the login system.") from None
        keys = {
            str(key.key_id): key
            for key in found[:LOGIN_KEYS_MAX]
            if key.key_id and key.algorithm_name in ALGORITHMS and key.public_key_use in {None, "sig"}
        }
        if not keys:
            raise InvalidSettings("the JWKS has no key that signs", f"Its keys need a kid, and one of {_listed()}.")
        self._keys = keys

    def vouched(self, text: str, key: PublicKey, now: int) -> Vouched:
        """What a token says, where the device with that key shows it. Raises `IdentityRefused`, and `UnknownKey`."""
        claims = self._checked(text, now)
        nonce = claims.get("nonce")
        if nonce is not None and nonce != key.device.hex():
            raise _no(f"its nonce is not of this device: log in with the nonce {key.device.hex()}")
        user = claims.get(self._claim)
        if not isinstance(user, str) or not is_user(user):
            raise _no(f"its claim {self._claim!r} names no user")
        if self._claim == "email" and claims.get("email_verified") is not True:
            raise _no("its e-mail address was not verified by the login system")
        return Vouched(user, int(claims["iat"]) * _SECOND_US, int(claims["exp"]) * _SECOND_US, claims)

    def _checked(self, text: str, now: int) -> Mapping[str, Any]:
        import jwt  # noqa: PLC0415

        if len(text) > ID_TOKEN_LENGTH_MAX or not text.isascii():
            raise _no(f"it is too long, or no text: at most {ID_TOKEN_LENGTH_MAX:,} characters")
        try:
            header = jwt.get_unverified_header(text)
        except (jwt.PyJWTError, RecursionError):
            raise _no("it has another shape") from None
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS:
            raise _no(f"its algorithm is {str(algorithm)[:20]!r}, and not one of {_listed()}")
        if str(header.get("typ", "JWT")).upper() != "JWT":
            raise _no(f"it is no id token, but of the type {str(header['typ'])[:40]!r}")
        if not isinstance(kid, str):
            raise _no("it does not say by which key it is signed")
        key = self._keys.get(kid)
        if key is None:
            raise UnknownKey(kid)
        if key.algorithm_name != algorithm:
            raise _no(f"its algorithm is {algorithm}, and the key {kid[:40]!r} is for {key.algorithm_name}")
        try:
            payload = jwt.PyJWS(algorithms=[algorithm]).decode(text, key, algorithms=[algorithm])
            claims = json.loads(payload)
        except jwt.InvalidSignatureError:
            raise _no("its signature does not hold") from None
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise _no("it cannot be read") from None
        if not isinstance(claims, dict):
            raise _no("it holds no claims")
        self._check_claims(claims, now)
        return claims

    def _check_claims(self, claims: Mapping[str, Any], now: int) -> None:
        if claims.get("iss") != self._issuer:
            raise _no(f"it is issued by {str(claims.get('iss'))[:80]!r}, and not by {self._issuer!r}")
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if self._audience not in audiences:
            raise _no(f"it is for {str(audience)[:80]!r}, and not for {self._audience!r}")
        if claims.get("azp", self._audience if len(audiences) == 1 else None) != self._audience:
            raise _no("it was issued to another one than it is for here")
        expires, issued, begins = (_time(claims.get(name)) for name in ("exp", "iat", "nbf"))
        if expires is None or issued is None or (begins is None and "nbf" in claims):
            raise _no("it does not say from when until when it holds")
        if now >= expires + TOKEN_SKEW_US:
            raise _no(f"it expired {(now - expires) // (60 * _SECOND_US)} minutes ago")
        if now + TOKEN_SKEW_US < max(issued, begins or 0):
            raise _no("it holds from later on only, by the relay's clock")


def _time(value: object) -> int | None:
    """In microseconds; None where it is no time."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _TIME_MAX:
        return int(value) * _SECOND_US
    return None


def _listed() -> str:
    return ", ".join(sorted(ALGORITHMS))


def _no(why: str) -> IdentityRefused:
    return refused(Reason.LOGIN_REFUSED, f"the id token is refused: {why}")
