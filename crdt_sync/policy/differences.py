"""What would change for whom if one policy took the place of another."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from crdt_sync.policy.cells import cells_of
from crdt_sync.policy.holdings import Holdings
from crdt_sync.policy.model import Alternative, Policy
from crdt_sync.policy.rights import BoundGrant, Rights, Wanted, rights_of
from crdt_sync.policy.silence import Silence
from crdt_sync.policy.values import told


class Changed(NamedTuple):
    """Names that are there now, and that are there no more."""

    gained: tuple[str, ...]
    lost: tuple[str, ...]


class Effect(NamedTuple):
    """What changes in a collection for a user: over all grants that can hold for a record.

    `records` are the conditions by which records are given, as they are written. Where only attributes of the user
    changed, `attributes` are, by name and value. Where nothing of it changed, what is given goes by other conditions:
    `rearranged`.
    """

    collection: str
    operations: Changed
    read: Changed
    write: Changed
    masked: Changed
    records: Changed
    attributes: Changed
    rearranged: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """All that changes. `effects` are joined for users for whom they are the same."""

    roles: Changed
    users: Changed
    disabled: Changed
    moved: tuple[tuple[str, str, str], ...]
    """Users with the role before and after."""
    silence: tuple[tuple[tuple[str, ...], Silence, Silence], ...]
    """Users whose devices may be without contact for longer or shorter, with what held before and holds after."""
    watched: Changed
    """Collections of companions of which the audit log tells who was given them."""
    effects: tuple[tuple[tuple[str, ...], tuple[Effect, ...]], ...]
    logins: Changed
    """What is given to who logs in, in words."""

    @property
    def empty(self) -> bool:
        """Whether nothing changes."""
        names = (self.roles, self.users, self.disabled, self.watched, self.logins)
        return not (self.moved or self.silence or self.effects or any(map(any, names)))


class Counts(NamedTuple):
    """Of records: how many a user holds before and after, gains, loses, and sees otherwise than before."""

    before: int
    after: int
    gained: int
    lost: int
    altered: int


def difference(old: Policy, new: Policy) -> Difference:
    """Compare two policies, whatever records there are."""
    effects: dict[tuple[Effect, ...], list[str]] = {}
    for user in sorted(old.users.keys() | new.users.keys()):
        if found := _effects(rights_of(old, user), rights_of(new, user)):
            effects.setdefault(found, []).append(user)
    both = sorted(old.users.keys() & new.users.keys())
    roles = ((user, old.users[user].role, new.users[user].role) for user in both)
    return Difference(
        roles=_changed(old.roles, new.roles),
        users=_changed(old.users, new.users),
        disabled=_changed(_disabled(old), _disabled(new)),
        moved=tuple(each for each in roles if each[1] != each[2]),
        silence=_silence(old, new, both),
        watched=_changed(old.watched, new.watched),
        effects=tuple((tuple(users), found) for found, users in effects.items()),
        logins=_changed(_logins(old), _logins(new)),
    )


def _silence(old: Policy, new: Policy, users: Iterable[str]) -> tuple[tuple[tuple[str, ...], Silence, Silence], ...]:
    found: dict[tuple[Silence, Silence], list[str]] = {}
    for user in users:
        before, after = old.silence_of(user), new.silence_of(user)
        if before != after:
            found.setdefault((before, after), []).append(user)
    return tuple((tuple(users), *both) for both, users in found.items())


def counts(old: Policy, new: Policy, holdings: Iterable[Holdings]) -> dict[str, Counts]:
    """What changes in records, for each user of either policy for whom something does."""
    found = {}
    every = tuple(holdings)
    for user in sorted(old.users.keys() | new.users.keys()):
        before, after = cells_of(rights_of(old, user)), cells_of(rights_of(new, user))
        moved = [each.moved(before, after) for each in every]
        lost, gained, altered = (sum(len(each[place]) for each in moved) for place in range(3))
        if gained or lost or altered:
            held = sum(len(each.held(before)) for each in every)
            found[user] = Counts(held, held + gained - lost, gained, lost, altered)
    return found


class _Share(NamedTuple):
    """What a grant gives of the records that one of its alternatives chooses."""

    wanted: Wanted
    operations: frozenset[str]
    read: frozenset[str]
    write: frozenset[str]
    masks: frozenset[tuple[str, str]]


def _effects(old: Rights, new: Rights) -> tuple[Effect, ...]:
    attributes = _changed(_attributes(old), _attributes(new))
    collections = sorted(old.grants.keys() | new.grants.keys())
    found = (_effect(each, old.grants.get(each, ()), new.grants.get(each, ()), attributes) for each in collections)
    return tuple(effect for effect in found if effect is not None)


def _effect(
    collection: str, old: tuple[BoundGrant, ...], new: tuple[BoundGrant, ...], attributes: Changed
) -> Effect | None:
    before, after = _shares(old), _shares(new)
    if before == after:
        return None
    operations, read, write = (
        _changed(_united(before, name), _united(after, name)) for name in ("operations", "read", "write")
    )
    masked = _changed(_masked(before), _masked(after))
    records = _changed(_written(old), _written(new))
    changed = any(map(any, (operations, read, write, masked, records, attributes)))
    return Effect(collection, operations, read, write, masked, records, attributes, rearranged=not changed)


def _shares(bound: tuple[BoundGrant, ...]) -> frozenset[_Share]:
    return frozenset(
        _Share(wanted, grant.operations, grant.read, grant.write, frozenset(grant.masks.items()))
        for each in bound
        for grant in (each.grant,)
        for wanted in each.alternatives
    )


def _united(shares: Iterable[_Share], name: str) -> frozenset[str]:
    return frozenset().union(*(getattr(share, name) for share in shares))


def _masked(shares: Iterable[_Share]) -> list[str]:
    return [f"{field} ({mask})" for share in shares for field, mask in share.masks]


def _written(bound: tuple[BoundGrant, ...]) -> list[str]:
    return [_as_written(alternative) for each in bound if each.alternatives for alternative in each.grant.where]


def _as_written(alternative: Alternative) -> str:
    return " and ".join(condition.told for condition in alternative) or "all records"


def _attributes(rights: Rights) -> list[str]:
    return [f"{name}: {told(value)}" for name, values in rights.user.attributes.items() for value in values]


def _logins(policy: Policy) -> list[str]:
    return [] if policy.logins is None else policy.logins.told


def _disabled(policy: Policy) -> Mapping[str, object]:
    return {name: user for name, user in policy.users.items() if user.disabled}


def _changed(old: Iterable[str], new: Iterable[str]) -> Changed:
    before, after = set(old), set(new)
    return Changed(tuple(sorted(after - before)), tuple(sorted(before - after)))
