"""Why something is allowed or not: the grant that decides, or the one that came nearest and what is missing.

Nothing that a record shows is told, as an explanation travels to whoever asked: it quotes the policy alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from crdt_sync.policy.model import ID, Alternative, Condition, Grant, Operation, User, covers, sees
from crdt_sync.policy.rights import CLEAR, Access, Rights, wanted_by
from crdt_sync.policy.values import Forms, Values, forms_of


class Asked(NamedTuple):
    """What is asked: an operation, or to read or write a field, whose `section` is as in `model.covers`."""

    act: Literal["read", "write"] | Operation
    field: str = ""
    section: str | None = None

    def given_by(self, grant: Grant) -> bool:
        """Whether a grant gives it, for the records of which it holds."""
        match self.act:
            case "read":
                return sees(grant, self.field, self.section)
            case "write":
                return covers(grant.write, self.field, self.section)
            case operation:
                return operation in grant.operations

    @property
    def told(self) -> str:
        """In words."""
        return f"{self.act} {self.field!r}" if self.field else self.act


@dataclass(frozen=True, slots=True)
class Explanation:
    """The decision, and the grant it rests on: that which allows it, or came nearest. `missing` are its conditions that
    are not met, as they are written."""

    allowed: bool
    text: str
    grant: Grant | None = None
    missing: tuple[str, ...] = ()

    @property
    def line(self) -> int:
        """Where the grant stands in the policy; 0 where there is none."""
        return self.grant.line if self.grant else 0


def explain(rights: Rights, collection: str, values: Values, asked: Asked) -> Explanation:
    """Why a user may do something with a record, or may not."""
    who = f"user {rights.user.id!r}"
    if rights.barred:
        return Explanation(False, f"{who} may do nothing: {rights.barred}")
    role = f"role {rights.user.role!r}"
    bound = rights.grants.get(collection, ())
    if not bound:
        return Explanation(False, f"{role} has no grant for {collection!r}")
    access = rights.on(collection, values)
    giving = [grant for grant in access.grants if asked.given_by(grant)]
    if giving:
        return _given(role, access, giving, asked)
    possible = [each.grant for each in bound if asked.given_by(each.grant)]
    if not possible:
        nearest = access.grants[0] if access.grants else bound[0].grant
        return Explanation(False, f"no grant of {role} for {collection!r} gives {asked.told}", nearest)
    missing, nearest = _nearest(possible, forms_of(values), rights.user)
    unmet = " and ".join(condition.told + _why(condition, rights.user) for condition in missing)
    return Explanation(
        False,
        f"{role} may {asked.told} by the grant at line {nearest.line}, but it lacks: {unmet}",
        nearest,
        tuple(condition.told for condition in missing),
    )


def _given(role: str, access: Access, giving: Sequence[Grant], asked: Asked) -> Explanation:
    allowed = f"{role} may {asked.told} by the grant at line {giving[0].line}"
    if asked.act not in ("read", "write"):
        return Explanation(True, allowed, giving[0])
    sight = access.sight(asked.field, asked.section)
    if asked.act == "read":
        clear = next((grant for grant in giving if asked.field not in grant.masks), None)
        if clear is not None:
            return Explanation(True, f"{role} may {asked.told} by the grant at line {clear.line}", clear)
        deciding = next(grant for grant in giving if grant.masks[asked.field] == sight)
        return Explanation(
            True,
            f"{role} may {asked.told} in part, by the mask {sight!r} of the grant at line {deciding.line}",
            deciding,
        )
    if sight == CLEAR:
        return Explanation(True, allowed, giving[0])
    seen = "not read" if sight is None else f"masked by {sight!r}"
    return Explanation(False, f"{allowed}, but what is {seen} cannot be written", giving[0])


def _nearest(grants: Sequence[Grant], forms: Forms, user: User) -> tuple[Alternative, Grant]:
    """The fewest conditions that are not met, and whose they are; of equals the first in the text."""
    unmet = (
        (tuple(each for each in alternative if forms.get(each.field) not in wanted_by(each, user)), grant)
        for grant in grants
        for alternative in grant.where
    )
    return min(unmet, key=lambda found: len(found[0]))


def _why(condition: Condition, user: User) -> str:
    lacks = condition.attribute and condition.attribute != ID and not user.attributes.get(condition.attribute)
    return f" (the user has no attribute {condition.attribute!r})" if lacks else ""
