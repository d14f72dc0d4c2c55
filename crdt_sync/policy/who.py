"""Who else may do what somebody may not: the users whom a policy lets write a field."""

from collections.abc import Sequence

from crdt_sync.policy.model import Policy, covers

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
    found = (user.id for user in policy.users.values() if user.role in roles and not user.disabled)
    return [user for user, _ in zip(found, range(_NAMED_MAX), strict=False)]
