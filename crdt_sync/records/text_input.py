"""Values typed as text, on a command line or in a table, turned into what a field expects."""

import json
from typing import TYPE_CHECKING

from crdt_sync.errors import InvalidValue

if TYPE_CHECKING:
    from crdt_sync.records.field_settings import FieldSettings

TRUE_WORDS = frozenset(
    {"true", "yes", "y", "1", "on", "ja", "j", "wahr", "oui", "vrai", "sí", "si", "sì", "sim", "是", "有", "はい"}
)
FALSE_WORDS = frozenset(
    {"false", "no", "n", "0", "off", "nein", "falsch", "non", "faux", "não", "nej", "否", "无", "没有", "いいえ"}
)
SET_SEPARATOR = ";"


def parse_one(field: str, spec: "FieldSettings", text: str) -> object:
    """The one value that `text` means, by the type of the field alone. Raises `InvalidValue`."""
    if spec.choices or spec.states:
        return choice_of(spec.choices or spec.states, text)
    if spec.type == "string":
        return text
    if spec.type == "integer":
        return _integer(field, text.strip())
    if spec.type == "boolean":
        return _boolean(field, text.strip())
    if spec.type == "json":
        return _json(field, text)
    return text.strip()


def choice_of(choices: tuple[str, ...], text: str) -> str:
    """The choice that `text` names, whatever its case and separators; else the text, which `normalise` refuses."""
    plain = text.strip()
    if plain in choices:
        return plain
    near = [choice for choice in choices if _folded(choice) == _folded(plain)]
    return near[0] if len(near) == 1 else plain


def _folded(text: str) -> str:
    return "".join(character for character in text.casefold() if character not in " _-")


def _integer(field: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidValue(
            field, f"{text[:60]!r} is not a whole number", "Write digits only, for example 42."
        ) from None


def _boolean(field: str, text: str) -> bool:
    folded = text.casefold()
    if folded in TRUE_WORDS:
        return True
    if folded in FALSE_WORDS:
        return False
    raise InvalidValue(field, f"{text[:60]!r} is not yes or no", "Write one of: yes, no, true, false, 1, 0.")


def _json(field: str, text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidValue(
            field, f"{text[:60]!r} is not JSON", "Put text in double quotes, for example '\"called back\"'."
        ) from None
