"""Roles and their grants out of a policy's text."""

from collections.abc import Mapping
from typing import Any

from crdt_sync.ids import is_collection
from crdt_sync.limits import GRANT_NAMES_MAX, ROLE_GRANTS_MAX
from crdt_sync.nearest import suggestion
from crdt_sync.policy.masks import MASKS
from crdt_sync.policy.model import ALL, EVERYWHERE, OPERATIONS, Grant, Operation, Role, Where
from crdt_sync.policy.problems import Problems
from crdt_sync.policy.settings import Path, check_settings, table, text, texts
from crdt_sync.policy.silence import Silence, read_silence
from crdt_sync.policy.where import WrongWhere, parse_where

_SETTINGS = ("collection", "where", "read", "write", "mask", "operations")
_BY_NAME: Mapping[str, Operation] = {each: each for each in OPERATIONS}


def read_role(problems: Problems, name: str, given: Mapping[str, Any], otherwise: Silence) -> Role:
    """A role; what is wrong with it goes to `problems`. `otherwise` is what holds for devices of all roles."""
    path: Path = ("role", name)
    check_settings(problems, path, given, ("grant", "devices"), f"role {name!r}")
    own = read_silence(problems, (*path, "devices"), given["devices"], otherwise) if "devices" in given else None
    grants = given.get("grant", [])
    if not isinstance(grants, list) or not all(isinstance(each, dict) for each in grants):
        problems.add(
            (*path, "grant"), f"the grants of role {name!r} must be tables", f"Begin each [[role.{name}.grant]]."
        )
        grants = []
    if len(grants) > ROLE_GRANTS_MAX:
        problems.add(path, f"role {name!r} has {len(grants)} grants, and may have {ROLE_GRANTS_MAX}", "Join some.")
        grants = []
    read = (_grant(problems, name, (*path, "grant", number), each) for number, each in enumerate(grants))
    return Role(name, problems.line(*path), tuple(grant for grant in read if grant is not None), own)


def _grant(problems: Problems, role: str, path: Path, given: Mapping[str, Any]) -> Grant | None:
    check_settings(problems, path, given, _SETTINGS, "a grant")
    collection = _collection(problems, path, given)
    read = _names(problems, (*path, "read"), given.get("read", []))
    if not read and ("read" not in given or given["read"] == []):
        hint = 'Say which fields: read = ["*"], or their names; nobody has a record without seeing some of it.'
        problems.add((*path, "read"), "the grant reads nothing", hint)
    write = _names(problems, (*path, "write"), given.get("write", []))
    masks = _masks(problems, (*path, "mask"), given.get("mask", {}), read)
    for name in sorted(write & masks.keys()):
        problems.add(
            (*path, "write"), f"{name!r} is masked, so it cannot be written", "Take it out of mask, or of write."
        )
    where = _where(problems, (*path, "where"), given["where"]) if "where" in given else EVERYWHERE
    operations = _operations(problems, (*path, "operations"), given.get("operations", []))
    if collection is None or where is None:
        return None
    return Grant(role, problems.line(*path), collection, read, where, write, masks, operations)


def _collection(problems: Problems, path: Path, given: Mapping[str, Any]) -> str | None:
    if "collection" not in given:
        problems.add(path, "the grant names no collection", 'Say of which records: collection = "customers".')
        return None
    name = text(problems, (*path, "collection"), given["collection"])
    if name is not None and not is_collection(name):
        hint = "It is lower case, begins with a letter, and has at most 48 characters."
        problems.add((*path, "collection"), f"{name[:60]!r} is no name of a collection", hint)
        return None
    return name


def _names(problems: Problems, path: Path, value: object) -> frozenset[str]:
    """Fields and sections, and `*`."""
    found = texts(problems, path, value, GRANT_NAMES_MAX)
    for name in found:
        if name != ALL and not is_collection(name):
            hint = 'Give the names of the schema, not labels; "*" for all fields that are in no section.'
            problems.add(path, f"{path[-1]!r}: {name[:60]!r} is no name of a field or section", hint)
    return frozenset(found)


def _masks(problems: Problems, path: Path, value: object, read: frozenset[str]) -> dict[str, str]:
    found = {}
    for name, mask in table(problems, path, value).items():
        if not isinstance(mask, str) or mask not in MASKS:
            hint = suggestion(str(mask), MASKS, "masks")
            problems.add((*path, name), f"field {name[:60]!r}: there is no mask {str(mask)[:60]!r}", hint)
        elif not is_collection(name):
            problems.add((*path, name), f"'mask': {name[:60]!r} is no name of a field", "Give the name of the schema.")
        else:
            found[name] = mask
    if found and not read:
        problems.add(path, "fields are masked, and none is read", "Name them in 'read' as well.")
    return found


def _where(problems: Problems, path: Path, value: object) -> Where | None:
    given = text(problems, path, value)
    if given is None:
        return None
    try:
        return parse_where(given)
    except WrongWhere as wrong:
        problems.add(path, wrong.message, wrong.hint)
        return None


def _operations(problems: Problems, path: Path, value: object) -> frozenset[Operation]:
    found: set[Operation] = set()
    for name in texts(problems, path, value, len(OPERATIONS)):
        if name in _BY_NAME:
            found.add(_BY_NAME[name])
        else:
            problems.add(path, f"there is no operation {name[:60]!r}", suggestion(name, OPERATIONS, "operations"))
    return frozenset(found)
