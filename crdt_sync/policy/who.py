"""Who else may do what somebody may not: the users whom a policy lets write a field, or do an operation."""

from collections.abc import Collection, Sequence

from crdt_sync.policy.model import Operation, Policy, covers

_NAMED_MAX = 3


def who_writes(policy: Policy, collection: str, field: str, section: str | None) -> Sequence[str]:
    """Some users whose role may write a field, in some records of the collection at least: three at most, in the order
    of the policy. `section` as in `covers`.
    """
    roles = {
        role.name
        for role in policy.roles.values()
        if any(grant.collection == collection and covers(grant.write, field, section) for grant in role.grants)
    }
    return _first(policy, roles)


def who_does(policy: Policy, collection: str, operation: Operation) -> Sequence[str]:
    """Some users whose role may do that with some records of the collection, likewise."""
    return _first(
        policy,
        {
            role.name
            for role in policy.roles.values()
            if any(grant.collection == collection and operation in grant.operations for grant in role.grants)
        },
    )


def _first(policy: Policy, roles: Collection[str]) -> Sequence[str]:
    found = (user.id for user in policy.users.values() if user.role in roles and not user.disabled)
    return [user for user, _ in zip(found, range(_NAMED_MAX), strict=False)]
