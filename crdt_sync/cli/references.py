"""Record ids in fields: written whole, however short they were typed."""

import json
import shlex

from crdt_sync.cli.finding import field_named
from crdt_sync.cli.targets import Assignment, existing
from crdt_sync.cli.typed_values import read_text
from crdt_sync.errors import InvalidRecordId, InvalidValue, UnknownRecord
from crdt_sync.records import Schema
from crdt_sync.records.roots import Layout
from crdt_sync.records.schema import FieldSpec
from crdt_sync.replica import Replica


def with_whole_ids(replica: Replica, schema: Schema, assignment: Assignment) -> Assignment:
    """The assignment with the ids of records that are here for starts of them. Raises `UsageError` as `existing`."""
    spec = schema.fields.get(field_named(schema, assignment.field) or "")
    if spec is None or spec.type != "reference":
        return assignment
    return Assignment(
        assignment.field, assignment.operator, whole_ids(replica, assignment.field, spec, assignment.text)
    )


def whole_ids(replica: Replica, field: str, spec: FieldSpec, text: str) -> str:
    """Likewise, the text of a value of a field; what is in no reference is as it was."""
    if spec.type != "reference" or not text.strip():
        return text
    if spec.rules.layout is not Layout.MEMBERS:
        return _whole_id(replica, field, spec, text.strip())
    members = read_text(field, spec, text)
    found = [_whole_id(replica, field, spec, str(each)) for each in members] if isinstance(members, list) else []
    return json.dumps(found, ensure_ascii=False)


def missing(replica: Replica, schema: Schema, record: str, fields: list[str]) -> list[dict[str, str]]:
    """The ids in these fields of records that are not here."""
    raw = replica.get(record).raw
    found = []
    for field in fields:
        value = raw.get(field)
        if schema.fields[field].type == "reference":
            ids = value if isinstance(value, list) else [value]
            texts = (each for each in ids if isinstance(each, str))
            found += [{"field": field, "record": each} for each in texts if replica.store.record_head(each) is None]
    return found


def _whole_id(replica: Replica, field: str, spec: FieldSpec, text: str) -> str:
    """The id of the record that `text` begins; an id as it is, where no such record is here."""
    sought = text if "/" in text or spec.collection is None else f"{spec.collection}/{text}"
    try:
        return existing(replica, sought)
    except UnknownRecord:
        if "/" in text:
            return text
    except InvalidRecordId:
        pass
    raise InvalidValue(
        field,
        f"{text[:60]!r} is not a record id",
        f"To look for the record: crdt-sync find {shlex.quote(text[:60])}, which shows its id.",
    )
