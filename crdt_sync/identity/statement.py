"""One thing that a space says to its devices, signed.

The signature is over `CONTEXT` and the *payload*, canonical CBOR `[kind, space, version, issued, body]`; beside the two
stands the `kid` of the key: `[payload, kid, signature]`, canonical too. So a statement is one text of bytes, and any
other is another one. The signature is checked before the body is read: strangers make us read a few bytes alone.
"""

from dataclasses import dataclass

from crdt_sync.identity.devices import Devices
from crdt_sync.identity.keys import KID_BYTES, SIGNATURE_BYTES, KeyPair, PublicKey
from crdt_sync.identity.policy_text import PolicyText
from crdt_sync.identity.refusals import Reason, refused
from crdt_sync.identity.revocations import Revocations
from crdt_sync.identity.space_keys import SpaceKeys
from crdt_sync.ids import SPACE_BYTES
from crdt_sync.limits import (
    DEVICES_LISTED_MAX,
    INTEGER_EXACT_MAX,
    REVOKED_USERS_MAX,
    STATEMENT_BYTES_MAX,
)
from crdt_sync.strict_cbor import array_of, dumps, loads, uint

CONTEXT = b"crdt-sync statement 1"
Body = SpaceKeys | PolicyText | Revocations | Devices
BODIES: dict[str, type[Body]] = {body.kind: body for body in (SpaceKeys, PolicyText, Revocations, Devices)}
_FIELDS = 5
_ITEMS_MAX = 3 * max(REVOKED_USERS_MAX, DEVICES_LISTED_MAX) + 16
_DEPTH_MAX = 4
_HEADS = {kind: array_of(_FIELDS) + dumps(kind) + dumps(bytes(SPACE_BYTES))[:1] for kind in BODIES}


@dataclass(frozen=True, slots=True)
class Statement:
    """What a space says: of each kind, the one with the highest version counts. `issued` is when, in microseconds."""

    space: bytes
    version: int
    issued: int
    body: Body

    def __post_init__(self) -> None:
        if not (1 <= self.version <= INTEGER_EXACT_MAX and 0 <= self.issued <= INTEGER_EXACT_MAX):
            raise refused(Reason.STATEMENT_MALFORMED, "the version or the time of a statement is out of range")

    @property
    def payload(self) -> bytes:
        """The bytes that are signed."""
        return dumps((self.body.kind, self.space, self.version, self.issued, self.body.packed()))

    def signed_by(self, pair: KeyPair) -> bytes:
        """The statement as it travels. Raises `IdentityRefused` where it is larger than anybody takes."""
        payload = self.payload
        raw = dumps((payload, pair.public.kid, pair.sign(CONTEXT + payload)))
        if len(raw) > STATEMENT_BYTES_MAX:
            raise refused(Reason.STATEMENT_MALFORMED, f"the statement has more than {STATEMENT_BYTES_MAX} bytes")
        return raw


@dataclass(frozen=True, slots=True)
class Sealed:
    """A statement that came: what it says of itself, while nothing of it is believed yet."""

    raw: bytes
    payload: bytes
    kid: bytes
    signature: bytes
    kind: str
    version: int

    def opened(self, key: PublicKey) -> Statement:
        """What it says, if `key` signed it. Raises `IdentityRefused`."""
        if key.kid != self.kid:
            raise refused(Reason.STATEMENT_UNKNOWN_KEY, f"a statement of {self.kind} names another key than its own")
        if not key.signed(CONTEXT + self.payload, self.signature):
            raise refused(Reason.STATEMENT_FORGED, f"the signature of a statement of {self.kind} does not hold")
        try:
            _, space, version, issued, body = _array(self.payload, _ITEMS_MAX, _DEPTH_MAX, _FIELDS)
            if not (type(space) is bytes and type(version) is int and type(issued) is int):
                raise ValueError("a field has another type")
        except ValueError as error:
            raise _malformed(str(error)) from None
        statement = Statement(space, version, issued, BODIES[self.kind].read(body))
        if statement.payload != self.payload:
            raise _malformed("it is not canonical")
        return statement


def sealed(raw: bytes, space: bytes) -> Sealed:
    """Read the outside of a statement. Raises `IdentityRefused`."""
    if len(raw) > STATEMENT_BYTES_MAX:
        raise _malformed(f"it has {len(raw)} bytes, of at most {STATEMENT_BYTES_MAX}")
    try:
        payload, kid, signature = _array(raw, 4, 1, 3)
    except ValueError as error:
        raise _malformed(str(error)) from None
    if not (type(payload) is bytes and type(kid) is bytes and type(signature) is bytes):
        raise _malformed("a field has another type")
    if len(kid) != KID_BYTES or len(signature) != SIGNATURE_BYTES or dumps((payload, kid, signature)) != raw:
        raise _malformed("it is not canonical")
    kind = next((kind for kind, head in _HEADS.items() if payload.startswith(head)), None)
    if kind is None:
        raise _malformed("it is of no kind that is known here")
    begin = len(_HEADS[kind])
    whose = payload[begin : begin + SPACE_BYTES]
    if whose != space:
        raise refused(Reason.STATEMENT_FOREIGN_SPACE, "a statement is of another space")
    return Sealed(raw, payload, kid, signature, kind, _version(payload[begin + SPACE_BYTES :][:9]))


def _version(head: bytes) -> int:
    """The integer that `head` begins with, in its shortest form."""
    first = head[0] if head else 0xFF
    size = 1 << first - 24 if 24 <= first <= 27 else 0
    value = int.from_bytes(head[1 : 1 + size], "big") if size else first
    if not 1 <= value <= INTEGER_EXACT_MAX or not head.startswith(uint(value)):
        raise _malformed("its version is none")
    return value


def _array(raw: bytes, items_max: int, depth_max: int, fields: int) -> tuple[object, ...]:
    """An array of so many fields. Raises `ValueError`."""
    value = loads(raw, items_max=items_max, depth_max=depth_max)
    if not isinstance(value, tuple) or len(value) != fields:
        raise ValueError(f"an array of {fields} is expected")
    return value


def _malformed(why: str) -> Exception:
    return refused(Reason.STATEMENT_MALFORMED, f"this is no statement of a space: {why}")
