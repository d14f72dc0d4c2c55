"""What the policy in force makes of this device, where that is hardly meant: told where it is met."""

from typing import TYPE_CHECKING

from crdt_sync.cli.output import Output
from crdt_sync.policy.checking import check

if TYPE_CHECKING:
    from crdt_sync.policy.in_force import InForce
    from crdt_sync.records import Schema


def tell_no_role(output: Output, in_force: "InForce | None", user: str) -> None:
    """Say so where the policy gives a user no role: nothing is wrong then, and nothing is ever seen."""
    known = None if in_force is None else in_force.policy.users.get(user)
    if known is not None and not known.role and not known.disabled:
        message = f"The policy gives {user!r} no role: nothing can be seen or done. Ask who keeps the policy for one."
        output.warning({"warning": "no_role", "message": message}, message)


def tell_misfits(output: Output, in_force: "InForce | None", schema: "Schema") -> None:
    """Say what the policy names of a collection that its schema has not: those grants hold for no record."""
    if in_force is None or in_force.is_unread:
        return
    for problem in check(in_force.policy, {schema.collection: schema}):
        if repr(schema.collection) in problem.message:
            message = (
                f"The policy in force does not fit this schema, line {problem.line}: {problem.message}. {problem.hint} "
                "Until the policy is changed, that grant gives nobody a record by it."
            )
            output.warning({"warning": "policy_misfit", "message": message, "line": problem.line}, message)
