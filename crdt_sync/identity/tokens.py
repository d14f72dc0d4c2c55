"""Tokens: a space's word that a device, known by its key, is that of a user.

They are JWT. What a token must be like is pinned, and nothing of it is believed that could be chosen by who made it up:
the algorithm is EdDSA, the type ours, the key one of the space's, found by its `kid`, and the text the only one for its
bytes. So checking one is a signature over its text, which needs no library of tokens: a worker, which opens no file,
does it too. Who issues tokens loads that library with the first one.
"""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from crdt_sync.errors import IdentityRefused
from crdt_sync.identity.base64url import decoded, encoded
from crdt_sync.identity.claims import ID_BYTES, Claims
from crdt_sync.identity.keys import KID_BYTES, KeyPair, PublicKey
from crdt_sync.identity.refusals import Reason, refused
from crdt_sync.identity.space_keys import SpaceKeys
from crdt_sync.identity.statements import Statements
from crdt_sync.limits import INTEGER_EXACT_MAX, SIGNED_TOKEN_LENGTH_MAX, TOKEN_LIFE_US, TOKENS_CACHED_MAX

if TYPE_CHECKING:
    from jwt import PyJWS

ALGORITHM = "EdDSA"
TYPE = "crdt-sync+jwt"
_SHAPE = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{86})\Z")
_CLAIMS = frozenset({"aud", "sub", "dev", "cnf", "iat", "exp", "jti"})
_SECOND_US = 1_000_000


def issue(claims: Claims, pair: KeyPair) -> str:
    """The token of a device, signed by the space's newest key."""
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": encoded(claims.key.raw)}
    payload = {
        "aud": claims.space.hex(),
        "sub": claims.user,
        "dev": claims.device.hex(),
        "cnf": {"jwk": jwk},
        "iat": claims.issued // _SECOND_US,
        "exp": claims.expires // _SECOND_US,
        "jti": claims.id.hex(),
    }
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    headers = {"typ": TYPE, "kid": pair.public.kid.hex()}
    return _jws().encode(text.encode(), pair.library_key(), algorithm=ALGORITHM, headers=headers)


def claims_for(
    space: bytes, user: str, key: PublicKey, token_id: bytes, now: int, life_us: int = TOKEN_LIFE_US
) -> Claims:
    """What a token that is issued now says; `token_id` is 16 random bytes."""
    issued = now // _SECOND_US * _SECOND_US
    return Claims(space, user, key, token_id, issued, issued + life_us)


class Tokens:
    """Checks the tokens of one space. Those that held are remembered, the most recent ones, so that a device that
    comes back costs no signature; whether they hold *now* is asked each time.
    """

    def __init__(self, statements: Statements, cached_max: int = TOKENS_CACHED_MAX) -> None:
        self._statements = statements
        self._cached_max = cached_max
        self._cached: dict[str, tuple[bytes, Claims]] = {}

    def check(self, text: str, now: int) -> Claims:
        """Who a token is of, if it holds now. Raises `IdentityRefused`."""
        claims = self.read(text)
        self.check_standing(claims, now)
        return claims

    def check_standing(self, claims: Claims, now: int) -> None:
        """Raises `IdentityRefused` where a token that the space issued holds no more, or its device is out."""
        self._statements.revocations.check(claims.device, claims.user)
        claims.check_times(now)

    def read(self, text: str) -> Claims:
        """What a token says that the space signed, though it may have expired, and its device be out.

        Raises `IdentityRefused`.
        """
        if (known := self._cached.pop(text, None)) is not None and self._statements.keys.find(known[0]) is not None:
            self._cached[text] = known
            return known[1]
        kid, claims = opened(text, self._statements.space, self._statements.keys)
        self._cached[text] = kid, claims
        if len(self._cached) > self._cached_max:
            del self._cached[next(iter(self._cached))]
        return claims


