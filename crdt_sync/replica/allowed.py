"""Whether what is edited here is allowed to whose device this is, asked of the gate that partners ask.

So the user sees at once what a partner would refuse. Policy and user are the context's; without a policy nothing is
asked.
"""

from typing import TYPE_CHECKING

from crdt_sync import ids
from crdt_sync.errors import EditForbidden, UnknownCollection
from crdt_sync.verdicts import VerdictCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crdt_sync.policy.in_force import InForce
    from crdt_sync.records import Document
    from crdt_sync.records.gate.permitted import Rules
    from crdt_sync.replica.context import Context


def rules_for(context: "Context", record: str, in_force: "InForce", new: "Document | None" = None) -> "Rules":
    """What the gate goes by for a record; for a companion, by what its record shows.

    `new` is that record where it is made in the same commit, or not stored yet.
    """
    from crdt_sync.records.gate.permitted import Rules  # noqa: PLC0415 - devices without a policy need none of it

    schema = context.schema_of(record)
    if not ids.section_of(record):
        return Rules(in_force, ids.collection_of(record), schema)
    return Rules(in_force, ids.collection_of(record), schema, context.forms_of_whole(record, new))


def check_allowed(context: "Context", record: str, update: bytes, new: "Document | None" = None) -> None:
    """Raise `EditForbidden` where the user may not do what `update` does to the record as it is stored.

    `new` is as in `rules_for`.
    """
    in_force = context.in_force()
    if in_force is None:
        return
    if in_force.is_unread:
        raise EditForbidden(
            record, "", "this program cannot read the policy of the space, which is of a later form: update it"
        )
    from crdt_sync.records import Integrator  # noqa: PLC0415 - likewise

    stored = context.store.load(record).updates
    done = Integrator(1).integrate(
        record,
        stored,
        (update,),
        None,
        checked=True,
        snapshot=False,
        rules=rules_for(context, record, in_force, new),
        users=(context.author,),
    )
    verdict = done.verdicts[0]
    if verdict.code is VerdictCode.FORBIDDEN:
        field, rule = field_and_rule(verdict.reason)
        raise EditForbidden(ids.whole_record(record), field, rule, _who_may(context, record, field, in_force))


def check_import(context: "Context", collection: str) -> None:
    """See `Replica.check_import`."""
    in_force = context.in_force()
    if in_force is None or in_force.is_unread:  # then what is written is told of
        return
    from crdt_sync.policy.who import who_does  # noqa: PLC0415 - likewise

    rights = in_force.rights(context.author)
    if "import" not in rights.possible(collection):
        others = who_does(in_force.policy, collection, "import")
        raise EditForbidden(collection, "", f"{context.author!r} may not import here", others)
    if collection not in context.schemas and "create" not in rights.possible(ids.SCHEMAS):
        raise UnknownCollection(
            f"the schema of {collection!r} has not come to this device, and {context.author!r} may not make one",
            schema_hint(context),
        )


def schema_hint(context: "Context") -> str:
    """What to do where a schema is not here, and a policy says who makes some; empty without one."""
    in_force = context.in_force()
    if in_force is None or in_force.is_unread:
        return ""
    from crdt_sync.policy.who import who_does  # noqa: PLC0415 - likewise

    if "create" in in_force.rights(context.author).possible(ids.SCHEMAS):
        return "Run 'crdt-sync sync' first; a new one is added with 'crdt-sync schema add FILE'."
    keepers = " or ".join(who_does(in_force.policy, ids.SCHEMAS, "create"))
    who = f"; if that brings none, have {keepers} sync" if keepers else ""
    return f"Run 'crdt-sync sync' first{who}."


def _who_may(context: "Context", record: str, field: str, in_force: "InForce") -> "Sequence[str]":
    """Some who may write that field."""
    from crdt_sync.policy.who import who_writes  # noqa: PLC0415 - likewise

    if not field:
        return ()
    schema = context.schema_of(record)
    spec = schema.fields.get(field) if schema is not None else None
    section = None if spec is None else spec.section or ""
    found = who_writes(in_force.policy, ids.collection_of(ids.whole_record(record)), field, section)
    return [user for user in found if user != context.author]


def field_and_rule(reason: str) -> tuple[str, str]:
    """What a reason of the gate names: the field, empty where it is of the whole record, and the rule."""
    field, separator, rule = reason.partition(": ")
    is_field = bool(separator) and ids.is_collection(field)
    return (field, rule) if is_field else ("", reason)
