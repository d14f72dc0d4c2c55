"""What the parts of a policy have in common: tables, names, lists of texts."""

from collections.abc import Mapping, Sequence
from typing import Any

from crdt_sync.limits import POLICY_NAME_LENGTH_MAX
from crdt_sync.nearest import suggestion
from crdt_sync.policy.places import Step
from crdt_sync.policy.problems import Problems
from crdt_sync.spelling import one_spelling

Path = tuple[Step, ...]


def check_settings(problems: Problems, path: Path, given: Mapping[str, Any], known: Sequence[str], what: str) -> None:
    """Tell of settings that there are none of, and which may be meant."""
    for name in given:
        if name not in known:
            hint = suggestion(name, known, f"settings of {what}")
            problems.add((*path, name), f"{what} has no setting {name[:60]!r}", hint)


def table(problems: Problems, path: Path, value: object) -> Mapping[str, Any]:
    """A table; an empty one, and a problem, where it is none."""
    if isinstance(value, dict):
        return value
    problems.add(path, f"{_dotted(path)} must be a table", f"Write it as [{_dotted(path)}].")
    return {}


def is_name(name: str) -> bool:
    """Whether something can have this name, as it is written."""
    return _is_visible(name) and one_spelling(name) == name


def named(problems: Problems, path: Path, name: str, what: str) -> bool:
    """Whether something can have this name: no two equal each other where a field is compared with the user."""
    if _is_visible(name):
        usual = one_spelling(name)
        if usual == name:
            return True
        hint = f"Write it as {usual!r}: for whoever compares a field with it the two are the same."
        problems.add(path, f"{name!r} is another spelling of {usual!r}", hint)
        return False
    hint = f"A name has 1 to {POLICY_NAME_LENGTH_MAX} visible characters, and no blanks around it."
    problems.add(path, f"{name[:POLICY_NAME_LENGTH_MAX]!r} is no name of {what}", hint)
    return False


def _is_visible(name: str) -> bool:
    return 0 < len(name) <= POLICY_NAME_LENGTH_MAX and name.isprintable() and name == name.strip()


def text(problems: Problems, path: Path, value: object) -> str | None:
    """A text; None, and a problem, where it is none."""
    if isinstance(value, str):
        return value
    problems.add(path, f"{path[-1]!r} must be a text", f'Write it in quotes: {path[-1]} = "...".')
    return None


def texts(problems: Problems, path: Path, value: object, most: int) -> tuple[str, ...]:
    """A list of texts, each once."""
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        problems.add(path, f"{path[-1]!r} must be a list of texts", f'As in: {path[-1]} = ["...", "..."].')
        return ()
    if len(value) > most:
        problems.add(path, f"{path[-1]!r} has {len(value)} entries, and may have {most}", "Leave some out.")
        return ()
    return tuple(dict.fromkeys(value))


def _dotted(path: Path) -> str:
    return ".".join(str(each)[:60] for each in path)
