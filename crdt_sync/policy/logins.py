"""Users whom a policy does not name: what it gives to whoever a login system vouches for.

Rules:

1. The operator says which claim of an id token counts, and what each of its values gives: a role, and attributes.
   What is not mapped gives nothing.
2. Of each user who has logged in the relay says when, and by which of these values, and nothing else: what that gives
   follows from the policy in force. So a newer policy holds for who has logged in before.
3. Of several values the first one in the text decides the role; attributes of all that give that role unite.
4. Who is named as a user is that user, whatever a login says.
5. Where the policy says after how many days somebody has to log in again, whoever has not is out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from crdt_sync.limits import ATTRIBUTE_VALUES_MAX, LOGIN_VALUES_MAX, POLICY_USERS_MAX
from crdt_sync.policy.values import told

DAY_US = 24 * 3600 * 1_000_000

Attributes = Mapping[str, tuple[str, ...]]
"""Forms of values, by attribute."""


class Given(NamedTuple):
    """What a value of the claim gives. `line` is where that stands."""

    role: str
    attributes: Attributes
    line: int = 0

    @property
    def told(self) -> str:
        """In words."""
        parts = [f"{name} {', '.join(map(told, values))}" for name, values in sorted(self.attributes.items())]
        return "; ".join([f"role {self.role}", *parts])


class LoggedIn(NamedTuple):
    """When a user has logged in, in microseconds since 1970 and whole seconds, and by which values of the claim."""

    at: int
    by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Logins:
    """`claim` may be a path with dots; `days` are those after which a login is over, 0: never."""

    claim: str
    map: Mapping[str, Given]
    days: int = 0
    users: Mapping[str, LoggedIn] = field(default_factory=dict)

    @property
    def told(self) -> list[str]:
        """What is given, in words."""
        lines = [f"{self.claim} = {told(value)}: {given.told}" for value, given in self.map.items()]
        return [*lines, f"a login holds for {self.days} days"] if self.days else lines

    def matched(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        """Which values of the map an id token has, in the order of the text."""
        value = _at(claims, self.claim)
        has = {each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)}
        return tuple(each for each in self.map if each in has)[:LOGIN_VALUES_MAX]

    def given(self, by: Iterable[str]) -> Given | None:
        """What some values give together; None where that is nothing."""
        has = set(by)
        found = [given for value, given in self.map.items() if value in has]
        if not found:
            return None
        united: dict[str, tuple[str, ...]] = {}
        for given in found:
            for name, values in given.attributes.items() if given.role == found[0].role else ():
                united[name] = tuple(dict.fromkeys((*united.get(name, ()), *values)))[:ATTRIBUTE_VALUES_MAX]
        return found[0]._replace(attributes=united)

    def days_over(self, user: str, now: int) -> int | None:
        """For how many days the login of a user is over; None where it is not, or there was none."""
        known = self.users.get(user)
        if known is None or not self.days or now < known.at + self.days * DAY_US:
            return None
        return (now - known.at) // DAY_US - self.days

    def kept(self, now: int, room: int = POLICY_USERS_MAX) -> dict[str, LoggedIn]:
        """Those of the users that are still to be said: whose login is over is told so for as long again, or until
        there is no `room` for so many.
        """
        over = {user: self.days_over(user, now) for user in self.users}
        kept = {user: login for user, login in self.users.items() if (over[user] or 0) < max(1, self.days)}
        if len(kept) > room:
            kept = {user: login for user, login in kept.items() if over[user] is None}
        return kept


def _at(claims: Mapping[str, Any], path: str) -> object:
    """The claim of that name, or what stands at the path."""
    if path in claims:
        return claims[path]
    value: object = claims
    for name in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value
