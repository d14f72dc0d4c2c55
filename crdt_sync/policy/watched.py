"""The sections of which a policy asks that the audit log tells who was given them."""

from collections.abc import Mapping
from typing import Any

from crdt_sync import ids
from crdt_sync.limits import WATCHED_SECTIONS_MAX
from crdt_sync.policy.problems import Problems
from crdt_sync.policy.settings import Path, check_settings, table, texts

_READS = "reads"


def read_watched(problems: Problems, path: Path, value: object) -> frozenset[str]:
    """What `[audit]` names, as collections of companions: "customers.finance" is `customers__finance`."""
    given: Mapping[str, Any] = table(problems, path, value)
    check_settings(problems, path, given, (_READS,), "audit")
    found = []
    for name in texts(problems, (*path, _READS), given.get(_READS, []), WATCHED_SECTIONS_MAX):
        collection, dot, section = name.partition(".")
        if dot and ids.is_collection(collection) and ids.is_collection(section):
            found.append(f"{collection}{ids.SECTION_MARK}{section}")
        else:
            hint = 'Name a section as in: reads = ["customers.finance"].'
            problems.add((*path, _READS), f"{name[:100]!r} is no section of a collection", hint)
    return frozenset(found)


def told(companions: str) -> str:
    """The same as a policy names it."""
    return companions.replace(ids.SECTION_MARK, ".", 1)
