"""Policies, users and records drawn at random, and an evaluator that is written in another way: it runs the conditions
as Python has them, record by record, and knows nothing of forms, atoms or alternatives."""

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from crdt_sync.policy.model import OPERATIONS, Policy
from crdt_sync.policy.reading import parse_policy

SECTIONS: dict[str, str | None] = {
    "name": "",
    "phone": "",
    "iban": "finance",
    "limit": "finance",
    "diary": "care",
    "region": "",
    "unheard": None,  # of a newer schema
}
FILTERS: dict[str, tuple[object, ...]] = {
    "region": ("a", "b", " a ", "ａ", "", None, 1),
    "owner": ("u1", "u2", "", None),
    "open": (True, False, None, "true"),
    "size": (0, 1, 1.0, None, "1"),
}
ATTRIBUTES: dict[str, tuple[object, ...]] = {
    "regions": ("a", "b", "c"),
    "size": (0, 1, 2),
    "trusted": (True, False),
    "区": ("a", "u1"),
}
COLLECTIONS = ("people", "shops")
USERS = ("u1", "u2", "u3")
ROLES = ("sales", "boss")
NAMES = ("*", "phone", "iban", "finance", "care", "unheard")
MASKS = ("last4", "phone")

_EACH = ("where", "read", "write", "mask", "operations")

Values = dict[str, object]
Data = dict[str, Any]


@dataclass(frozen=True)
class Drawn:
    """A policy as it is, and what its text said."""

    policy: Policy
    data: Data


_constants = st.sampled_from(["a", "b", "u1", "", "true", "1", 0, 1, True, False])


def _written(value: object) -> str:
    return str(value) if isinstance(value, (bool, int)) else json.dumps(value, ensure_ascii=False)


@st.composite
def conditions(draw: st.DrawFn) -> str:
    """One comparison."""
    field = draw(st.sampled_from(list(FILTERS)))
    match draw(st.integers(0, 3)):
        case 0:
            return f"{field} == {_written(draw(_constants))}"
        case 1:
            listed = draw(st.lists(_constants, min_size=1, max_size=3))
            return f"{field} in [{', '.join(map(_written, listed))}]"
        case 2:
            return f"{field} == user.{draw(st.sampled_from([*ATTRIBUTES, 'id', 'lacking']))}"
        case _:
            return f"{field} in user.{draw(st.sampled_from([*ATTRIBUTES, 'id', 'lacking']))}"


_several = st.lists(st.lists(conditions(), min_size=1, max_size=3).map(" and ".join), min_size=1, max_size=3).map(
    " or ".join
)
wheres = st.one_of(conditions(), _several)
_names = st.lists(st.sampled_from(NAMES), unique=True, max_size=4)


@st.composite
def grants(draw: st.DrawFn) -> Data:
    """The settings of one grant."""
    masks = draw(st.dictionaries(st.sampled_from(["phone", "iban"]), st.sampled_from(MASKS), max_size=2))
    grant: Data = {
        "collection": draw(st.sampled_from((COLLECTIONS[0], *COLLECTIONS))),
        "read": draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1, max_size=4)),
        "write": [name for name in draw(_names) if name not in masks],
        "mask": masks,
        "operations": draw(st.lists(st.sampled_from(OPERATIONS), unique=True, max_size=3)),
    }
    if draw(st.integers(0, 3)):
        grant["where"] = draw(wheres)
    return grant


def _attributes(name: str) -> st.SearchStrategy[object]:
    values = st.sampled_from(ATTRIBUTES[name])
    return st.one_of(values, st.lists(values, max_size=3))


@st.composite
def users(draw: st.DrawFn) -> Data:
    """The settings of one user."""
    names = draw(st.lists(st.sampled_from(list(ATTRIBUTES)), unique=True, max_size=3))
    user: Data = {"attributes": {name: draw(_attributes(name)) for name in names}}
    if draw(st.integers(0, 9)):
        user["role"] = draw(st.sampled_from(ROLES))
    if not draw(st.integers(0, 9)):
        user["disabled"] = True
    return user


@st.composite
def policies(draw: st.DrawFn) -> Drawn:
    """A policy."""
    data: Data = {
        "role": {name: {"grant": draw(st.lists(grants(), min_size=1, max_size=3))} for name in ROLES},
        "user": {name: draw(users()) for name in USERS[:2]},  # the third is nobody
    }
    return Drawn(parse_policy(text_of(data), "drawn"), data)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Drawn, Drawn]:
    """A policy before and after: one that has little to do with it, or one in which a thing changed."""
    before = draw(policies())
    if draw(st.booleans()):
        return before, draw(policies())
    data = deepcopy(before.data)
    given: list[Data] = [grant for role in data["role"].values() for grant in role["grant"]]
    if draw(st.booleans()) and given:
        changed = draw(st.sampled_from(given))
        name, settings = draw(st.sampled_from(_EACH)), draw(grants())
        if name in settings:
            changed[name] = settings[name]
        else:
            changed.pop(name, None)
        changed["write"] = [name for name in changed["write"] if name not in changed["mask"]]
    else:
        data["user"][draw(st.sampled_from(USERS[:2]))] = draw(users())
    return before, Drawn(parse_policy(text_of(data), "drawn"), data)


