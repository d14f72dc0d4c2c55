"""What was written into a new record, written into another one: an ordinary edit that has seen what is there."""

from typing import TYPE_CHECKING

from crdt_sync.records.deleted import is_deleted
from crdt_sync.records.document import Document
from crdt_sync.records.field_values import restore
from crdt_sync.records.reading import values_of

if TYPE_CHECKING:
    from crdt_sync.records.editor import Editor
    from crdt_sync.records.schema import Schema


def replay(document: Document, schema: "Schema", editor: "Editor") -> None:
    """Write everything that `document` holds through `editor`, in the order of the schema.

    Single values take the place of those that are there; counters are added, members and entries joined, and a text is
    put after the one that is there, unless that says so already. Raises what the editor raises.
    """
    values = values_of(document, schema)
    entered = {field: restore(schema.fields[field], values[field]) for field in schema.natural_key if field in values}
    same_key = {field: value for field, value in entered.items() if editor[field] == value}
    for field in schema.fields:
        if field in values:
            editor.replay(field, values[field])
    if is_deleted(document):
        editor.delete()
    elif editor.changed:  # whoever gives the record another key meanwhile, elsewhere, has somebody else in it then
        for field, value in same_key.items():
            editor.affirm(field, value)
