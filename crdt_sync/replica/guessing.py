"""What may be lost with a record of which every copy is damaged, as far as its damaged bytes still tell.

Nothing of it is written anywhere: it is told to people, who may know better.
"""

import json
import re
from collections.abc import Iterator

from crdt_sync.records import Schema
from crdt_sync.replica.rescue import Loss, View, differs, said
from crdt_sync.storage.values import Remains

_NAMED = re.compile(rb'"([a-z][a-z0-9_]{0,63})":')
_FRAME = {"fields", "conflicts", "deleted", "sources", "value", "at", "by"}  # of a view, and of entries in it


def guessed(record: str, schema: Schema | None, held: View, remains: Remains) -> list[Loss]:
    """One loss for each field that is named, and not held as it seems to have been."""
    return [Loss(record, field, "field", detail) for field, detail in sorted(_told(schema, held, remains))]


def _told(schema: Schema | None, held: View, remains: Remains) -> Iterator[tuple[str, str]]:
    told = set()
    for field, value in _values(remains.damaged_view).items():
        told.add(field)
        if differs(value, held.fields.get(field)):
            yield field, f"its damaged view reads {said(value)}, which may be wrong"
    for field in _names(schema, remains) - told:
        yield field, "its damaged bytes name it; what it was is not known"


def _values(view: bytes | None) -> dict[str, object]:
    """The fields of a damaged view that can be read as one all the same."""
    try:
        fields = json.loads(view or b"{}")["fields"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return {field: value for field, value in fields.items() if field.isidentifier()} if isinstance(fields, dict) else {}


def _names(schema: Schema | None, remains: Remains) -> set[str]:
    """The fields that a view which cannot be read, or an update, names in plain bytes."""
    view = remains.damaged_view or b""
    named = {name.decode("ascii") for name in _NAMED.findall(view)} - _FRAME
    fields = schema.fields if schema else {}
    updates = {name for name in fields if any(b".%b" % name.encode() in update for update in remains.damaged)}
    return (named & fields.keys() if schema else named) | updates
