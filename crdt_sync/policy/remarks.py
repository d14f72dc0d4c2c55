"""What of a policy is allowed, and is hardly meant."""

from collections.abc import Iterable

from crdt_sync.nearest import suggestion
from crdt_sync.policy.model import ID, Grant, Policy, User
from crdt_sync.policy.problems import Problem


def remarks(policy: Policy) -> list[Problem]:
    """All of them, in the order of the text."""
    found: list[Problem] = []
    by_role: dict[str, list[User]] = {}
    for user in policy.users.values():
        by_role.setdefault(user.role, []).append(user)
        if not user.role:
            message = f"user {user.id!r} has no role, and may do nothing"
            found.append(Problem(user.line, message, 'Give one: role = "...".'))
    for value, given in policy.logins.map.items() if policy.logins is not None else ():
        by_role.setdefault(given.role, []).append(User(value, given.line, given.role, given.attributes))
    for role in policy.roles.values():
        users = by_role.get(role.name, [])
        if not users:
            found.append(Problem(role.line, f"nobody has the role {role.name!r}", "Give it to a user, or take it out."))
        for grant in role.grants:
            found += _of_grant(grant, users)
    return sorted(found, key=lambda problem: problem.line)


def _of_grant(grant: Grant, users: Iterable[User]) -> list[Problem]:
    found = []
    if grant.write and not grant.operations & {"create", "edit"}:
        message = "fields may be written, but neither 'create' nor 'edit' is among the operations"
        found.append(Problem(grant.line, message, 'Add one: operations = ["edit"].'))
    if not grant.write and grant.operations & {"create", "edit"}:
        message = "records may be created or edited, but no field may be written"
        found.append(Problem(grant.line, message, "Name fields in 'write', or take the operation out."))
    known = {name for user in users for name in user.attributes}
    named = {each.attribute for alternative in grant.where for each in alternative} - {"", ID}
    for name in sorted(named - known) if known or list(users) else ():
        message = f"'where' compares with user.{name}, which no user of role {grant.role!r} has"
        found.append(Problem(grant.line, message, suggestion(name, known, "attributes")))
    return found
