"""What the commands about policies print: for people in sentences, for programs as it is."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from crdt_sync.policy.differences import Changed, Difference, Effect
from crdt_sync.policy.logins import Logins
from crdt_sync.policy.model import OPERATIONS, Grant, Policy
from crdt_sync.policy.watched import told

_NAMED_MAX = 10  # users of one line


def summary(policy: Policy) -> Mapping[str, Any]:
    """Who may do what, by role."""
    return {
        "roles": {
            role.name: {
                "users": sorted(user.id for user in policy.users.values() if user.role == role.name),
                "grants": [_grant(grant) for grant in role.grants],
                "devices": (policy.silence if role.silence is None else role.silence)._asdict(),
            }
            for role in policy.roles.values()
        },
        "reads": sorted(map(told, policy.watched)),
        "users": len(policy.users),
        "disabled": sorted(user.id for user in policy.users.values() if user.disabled),
        "login": None if policy.logins is None else _logins(policy.logins),
    }


def summary_text(policy: Policy) -> str:
    """The same in words."""
    lines = []
    for role in policy.roles.values():
        users = [user.id for user in policy.users.values() if user.role == role.name and not user.disabled]
        lines.append(f"{role.name} ({_people(users) or 'nobody'})")
        silence = policy.silence if role.silence is None else role.silence
        if any(silence):
            lines.append(f"  devices {silence.told} without contact")
        lines += [f"  {line}" for grant in role.grants for line in _grant_lines(grant)]
    disabled = [user.id for user in policy.users.values() if user.disabled]
    if policy.watched:
        lines.append(f"The audit log tells who is given {', '.join(map(told, sorted(policy.watched)))}")
    if disabled:
        lines.append(f"Disabled: {_people(disabled)}")
    if policy.logins is not None:
        lines.append("Whoever logs in and is named nowhere above:")
        lines += [f"  {told}" for told in policy.logins.told]
    return "\n".join([*lines, "The policy is valid."])


def changes(found: Difference) -> Mapping[str, Any]:
    """What differs between two policies."""
    return {
        "equal": found.empty,
        **{name: getattr(found, name)._asdict() for name in ("roles", "users", "disabled", "logins")},
        "moved": [{"user": user, "from": before, "to": after} for user, before, after in found.moved],
        "devices": [
            {"users": users, "from": before._asdict(), "to": after._asdict()} for users, before, after in found.silence
        ],
        "reads": {name: sorted(map(told, each)) for name, each in found.watched._asdict().items()},
        "effects": [
            {"users": users, "changes": [_plain(effect) for effect in effects]} for users, effects in found.effects
        ],
    }


def changes_text(found: Difference) -> str:
    """The same in words, first what is new by name, then what changes for whom."""
    lines = [*_names("role", found.roles), *_names("user", found.users)]
    lines += [f"who logs in now has: {each}" for each in found.logins.gained]
    lines += [f"who logs in no longer has: {each}" for each in found.logins.lost]
    lines += [f"{user} is disabled" for user in found.disabled.gained]
    lines += [f"{user} is enabled again" for user in found.disabled.lost]
    lines += [f"{user}: role {before or 'none'} becomes {after or 'none'}" for user, before, after in found.moved]
    lines += [f"who is given {told(name)} is told in the audit log" for name in found.watched.gained]
    lines += [f"who is given {told(name)} is told no more" for name in found.watched.lost]
    lines += [f"devices of {_people(users)}: {after.told} without contact" for users, _, after in found.silence]
    for users, effects in found.effects:
        lines.append(f"{_people(users)}:")
        lines += [f"  {effect.collection}: {line}" for effect in effects for line in _effect_lines(effect)]
    if found.empty:
        return "Nothing changes for anybody."
    return "\n".join(lines)


def _logins(logins: Logins) -> Mapping[str, Any]:
    return {
        "claim": logins.claim,
        "days": logins.days,
        "map": {
            value: {"role": given.role, "attributes": dict(given.attributes)} for value, given in logins.map.items()
        },
    }


def _grant(grant: Grant) -> Mapping[str, Any]:
    return {
        "line": grant.line,
        "collection": grant.collection,
        "where": _where(grant),
        "read": sorted(grant.read),
        "mask": dict(grant.masks),
        "write": sorted(grant.write),
        "operations": [each for each in OPERATIONS if each in grant.operations],
    }


def _grant_lines(grant: Grant) -> Iterator[str]:
    told = _where(grant)
    yield f"{grant.collection}{f', where {told}' if told else ', all records'} (line {grant.line})"
    yield f"  reads {_listed(sorted(grant.read))}"
    if grant.masks:
        yield f"  in part {_listed(f'{field} ({mask})' for field, mask in sorted(grant.masks.items()))}"
    if grant.write:
        yield f"  writes {_listed(sorted(grant.write))}"
    if grant.operations:
        yield f"  may {_listed(each for each in OPERATIONS if each in grant.operations)}"


def _where(grant: Grant) -> str:
    return " or ".join(" and ".join(each.told for each in alternative) for alternative in grant.where)


def _names(what: str, changed: Changed) -> Iterator[str]:
    yield from (f"{what} {name} is new" for name in changed.gained)
    yield from (f"{what} {name} is gone" for name in changed.lost)


def _effect_lines(effect: Effect) -> Iterator[str]:
    for changed, gained, lost in (
        (effect.operations, "may now", "may no longer"),
        (effect.read, "reads", "no longer reads"),
        (effect.write, "writes", "no longer writes"),
        (effect.masked, "sees in part", "no longer sees in part"),
        (effect.records, "now for", "no longer for"),
        (effect.attributes, "has", "no longer has"),
    ):
        between = " or " if changed is effect.records else ", "
        if changed.gained:
            yield f"{gained} {between.join(changed.gained)}"
        if changed.lost:
            yield f"{lost} {between.join(changed.lost)}"
    if effect.rearranged:
        yield "the same is given, but for other records than before: compare the conditions of its grants"


def _plain(effect: Effect) -> Mapping[str, Any]:
    return {
        name: value._asdict() if isinstance(value, Changed) else value
        for name, value in effect._asdict().items()
        if value != Changed((), ())
    }


def _people(users: Iterable[str]) -> str:
    found = list(users)
    more = f" and {len(found) - _NAMED_MAX} more" if len(found) > _NAMED_MAX else ""
    return ", ".join(found[:_NAMED_MAX]) + more


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)
