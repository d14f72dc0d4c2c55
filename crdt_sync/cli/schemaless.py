"""What people are told of records whose schema is not here, or in dispute: that they are, and what to do."""

from crdt_sync.cli.output import Output
from crdt_sync.cli.values import many
from crdt_sync.replica import Replica
from crdt_sync.replica.allowed import schema_hint


def advice(collection: str) -> str:
    """How to get the schema of a collection."""
    return (
        f"It comes when a device that has it syncs. Or there: crdt-sync schema show {collection} --toml > "
        f"{collection}.toml; and here: crdt-sync schema add {collection}.toml"
    )


def none_here(replica: Replica) -> str:
    """What to do where no schema at all is here, and a policy says who makes them; else empty."""
    hint = "" if replica.schemas else schema_hint(replica.context)
    return f"No schema has come to this device yet. {hint}" if hint else ""


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
    tell_disputed(output, replica, shown)


def tell_disputed(output: Output, replica: Replica, shown: str | None = None) -> None:
    """Say which collections were defined in ways that do not fit each other, or have a definition that is not used here
    yet: `shown` alone, if it is given.
    """
    for collection in replica.shared_schemas.behind:
        if shown in (None, collection):
            hint = "Make room on the disk, or run 'crdt-sync verify --local --repair'."
            text = f"the schema of {collection!r} that came is not used here yet: the store refused. {hint}"
            output.warning({"warning": "schema_not_used", "collection": collection, "hint": hint}, text)
    for collection, found in replica.disputed_schemas().items():
        if shown not in (None, collection):
            continue
        hint = f"See crdt-sync schema show {collection}, then crdt-sync schema resolve {collection} NUMBER"
        text = f"{collection!r} was defined in {len(found)} ways that do not fit; the first is used everywhere. {hint}"
        data = {"warning": "schema_disputed", "collection": collection, "definitions": len(found), "hint": hint}
        output.warning(data, text)
