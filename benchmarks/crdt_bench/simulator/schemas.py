"""The schema that a run begins with, and the one that some of its devices come to."""

from dataclasses import replace

from crdt_sync.records import bundled_schema
from crdt_sync.records.schema import FieldSpec

COLLECTION = "customers"
FIRST = bundled_schema(COLLECTION)
# Some fields ask for decisions now; two are new.
SECOND = replace(
    FIRST,
    version=FIRST.version + 1,
    fields={
        **FIRST.fields,
        **{field: replace(FIRST.fields[field], kind="review") for field in ("name", "city", "owner", "company")},
        "segment": FieldSpec(kind="value"),
        "badges": FieldSpec(kind="set"),
    },
)
