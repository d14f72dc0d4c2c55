"""What one user may: the grants of the role, with the user's attributes put in.

Ask `on` for a record, by what its filter fields show; decide by the values that are there when it is asked. A record
that is made is judged by those that it begins with.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from crdt_sync.policy.masks import weaker
from crdt_sync.policy.model import ID, Alternative, Condition, Grant, Operation, Policy, User, covers, sees
from crdt_sync.policy.values import EVERY, Forms, Values, form, forms_of

CLEAR: Final = "clear"
"""A field is shown as it is."""

_WRITING: Final[tuple[Operation, ...]] = ("create", "edit", "resolve", "import")

Wanted = tuple[tuple[str, frozenset[str]], ...]
"""Fields, each once and in their order, with the forms of which each has to show one: all are to be met."""


@dataclass(frozen=True, slots=True)
class BoundGrant:
    """A grant for one user. `alternatives` are those that can be met, `anchors` the field of each to look for first."""

    grant: Grant
    alternatives: tuple[Wanted, ...]
    anchors: tuple[str, ...]

    def holds(self, forms: Forms) -> bool:
        """Whether it holds for a record."""
        return any(met(wanted, forms) for wanted in self.alternatives)


@dataclass(frozen=True, slots=True)
class Access:
    """What somebody may do with one record. Make one with `Rights.on`."""

    grants: tuple[Grant, ...]

    @property
    def held(self) -> bool:
        """Whether a device of the user holds the record at all."""
        return bool(self.grants)

    def allows(self, operation: Operation) -> bool:
        """Whether the operation may be done."""
        return any(operation in grant.operations for grant in self.grants)

    @property
    def changes(self) -> bool:
        """Whether anything at all of the record may be changed."""
        if self.allows("delete") or self.allows("restore"):
            return True
        return any(grant.write for grant in self.grants) and any(map(self.allows, _WRITING))

    def sight(self, field: str, section: str | None) -> str | None:
        """How a field is seen: `CLEAR`, the name of a mask, or None for not at all. `section` as in `covers`."""
        best: str | None = None
        for grant in self.grants:
            if sees(grant, field, section):
                mask = grant.masks.get(field)
                if mask is None:
                    return CLEAR
                best = mask if best is None else weaker(best, mask)
        return best

    def writes(self, field: str, section: str | None) -> bool:
        """Whether a field may be written, by whoever may do the operation that writes it."""
        if not any(covers(grant.write, field, section) for grant in self.grants):
            return False
        return self.sight(field, section) == CLEAR


NOTHING: Final = Access(())
"""Of a record that is not held."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What a user may; `barred` says why it is nothing, where no grant is the reason."""

    user: User
    grants: Mapping[str, tuple[BoundGrant, ...]]
    barred: str = ""

    def possible(self, collection: str) -> frozenset[Operation]:
        """The operations that are allowed on some record that may be there."""
        bound = self.grants.get(collection, ())
        return frozenset(each for grant in bound if grant.alternatives for each in grant.grant.operations)

    def on(self, collection: str, values: Values) -> Access:
        """What is allowed on a record, by what its filter fields show; a field that is not there shows nothing."""
        return self.at(collection, forms_of(values))

    def at(self, collection: str, forms: Forms) -> Access:
        """What is allowed on a record whose filter fields show these forms."""
        found = tuple(each.grant for each in self.grants.get(collection, ()) if each.holds(forms))
        return Access(found) if found else NOTHING


def rights_of(policy: Policy, user_id: str) -> Rights:
    """What a user may. One that the policy does not name, that is disabled or without a role may nothing."""
    user = policy.users.get(user_id)
    if user is None:
        return Rights(User(user_id), {}, "the policy names no such user")
    if user.disabled:
        return Rights(user, {}, "the user is disabled")
    if not user.role:
        return Rights(user, {}, "the user has no role")
    found: dict[str, list[BoundGrant]] = {}
    for grant in policy.roles[user.role].grants:
        found.setdefault(grant.collection, []).append(_bound(grant, user))
    return Rights(user, {collection: tuple(grants) for collection, grants in found.items()})


def wanted_by(condition: Condition, user: User) -> frozenset[str]:
    """The forms that meet a condition for a user: none where the user lacks the attribute."""
    if not condition.attribute:
        return frozenset(condition.values)
    if condition.attribute == ID:
        own = form(user.id)
        return frozenset() if own is None else frozenset((own,))
    return frozenset(user.attributes.get(condition.attribute, ()))


def met(wanted: Wanted, forms: Forms) -> bool:
    """Whether a record shows what is wanted."""
    return all(forms.get(field) in values for field, values in wanted)


def _bound(grant: Grant, user: User) -> BoundGrant:
    alternatives, anchors = [], []
    for alternative in grant.where:
        wanted = _wanted(alternative, user)
        if all(wanted.values()):
            alternatives.append(tuple(sorted(wanted.items())))
            anchors.append(_anchor(alternative, wanted))
    return BoundGrant(grant, tuple(alternatives), tuple(anchors))


def _wanted(alternative: Alternative, user: User) -> dict[str, frozenset[str]]:
    """Field to what it has to show; conditions on one field are all to be met."""
    wanted: dict[str, frozenset[str]] = {}
    for condition in alternative:
        values = wanted_by(condition, user)
        wanted[condition.field] = wanted[condition.field] & values if condition.field in wanted else values
    return wanted


def _anchor(alternative: Alternative, wanted: Mapping[str, frozenset[str]]) -> str:
    """The field by which the records are found: what differs by user tells most apart."""
    personal = {condition.field for condition in alternative if condition.attribute}
    return min(wanted, key=lambda field: (field not in personal, len(wanted[field]), field), default=EVERY)
