"""The schema that a run begins with, and the one that some of its devices come to."""

from crdt_sync.records import bundled_schema
from crdt_sync.records.schema import FieldSpec

COLLECTION = "customers"
FIRST = bundled_schema(COLLECTION)
# `city` asks for decisions now, `owner` merges as a set, in a root of its own; two fields are new.
SECOND = FIRST.model_copy(
    update={
        "version": FIRST.version + 1,
        "fields": {
            **FIRST.fields,
            "city": FIRST.fields["city"].model_copy(update={"kind": "review"}),
            "owner": FIRST.fields["owner"].model_copy(update={"kind": "set"}),
            "segment": FieldSpec(kind="value"),
            "badges": FieldSpec(kind="set"),
        },
    }
)
