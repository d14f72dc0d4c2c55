"""What a policy says: roles with their grants, and users with a role and attributes.

Rules:

1. What is not granted is not allowed.
2. A grant holds for the records of one collection that its `where` chooses, for all where there is none. Of such a
   record it gives fields to read, some of them masked, fields to write, and operations.
3. Grants of a role unite: whoever has one that allows it is allowed. Of a field that one grant masks and another does
   not, the value is shown.
4. `*` among what is read or written are the fields that are in no section; a section is named. A record cannot be cut:
   whoever has it has all of `*`, and of its sections those that are read whole. A grant that masks fields gives none
   whole; the fields that it masks are in sections and are read by their own names.
5. What is written was seen: a field is written only where it is read, and not masked.
6. An attribute that a user lacks equals nothing, an empty field included.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, get_args

from crdt_sync.policy.logins import Logins
from crdt_sync.policy.silence import UNLIMITED, Silence

Operation = Literal[
    "create", "edit", "delete", "restore", "resolve", "import", "export", "bundle", "merge", "erase", "history"
]
OPERATIONS: Final[tuple[Operation, ...]] = get_args(Operation)

ALL: Final = "*"
"""Among what is read or written: the fields that are in no section."""

ID: Final = "id"
"""The attribute that every user has: `user.id`."""


class Condition(NamedTuple):
    """A field shows one of `values`, given as forms, or one of the user's `attribute`. `told` is how it was written."""

    field: str
    values: tuple[str, ...]
    attribute: str
    told: str


Alternative = tuple[Condition, ...]
"""Conditions that are all met."""

Where = tuple[Alternative, ...]
"""Alternatives of which one holds."""

EVERYWHERE: Final[Where] = ((),)
"""Without a condition: all records."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a role gives of some records of one collection. `line` is where its text begins."""

    role: str
    line: int
    collection: str
    read: frozenset[str]
    where: Where = EVERYWHERE
    write: frozenset[str] = frozenset()
    masks: Mapping[str, str] = field(default_factory=dict)
    operations: frozenset[Operation] = frozenset()


@dataclass(frozen=True, slots=True)
class Role:
    """A role, whose grants stand in the order of the text. `silence` is of its users' devices, None as of all."""

    name: str
    line: int
    grants: tuple[Grant, ...] = ()
    silence: Silence | None = None


@dataclass(frozen=True, slots=True)
class User:
    """A user. `attributes` are forms of values; without a `role`, and `disabled`, nothing is allowed."""

    id: str
    line: int = 0
    role: str = ""
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """The whole of it. Make one with `parse_policy`. `silence` is of all devices of which no role says otherwise. Who
    has logged in is among the `users`.

    `watched` are collections of companions: the audit log tells who was given one.
    """

    roles: Mapping[str, Role]
    users: Mapping[str, User]
    silence: Silence = UNLIMITED
    watched: frozenset[str] = frozenset()
    logins: Logins | None = None

    def silence_of(self, user: str) -> Silence:
        """For how long devices of a user may be without contact; what holds for all, where it names no such user."""
        known = self.users.get(user)
        role = self.roles.get(known.role) if known is not None else None
        return self.silence if role is None or role.silence is None else role.silence


def masks_of(policy: Policy, collection: str) -> frozenset[tuple[str, str]]:
    """The fields of a collection that any role sees in part, each with a mask."""
    return frozenset(
        (name, mask)
        for role in policy.roles.values()
        for grant in role.grants
        if grant.collection == collection
        for name, mask in grant.masks.items()
        if name in grant.read
    )


def sees(grant: Grant, name: str, section: str | None) -> bool:
    """Whether a grant gives a field to read, in part where it masks it; `section` as in `covers`."""
    if section and name not in grant.masks:
        return section in grant.read and not grant.masks
    return name in grant.read or (not section and covers(grant.read, name, section))


def covers(names: frozenset[str], name: str, section: str | None) -> bool:
    """Whether `names` give a field: by its own name, by its section, or by `*` where it is in none.

    `section` is empty for a field in none, and None for a field that no schema here knows: that one needs its name.
    """
    return name in names or (section in names if section else section == "" and ALL in names)
