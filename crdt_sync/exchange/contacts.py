"""E-mail addresses and phones as fields hold them: which texts cannot be one, and who else has one.

Either is taken all the same, as a list may say "none" or people share a phone; it is said, for a person to judge.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, TypeAlias

from crdt_sync.exchange.known_records import same_value
from crdt_sync.exchange.names import loose
from crdt_sync.exchange.port import ReadableRecord
from crdt_sync.records.comparing import folded
from crdt_sync.records.roots import Layout
from crdt_sync.records.schema import FieldSpec

Contact: TypeAlias = Literal["e-mail address", "phone number"]

_EMAIL_FIELD = re.compile(r"(mails?(addresse?s?|adressen?)?|邮箱|邮件|メール)\d*\Z")
_PHONE_FIELD = re.compile(
    r"((phone|telefon|mobile?|mobil|handy|fax)(s|nos?|nr|numbers?|nummern?)?|电话|手机|電話|携帯)\d*\Z"
)
_ADDRESS = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)*\Z")
_LAYOUTS = frozenset({Layout.ENTRIES, Layout.MEMBERS})


def contact_of(field: str, spec: FieldSpec) -> Contact | None:
    """What a field holds, by its name."""
    if not spec.is_free_text or spec.rules.layout not in _LAYOUTS:
        return None
    plain = loose(field)
    if _EMAIL_FIELD.search(plain):
        return "e-mail address"
    return "phone number" if _PHONE_FIELD.search(plain) else None


def cannot_be(contact: Contact, text: str) -> bool:
    """Whether a text cannot be one: an address without a single `@` between two names, a number without a digit."""
    if contact == "phone number":
        return not any(character.isdigit() for character in text)
    return _ADDRESS.match(folded(text)) is None


def texts_of(carrier: object) -> Iterator[str]:
    """The texts in a carrier of such a field, one or those of a set, without blank ones."""
    for member in carrier if isinstance(carrier, list) else (carrier,):
        if isinstance(member, str) and member.strip():
            yield member


def holder_of(
    text: str, contact: Contact, fields: Mapping[str, FieldSpec], records: Iterable[ReadableRecord]
) -> ReadableRecord | None:
    """The first of the `records` that has the same address or number in any field for them; None where nobody has."""
    names = [name for name, spec in fields.items() if contact_of(name, spec) == contact]
    for record in records:
        if any(same_value(text, held) for name in names for held in texts_of(record.raw.get(name))):
            return record
    return None