def text_of(data: Data) -> str:
    """The TOML of it."""
    lines = []
    for name, role in data["role"].items():
        lines.append(f"[role.{name}]")
        for grant in role["grant"]:
            lines.append(f"[[role.{name}.grant]]")
            lines += [f"{key} = {_toml(value)}" for key, value in grant.items()]
    for name, user in data["user"].items():
        lines.append(f"[user.{name}]")
        lines += [f"{key} = {_toml(value)}" for key, value in user.items()]
    return "\n".join(lines)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(f"{json.dumps(key, ensure_ascii=False)} = {_toml(each)}" for key, each in value.items())
            + "}"
        )
    return json.dumps(value, ensure_ascii=False)


@st.composite
def shown(draw: st.DrawFn) -> Values:
    """What a record shows; now and then its collection lacks a field."""
    return {name: draw(st.sampled_from(values)) for name, values in FILTERS.items() if draw(st.integers(0, 9))}


@st.composite
def moves(draw: st.DrawFn) -> tuple[Values | None, Values | None]:
    """What a record showed, and shows: one field of it changed, or all, or it was not there, or is not."""
    old = draw(shown())
    match draw(st.integers(0, 9)):
        case 0:
            return None, old
        case 1:
            return old, None
        case 2:
            return old, draw(shown())
        case _:
            name = draw(st.sampled_from(list(FILTERS)))
            return old, {**old, name: draw(st.sampled_from(FILTERS[name]))}


# --- the naive evaluator ----------------------------------------------------------------------------------------


class _Shown:
    """A field in a condition."""

    def __init__(self, values: Values, name: str) -> None:
        self.known = name in values
        value = values.get(name)
        value = value.strip().replace("ａ", "a") if isinstance(value, str) else value
        self.value = "" if value is None else value

    def __eq__(self, other: object) -> bool:
        if isinstance(other, _Several):
            return any(self == each for each in other.values)
        if not self.known:
            return False
        kinds = {type(self.value), type(other)}
        return self.value == other if len(kinds) == 1 or kinds == {int, float} else False

    __hash__ = None  # type: ignore[assignment]


class _Several:
    """An attribute in a condition."""

    def __init__(self, value: object) -> None:
        self.values = value if isinstance(value, list) else [value]

    def __contains__(self, item: object) -> bool:
        return item == self


class _User:
    def __init__(self, name: str, attributes: Mapping[str, object]) -> None:
        for each in (*ATTRIBUTES, "lacking"):
            setattr(self, each, _Several(attributes.get(each, [])))
        self.id = _Several(name)


def naive_grants(data: Data, user: str, collection: str, values: Values) -> list[Data]:
    """The grants that hold for a record."""
    settings = data["user"].get(user, {})
    if settings.get("disabled") or "role" not in settings:
        return []
    names: dict[str, object] = {name: _Shown(values, name) for name in FILTERS}
    names["user"] = _User(user, settings["attributes"])
    return [
        grant
        for grant in data["role"][settings["role"]]["grant"]
        if grant["collection"] == collection and ("where" not in grant or eval(grant["where"], {}, names))
    ]


def naive_sight(found: list[Data], field: str) -> str | None:
    """How a field is seen."""
    section = SECTIONS[field]
    reading = [grant for grant in found if _read(grant, field, section)]
    if not reading:
        return None
    masks = [grant["mask"].get(field) for grant in reading]
    return "clear" if None in masks else "phone" if "phone" in masks else "last4"


def naive_writes(found: list[Data], field: str) -> bool:
    """Whether it may be written."""
    return naive_sight(found, field) == "clear" and any(_named(each["write"], field, SECTIONS[field]) for each in found)


def _read(grant: Data, field: str, section: str | None) -> bool:
    if section:
        by_name, whole = field in grant["read"], section in grant["read"]
        return by_name if field in grant["mask"] else whole and not grant["mask"]
    return _named(grant["read"], field, section)


def _named(names: list[str], field: str, section: str | None) -> bool:
    if field in names:
        return True
    if section is None:
        return False
    return "*" in names if section == "" else section in names
