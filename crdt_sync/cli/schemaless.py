"""What people are told of records whose schema is not here: that they are, and how to get it."""

from crdt_sync.cli.output import Output
from crdt_sync.cli.values import many
from crdt_sync.replica import Replica


def advice(collection: str) -> str:
    """How to get the schema of a collection."""
    return (
        f"On a device that has it: crdt-sync schema show {collection} --toml > {collection}.toml; "
        f"here: crdt-sync schema add {collection}.toml"
    )


def tell_schemaless(output: Output, replica: Replica, shown: str | None = None, *, left_out: bool = False) -> None:
    """Say which records are here without their schema: of the collection `shown`, else of all.

    `left_out` says that they are not among what was printed.
    """
    for found in replica.schemaless(shown):
        count = f"{'' if found.exact else 'at least '}{many(found.records)}"
        what = "left out" if left_out else "they can be read as they are stored, and not edited"
        text = f"{count} of {found.collection!r} without a schema: {what}. {advice(found.collection)}"
        data = {"warning": "schema_missing", **found._asdict(), "left_out": left_out, "hint": advice(found.collection)}
        output.warning(data, text)
