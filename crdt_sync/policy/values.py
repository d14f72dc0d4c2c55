"""How values of records and of users are compared: by one text each, the same on every device.

What people do not see makes no difference: blanks around, composed letters, full width. Case does. Numbers and truths
begin with a blank, which no text does, so that 1, "1" and true stay three values.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from crdt_sync.limits import FILTER_VALUE_LENGTH_MAX, INTEGER_EXACT_MAX
from crdt_sync.spelling import one_spelling

Values = Mapping[str, object]
"""What the filter fields of a record show, None where nothing. A field that is not there is none of this collection: it
equals nothing, not even an empty value, or a condition on a field that was renamed would hold for every record."""

Forms = Mapping[str, str | None]
"""The same, as forms; and `EVERY` shows `EMPTY`."""

EMPTY = ""
"""The form of what shows nothing."""

EVERY = ""
"""In the place of a field: what every record shows."""


class Whereabouts(NamedTuple):
    """What the filter fields of a record show; `left` is what they have shown at or since a cursor, and show no more.

    `new`: the record is not older than the cursor.
    """

    forms: Forms
    left: tuple[Forms, ...] = ()
    new: bool = False


_spelt = lru_cache(maxsize=16_384)(one_spelling)


def form(value: object) -> str | None:
    """The text by which a shown value is compared, `EMPTY` where a field shows nothing; None for what equals nothing.

    Never raises: values come from anybody.
    """
    if isinstance(value, str):
        return _spelt(value) if len(value) <= FILTER_VALUE_LENGTH_MAX else None
    if value is None:
        return EMPTY
    if isinstance(value, bool):
        return " true" if value else " false"
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # Yjs has no other numbers
    if isinstance(value, int) and abs(value) <= INTEGER_EXACT_MAX:
        return f" {value}"
    return None


def forms_of(values: Values) -> Forms:
    """The forms of what a record shows."""
    forms = {field: form(value) for field, value in values.items()}
    forms[EVERY] = EMPTY
    return forms


def told(formed: str) -> str:
    """A form as it is told to people."""
    return formed[1:] if formed.startswith(" ") else repr(formed)
