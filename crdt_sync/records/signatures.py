"""Entries that their author's device signed.

The last element of such an entry is a text, `sig:` and base64url of the device's id (16 bytes) and its Ed25519
signature (64). It covers the space, the record, the root, and all of the entry before it. Whose key that is a token
says, which the space signed: it stands in the record itself, once for each device, in `c._signers`. So a signature goes
wherever the entry goes, and whoever knows the space's key can check it.

What is no entry cannot be signed so: counters and sets, which are joined under keys, and the letters of a text. That an
entry was superseded, and by whom, is not signed either: see docs/security.md.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from crdt_sync.limits import SIGNED_TOKEN_LENGTH_MAX
from crdt_sync.records.entries import Entry, well_formed
from crdt_sync.records.roots import SIGNERS_ROOT
from crdt_sync.records.signature_text import bare, signature_of, signature_text
from crdt_sync.records.values import canonical

if TYPE_CHECKING:
    from crdt_sync.identity.certified import DeviceSigner, Verifier
    from crdt_sync.records.document import Document

_CONTEXT: Final = b"crdt-sync entry 1\x00"


Tokens = Mapping[str, Sequence[str]]
"""By the id of the device in hex."""


class Standing(StrEnum):
    """What is known of who wrote an entry."""

    VERIFIED = "verified"  # the device of the user whom it names signed it
    CLAIMED = "claimed"  # nobody signed it, or a device of which nothing is known here
    FORGED = "forged"  # what is signed is another entry, or by another user's device


def signed_bytes(space: bytes, record: str, root: str, entry: Sequence[object]) -> bytes:
    """What a signature covers of an entry, which may have one."""
    told = canonical([record, root, *map(_plain, bare(entry))])
    return _CONTEXT + space + told.encode("utf-8", "surrogatepass")


def standing(verifier: "Verifier", record: str, root: str, entry: Entry, tokens: Tokens) -> Standing:
    """What is known of who wrote an entry of that root; `tokens` are those that the record holds."""
    found = signature_of(entry)
    if found is None:
        return Standing.CLAIMED
    device, signature = found
    for token in tokens.get(device.hex(), ()):
        claims = verifier.claims(token)
        if claims is not None and claims.device == device:
            if claims.user != entry[2]:
                return Standing.FORGED
            message = signed_bytes(verifier.space, record, root, entry)
            return Standing.VERIFIED if verifier.holds(claims.key, message, signature) else Standing.FORGED
    return Standing.CLAIMED


def tokens_in(held: object) -> dict[str, list[str]]:
    """The tokens of devices that signed in a record, by whose they are said to be, from what `SIGNERS_ROOT` holds."""
    found: dict[str, list[str]] = {}
    for entry in well_formed(held) if isinstance(held, list) else []:
        if is_token(entry[0]):
            found.setdefault(entry[2], []).append(entry[0])
    return found


def is_token(value: object) -> bool:
    """Whether a value may be a token: nothing is checked of it but its length."""
    return isinstance(value, str) and 0 < len(value) <= SIGNED_TOKEN_LENGTH_MAX


class Signing:
    """What a device signs with in one record."""

    def __init__(self, signer: "DeviceSigner", record: str) -> None:
        self._signer = signer
        self._record = record

    @property
    def author(self) -> str:
        """Whose entries it signs."""
        return self._signer.user

    def signed(self, root: str, entry: Sequence[Any]) -> Entry:
        """The entry with a signature, in the place of any other. That of somebody else, or of no time, has none."""
        plain = bare(entry)
        if plain[2] != self._signer.user or not plain[1]:
            return plain
        message = signed_bytes(self._signer.verifier.space, self._record, root, plain)
        return [*plain, signature_text(self._signer.device, self._signer.pair.sign(message))]

    def leave_token(self, document: "Document") -> None:
        """Say in the record whose device signs there, where it does not yet."""
        signer = self._signer
        with document.transaction() as transaction:
            known = SIGNERS_ROOT in document.root_names(transaction)
            tokens = tokens_in(document.content(transaction, SIGNERS_ROOT)) if known else {}
            found = map(signer.verifier.claims, tokens.get(signer.device.hex(), ()))
            if not any(claims is not None and claims.device == signer.device for claims in found):
                array = document.array(transaction, SIGNERS_ROOT)
                array.insert(transaction, array.len(transaction), [signer.token, 0, signer.device.hex()])


def _plain(value: object) -> object:
    """A value as it is read again: documents know no integers but whole numbers."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return list(map(_plain, value)) if isinstance(value, (list, tuple)) else value
