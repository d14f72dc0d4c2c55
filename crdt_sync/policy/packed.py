"""A policy as plain values, for another process of this program that is to go by it. It is no form to be kept.

Who has logged in is among its users; by which values they did is left out.
"""

from typing import Any

from crdt_sync.policy.model import Condition, Grant, Policy, Role, User
from crdt_sync.policy.silence import Silence

Packed = tuple[Any, Any, Any, Any]
"""Tuples, mappings, sets, texts and numbers, and nothing else."""


def packed(policy: Policy) -> Packed:
    """What `unpacked` makes the same policy of."""
    roles = {
        name: (
            role.line,
            tuple(_packed_grant(grant) for grant in role.grants),
            tuple(role.silence) if role.silence is not None else None,
        )
        for name, role in policy.roles.items()
    }
    users = {name: (user.line, user.role, dict(user.attributes), user.disabled) for name, user in policy.users.items()}
    return roles, users, tuple(policy.silence), policy.watched


def unpacked(given: Packed) -> Policy:
    """The policy again."""
    roles, users, silence, watched = given
    return Policy(
        {
            name: Role(
                name, line, tuple(_unpacked_grant(name, each) for each in grants), Silence(*own) if own else None
            )
            for name, (line, grants, own) in roles.items()
        },
        {name: User(name, *settings) for name, settings in users.items()},
        Silence(*silence),
        watched,
    )


def _packed_grant(grant: Grant) -> tuple[Any, ...]:
    where = tuple(tuple(tuple(each) for each in alternative) for alternative in grant.where)
    return grant.line, grant.collection, grant.read, where, grant.write, dict(grant.masks), grant.operations


def _unpacked_grant(role: str, given: tuple[Any, ...]) -> Grant:
    line, collection, read, where, *rest = given
    return Grant(
        role,
        line,
        collection,
        read,
        tuple(tuple(Condition(*each) for each in alternative) for alternative in where),
        *rest,
    )