def opened(text: str, space: bytes, keys: SpaceKeys) -> tuple[bytes, Claims]:
    """The `kid` of the key of the space that signed a token, and what it says. Raises `IdentityRefused`."""
    shape = _SHAPE.match(text) if len(text) <= SIGNED_TOKEN_LENGTH_MAX else None
    parts = [decoded(part) for part in shape.groups()] if shape is not None else [None]
    if None in parts:
        raise _malformed("it has another shape")
    head, body, signature = (part or b"" for part in parts)
    header = _parsed(head)
    if header.get("alg") != ALGORITHM:
        raise _malformed(f"its algorithm is another than {ALGORITHM}")
    if header.keys() != {"alg", "typ", "kid"} or header["typ"] != TYPE:
        raise _malformed(f"it is of another type than {TYPE}")
    kid = _hex(header["kid"], KID_BYTES)
    key = keys.find(kid)
    if key is None:
        raise _unknown(kid, body, space)
    if not key.signed(text.rpartition(".")[0].encode(), signature):
        raise refused(Reason.TOKEN_FORGED, "the signature of the token does not hold")
    claims = _claims(_parsed(body))
    if claims.space != space:
        raise _foreign()
    return kid, claims


def _unknown(kid: bytes, body: bytes, space: bytes) -> IdentityRefused:
    """Nothing of it is believed: what it says decides between two refusals alone."""
    try:
        if _claims(_parsed(body)).space != space:
            return _foreign()
    except IdentityRefused as malformed:
        return malformed
    return refused(
        Reason.TOKEN_UNKNOWN_KEY, f"the token is signed by {kid.hex()}, which is no key of the space, or no more"
    )


@cache
def _jws() -> "PyJWS":
    """What makes tokens. Importing it takes four times as long as all of identity: it is done late."""
    from jwt import PyJWS  # noqa: PLC0415

    return PyJWS(algorithms=[ALGORITHM])


def _claims(payload: Mapping[str, object]) -> Claims:
    """Raises `IdentityRefused`."""
    if payload.keys() != _CLAIMS:
        raise _malformed("it says something else than who it is of")
    user, times = payload["sub"], (payload["iat"], payload["exp"])
    if type(user) is not str:
        raise _malformed("its user is no text")
    issued, expires = (_time(time) for time in times)
    key = _key(payload["cnf"])
    if _hex(payload["dev"], len(key.device)) != key.device:
        raise _malformed("its device is another one than that of its key")
    return Claims(_hex(payload["aud"], 16), user, key, _hex(payload["jti"], ID_BYTES), issued, expires)


def _key(confirmation: object) -> PublicKey:
    jwk = confirmation.get("jwk") if isinstance(confirmation, dict) and len(confirmation) == 1 else None
    if not isinstance(jwk, dict) or jwk.keys() != {"kty", "crv", "x"}:
        raise _malformed("it names no key")
    raw = decoded(jwk["x"]) if type(jwk["x"]) is str else None
    if (jwk["kty"], jwk["crv"]) != ("OKP", "Ed25519") or raw is None:
        raise _malformed("it names a key of another kind")
    return PublicKey(raw)


def _time(value: object) -> int:
    if type(value) is not int or not 0 <= value <= INTEGER_EXACT_MAX // _SECOND_US:
        raise _malformed("its times make no sense")
    return value * _SECOND_US


def _hex(value: object, count: int) -> bytes:
    if type(value) is not str or re.match(rf"[0-9a-f]{{{2 * count}}}\Z", value) is None:
        raise _malformed("an id in it is none")
    return bytes.fromhex(value)


def _parsed(text: bytes) -> Mapping[str, object]:
    """One JSON object. Raises `IdentityRefused`."""
    try:
        value = json.loads(text.decode(), object_pairs_hook=_once_each)
    except (ValueError, RecursionError):  # the latter for objects in a thousand objects
        raise _malformed("it holds no JSON") from None
    if not isinstance(value, dict):
        raise _malformed("it holds no object")
    return value


def _once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member comes twice")
    return members


def _malformed(why: str) -> IdentityRefused:
    return refused(Reason.TOKEN_MALFORMED, f"this is no token of a device: {why}")


def _foreign() -> IdentityRefused:
    return refused(Reason.TOKEN_FOREIGN_SPACE, "the token is of another space")
