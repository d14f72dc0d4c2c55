"""What somebody shows for who they are, as text: in the token field of the hello, and in a header of the answer.

    proof-1.TOKEN.SIGNATURE             a device: its token, and a proof of its key
    space-1.KID.SIGNATURE               whoever speaks for the space: a proof of its key
    enrol-1.SECRET.KEY.SIGNATURE        a device that has an invite, and a proof of the key that it brings
    renew-1.KEY.SIGNATURE               a device that joined once, and asks for a new token
    login-1.KEY.SIGNATURE.TOKEN         a device whose user has logged in: an id token, and a proof of the key
    wiped-1.KEY.SIGNATURE               a device that was told to, and has destroyed what it held
    unsent-1.KEY.SIGNATURE              a device that is out, and hands in for review what it had not sent

All are printable ASCII of at most 4,096 characters. A shared token has no such beginning: it has no dot behind one.
"""

from dataclasses import dataclass
from typing import ClassVar, Final, TypeVar

from crdt_sync.errors import IdentityRefused
from crdt_sync.identity.base64url import decoded, encoded
from crdt_sync.identity.keys import KEY_BYTES, KID_BYTES, SIGNATURE_BYTES, PublicKey
from crdt_sync.identity.refusals import Reason, refused
from crdt_sync.limits import ID_TOKEN_LENGTH_MAX, INVITE_SECRET_BYTES, SIGNED_TOKEN_LENGTH_MAX, TOKEN_LENGTH_MAX


@dataclass(frozen=True, slots=True)
class TokenProof:
    """A token, and the signature of the device that it names."""

    token: str
    signature: bytes

    def __str__(self) -> str:
        return f"proof-1.{self.token}.{encoded(self.signature)}"


@dataclass(frozen=True, slots=True)
class SpaceProof:
    """The signature of a space's key."""

    kid: bytes
    signature: bytes

    def __str__(self) -> str:
        return f"space-1.{self.kid.hex()}.{encoded(self.signature)}"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """An invite's secret, and the signature of the key that is to be the device's."""

    secret: bytes
    key: PublicKey
    signature: bytes

    def __str__(self) -> str:
        return f"enrol-1.{encoded(self.secret)}.{encoded(self.key.raw)}.{encoded(self.signature)}"


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """An id token of the login system, and the signature of the key that is to be the device's."""

    token: str
    key: PublicKey
    signature: bytes

    def __str__(self) -> str:
        return f"login-1.{encoded(self.key.raw)}.{encoded(self.signature)}.{self.token}"


@dataclass(frozen=True, slots=True)
class _KeyProof:
    """The signature of a key that a device joined with. `form` is how that begins as text."""

    form: ClassVar[str]

    key: PublicKey
    signature: bytes

    def __str__(self) -> str:
        return f"{self.form}.{encoded(self.key.raw)}.{encoded(self.signature)}"


class Renewal(_KeyProof):
    """The device asks for a new token."""

    __slots__ = ()
    form = "renew-1"


class Wiped(_KeyProof):
    """The device says that it has destroyed what it held."""

    __slots__ = ()
    form = "wiped-1"


class Unsent(_KeyProof):
    """The device hands in for review what it had not sent when it was shut out."""

    __slots__ = ()
    form = "unsent-1"


Presented = TokenProof | SpaceProof | Enrolment | LoggedIn | Renewal | Wiped | Unsent
Kind = TypeVar("Kind", TokenProof, SpaceProof, Enrolment, LoggedIn, Renewal, Wiped, Unsent)
HANDS_IN = f"{Unsent.form}."
_KEY_PROOFS: Final = {each.form: each for each in (Renewal, Wiped, Unsent)}
BEGINNINGS = ("proof-1.", "space-1.", "enrol-1.", "login-1.", "renew-1.", "wiped-1.", HANDS_IN)


def proves_key(text: str) -> bool:
    """Whether this is to be a proof of a device's own key: there is no secret in it that somebody could try out."""
    return text.startswith(("proof-1.", "renew-1.", HANDS_IN))


def read(text: str, kind: type[Kind]) -> Kind:
    """What of that kind is shown. Raises `IdentityRefused`."""
    shown = presented(text)
    if not isinstance(shown, kind):
        raise _malformed("it is a proof of something else")
    return shown


def presented(text: str) -> Presented:
    """What is shown. Raises `IdentityRefused`."""
    if len(text) > TOKEN_LENGTH_MAX:
        raise _malformed(f"it has {len(text)} characters, of at most {TOKEN_LENGTH_MAX}")
    match text.split("."):
        case ["proof-1", head, body, end, signature]:
            token = f"{head}.{body}.{end}"
            if len(token) > SIGNED_TOKEN_LENGTH_MAX or not token.isascii():
                raise _malformed("its token is too long, or no token")
            return TokenProof(token, _bytes(signature, SIGNATURE_BYTES))
        case ["space-1", kid, signature]:
            raw = _kid(kid)
            return SpaceProof(raw, _bytes(signature, SIGNATURE_BYTES))
        case ["enrol-1", secret, key, signature]:
            return Enrolment(
                _bytes(secret, INVITE_SECRET_BYTES),
                PublicKey(_bytes(key, KEY_BYTES)),
                _bytes(signature, SIGNATURE_BYTES),
            )
        case ["login-1", key, signature, head, body, end]:
            token = f"{head}.{body}.{end}"
            if len(token) > ID_TOKEN_LENGTH_MAX or not token.isascii():
                raise _malformed("its token is too long, or no token")
            return LoggedIn(token, PublicKey(_bytes(key, KEY_BYTES)), _bytes(signature, SIGNATURE_BYTES))
        case [form, key, signature] if form in _KEY_PROOFS:
            return _KEY_PROOFS[form](PublicKey(_bytes(key, KEY_BYTES)), _bytes(signature, SIGNATURE_BYTES))
    raise _malformed("it has no such form")


def _kid(text: str) -> bytes:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raise _malformed("it names no key") from None
    if len(raw) != KID_BYTES or raw.hex() != text:
        raise _malformed("it names no key")
    return raw


def _bytes(text: str, count: int) -> bytes:
    raw = decoded(text)
    if raw is None or len(raw) != count:
        raise _malformed("a part of it is cut off, or none")
    return raw


def _malformed(why: str) -> IdentityRefused:
    return refused(Reason.PROOF_MALFORMED, f"this is no proof of a key: {why}")
