"""Users out of a policy's text."""

from collections.abc import Mapping
from typing import Any

from crdt_sync.limits import ATTRIBUTE_VALUES_MAX, ATTRIBUTES_MAX
from crdt_sync.policy.model import ID, User
from crdt_sync.policy.problems import Problems
from crdt_sync.policy.settings import Path, check_settings, named, table, text
from crdt_sync.policy.values import EMPTY, form

_SETTINGS = ("role", "attributes", "disabled")


def read_user(problems: Problems, name: str, given: Mapping[str, Any]) -> User:
    """A user; what is wrong with it goes to `problems`."""
    path: Path = ("user", name)
    check_settings(problems, path, given, _SETTINGS, f"user {name!r}")
    role = text(problems, (*path, "role"), given.get("role", ""))
    disabled = given.get("disabled", False)
    if not isinstance(disabled, bool):
        problems.add((*path, "disabled"), f"user {name!r}: 'disabled' must be true or false", "disabled = true")
    read = read_attributes(problems, path, f"user {name!r}", given.get("attributes", {}))
    return User(id=name, line=problems.line(*path), role=role or "", attributes=read, disabled=disabled is not False)


def read_attributes(problems: Problems, path: Path, what: str, value: object) -> dict[str, tuple[str, ...]]:
    """The attributes of `what`, which stands at `path`; what is wrong with them goes to `problems`."""
    attributes = table(problems, (*path, "attributes"), value)
    if len(attributes) > ATTRIBUTES_MAX:
        message = f"{what} has {len(attributes)} attributes, and may have {ATTRIBUTES_MAX}"
        problems.add((*path, "attributes"), message, "Leave out those that no 'where' names.")
        return {}
    return {
        name: _attribute(problems, (*path, "attributes", name), what, name, each) for name, each in attributes.items()
    }


def _attribute(problems: Problems, path: Path, what: str, name: str, value: object) -> tuple[str, ...]:
    """The forms of one value or of several."""
    if not named(problems, path, name, "an attribute"):
        return ()
    if name == ID:
        problems.add(path, f"{what}: 'id' is the name of the user", "Give the attribute another name.")
        return ()
    given = value if isinstance(value, list) else [value]
    if len(given) > ATTRIBUTE_VALUES_MAX:
        message = f"{what}: {name!r} has {len(given)} values, and may have {ATTRIBUTE_VALUES_MAX}"
        problems.add(path, message, "Give the user a role that sees more, or fewer values.")
        return ()
    found = []
    for each in given:
        formed = None if isinstance(each, float) else form(each)
        if formed is None:
            hint = "A value is a text of at most 200 characters, a whole number, true or false, or a list of these."
            problems.add(path, f"{what}: {name!r} has a value that no field can show", hint)
        elif formed == EMPTY:
            hint = "Leave it out: an attribute that is not there equals nothing."
            problems.add(path, f"{what}: {name!r} is empty, and would equal every empty field", hint)
        else:
            found.append(formed)
    return tuple(dict.fromkeys(found))
