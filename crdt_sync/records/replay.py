"""What was written into a new record, written into another one: an ordinary edit that has seen what is there."""

from typing import TYPE_CHECKING

from crdt_sync.records.document import Document
from crdt_sync.records.values import restore, restore_value

if TYPE_CHECKING:
    from crdt_sync.records.editor import Editor
    from crdt_sync.records.schema import FieldSpec, Schema


def replay(document: Document, schema: "Schema", editor: "Editor") -> None:
    """Write everything that `document` holds through `editor`, in the order of the schema.

    Single values take the place of those that are there; counters are added, members and entries joined, and a text is
    put after the one that is there, unless that says so already. Raises what the editor raises.
    """
    values = document.values(schema)
    entered = {field: restore(schema.fields[field], values[field]) for field in schema.natural_key if field in values}
    same_key = {field: value for field, value in entered.items() if editor[field] == value}
    for field, spec in schema.fields.items():
        if field in values:
            _write(editor, field, spec, values[field])
    if document.deleted:
        editor.delete()
    elif editor.changed:  # whoever gives the record another key meanwhile, elsewhere, has somebody else in it then
        for field, value in same_key.items():
            editor.affirm(field, value)


def _write(editor: "Editor", field: str, spec: "FieldSpec", carrier: object) -> None:
    match spec.kind:
        case "set":
            for member in carrier if isinstance(carrier, list) else ():
                editor.add(field, restore_value(spec, member))
        case "log":
            for entry in carrier if isinstance(carrier, list) else ():
                editor.append(field, restore_value(spec, entry["value"]))
        case "counter":
            if carrier not in (0, "0"):
                editor.increment(field, restore(spec, carrier))
        case "text":
            _write_text(editor, field, str(carrier))
        case _:
            if carrier is None:
                editor.clear(field)
            else:
                editor[field] = restore(spec, carrier)


def _write_text(editor: "Editor", field: str, entered: str) -> None:
    text = editor.text(field)
    present = str(text)
    if entered not in present:
        text.insert(len(text), f"\n{entered}" if present else entered)
