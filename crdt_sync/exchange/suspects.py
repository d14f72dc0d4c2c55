"""Records that may be one customer: entered apart, or brought by tables that knew nothing of each other.

Two records are suspected where an e-mail address or a phone is equal, or the name with the birthday, the postal code or
the city, compared as `find` compares; or where there is nothing of these, the name with all else that they hold. It is
for a person to judge: colleagues share a phone, families a name and a code. One pass over the records; memory and time
grow with what they hold.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from crdt_sync.exchange.contacts import cannot_be, contact_of, texts_of
from crdt_sync.exchange.names import is_name, loose, name_of
from crdt_sync.exchange.port import ReadableRecord
from crdt_sync.records.comparing import folded
from crdt_sync.records.natural_key import may_be_one
from crdt_sync.records.schema import FieldSpec
from crdt_sync.records.values import canonical

_PHONE_DIGITS_MIN = 5  # shorter ones are extensions, or a way to write that there is none
_HOLDERS_MAX = 8  # records of one phone or the like that a new one is compared with: a switchboard has thousands
_BIRTHDAY = re.compile(r"birth|geburt|naissance|nacimiento|生日|出生|誕生")
_POSTAL_CODE = re.compile(r"postal|postcode|postleit|plz|zip|邮编|郵便")
_CITY = re.compile(r"(?<!capa|velo|elec)city\Z|\A(wohn)?ort\Z|stadt\Z|\Aville\Z|ciudad|\Acitta\Z|cidade|城市|都市")
_BESIDE_NAME = {"name and birthday": _BIRTHDAY, "name and postal code": _POSTAL_CODE, "name and city": _CITY}
_EVERYTHING = "name and all else"
_WORDS = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Suspects:
    """Records of which these things are equal: `why` has what each is, to the text in the first record.

    `names_agree`: the name of each is a part of that of another, or missing.
    """

    collection: str
    records: tuple[str, ...]
    why: Mapping[str, str]
    names_agree: bool


def suspects(collection: str, fields: Mapping[str, FieldSpec], records: Iterable[ReadableRecord]) -> Sequence[Suspects]:
    """The groups of records that may be one customer, those whose names agree first, then in the order of their ids.

    Deleted records count for nothing. Records that share several things stand once for all that the same ones share.
    """
    traits = _Traits(fields)
    having: dict[tuple[str, bytes], list[str]] = {}
    told: dict[tuple[str, bytes], str] = {}
    names: dict[str, str] = {}
    for record in records:
        if record.deleted:
            continue
        names[record.record] = name_of(record.raw)
        for what, form, text in traits.of(record.raw):
            key = (what, _digest(form))
            others = having.setdefault(key, [])
            if not others:
                told[key] = text
            if not others or others[-1] != record.record:
                others.append(record.record)
    groups: dict[tuple[str, ...], dict[str, str]] = {}
    for key, found in having.items():
        if len(found) > 1:
            groups.setdefault(tuple(sorted(found)), {}).setdefault(key[0], told[key])
    made = [
        Suspects(collection, group, why, may_be_one(names[record] for record in group)) for group, why in groups.items()
    ]
    return sorted(made, key=lambda each: (not each.names_agree, each.records))


def records_like(
    one: ReadableRecord, fields: Mapping[str, FieldSpec], records: Iterable[ReadableRecord]
) -> Sequence[str]:
    """The others that may be the same customer as `one`; an equal name alone counts here, as `one` is all that is asked
    about."""
    traits = _Traits(fields)
    wanted = _compared(traits, one)
    others = (each for each in records if each.record != one.record and not each.deleted)
    return sorted(each.record for each in others if not wanted.isdisjoint(_compared(traits, each)))


class LookAlikes:
    """The `records` of before, by what speaks for who each is, to find those that a new one may be. Read once."""

    def __init__(self, fields: Mapping[str, FieldSpec], records: Iterable[ReadableRecord]) -> None:
        self._traits = _Traits(fields)
        self._having: dict[tuple[str, bytes], list[str]] = {}  # to their names
        for record in records:
            if not record.deleted:
                name = name_of(record.raw)
                for what, form, _ in self._traits.of(record.raw):
                    having = self._having.setdefault((what, _digest(form)), [])
                    if len(having) < _HOLDERS_MAX:
                        having.append(name)

    def has_one_like(self, raw: Mapping[str, object]) -> bool:
        """Whether one of them shares something with a record that holds `raw`, and the names agree."""
        name = name_of(raw) if self._having else ""
        traits = self._traits.of(raw) if self._having else ()
        return any(
            may_be_one([name, other])
            for what, form, _ in traits
            for other in self._having.get((what, _digest(form)), ())
        )


def _digest(form: str) -> bytes:
    return hashlib.blake2b(form.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _compared(traits: "_Traits", record: ReadableRecord) -> set[tuple[str, str]]:
    compared = {(what, form) for what, form, _ in traits.of(record.raw)}
    name = _name_form(record.raw)
    return compared | ({("name", name)} if name else set())


class _Traits:
    """What of a record speaks for who it is, by the names of the fields."""

    def __init__(self, fields: Mapping[str, FieldSpec]) -> None:
        self._contacts = [(name, what) for name, spec in fields.items() if (what := contact_of(name, spec)) is not None]
        values = [(name, loose(name)) for name, spec in fields.items() if spec.rules.in_key]
        self._beside_name = [
            (what, name) for what, pattern in _BESIDE_NAME.items() for name, plain in values if pattern.search(plain)
        ]

    def of(self, raw: Mapping[str, object]) -> Iterator[tuple[str, str, str]]:
        """What it is, the form in which it is compared, and what is shown of it."""
        told = False
        for field, what in self._contacts:
            for text in texts_of(raw.get(field)):
                if not cannot_be(what, text) and (what != "phone number" or _digits(text) >= _PHONE_DIGITS_MIN):
                    yield what, folded(text), text
                    told = True
        name, words = name_of(raw), _name_form(raw)
        for beside, field in self._beside_name if words else ():
            value = raw.get(field)
            if value not in (None, ""):
                yield beside, f"{words}\n{folded(str(value))}", f"{name}, {value}"
                told = True
        if told or not words:
            return
        rest = {field: value for field, value in raw.items() if not is_name(field) and value not in (None, "", [])}
        if rest:
            yield _EVERYTHING, f"{words}\n{canonical(rest)}", name


def _name_form(raw: Mapping[str, object]) -> str:
    """The words of a name in no order; empty where there is none."""
    return " ".join(sorted(set(_WORDS.findall(folded(name_of(raw))))))


def _digits(text: str) -> int:
    return sum(character.isdigit() for character in text)
