"""What is wrong with a policy: all at once, each with its line and what to do about it."""

from typing import NamedTuple

from crdt_sync.errors import InvalidPolicy
from crdt_sync.limits import POLICY_PROBLEMS_MAX
from crdt_sync.policy.places import Places, Step


class Problem(NamedTuple):
    """One. `line` counts from 1; 0 where it is of the whole text."""

    line: int
    message: str
    hint: str

    @property
    def told(self) -> str:
        """In one line."""
        place = f"line {self.line}: " if self.line else ""
        return f"{place}{self.message}. {self.hint}"


class Problems:
    """Gathers them while a text is read."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self.found: list[Problem] = []

    def line(self, *path: Step) -> int:
        """Where a setting stands."""
        return self._places.line(*path)

    def add(self, path: tuple[Step, ...], message: str, hint: str) -> None:
        """Something is wrong with what stands at `path`."""
        self.found.append(Problem(self.line(*path), message, hint))


def refuse(found: list[Problem], source: str) -> None:
    """Raise `InvalidPolicy` where anything was found. The message names the first ones, in order of their lines."""
    if not found:
        return
    ordered = sorted(found, key=lambda problem: problem.line)
    told = [problem.told for problem in ordered[:POLICY_PROBLEMS_MAX]]
    if len(ordered) > POLICY_PROBLEMS_MAX:
        told.append(f"{len(ordered) - POLICY_PROBLEMS_MAX} more")
    count = "1 problem" if len(ordered) == 1 else f"{len(ordered)} problems"
    raise InvalidPolicy(
        "\n".join([f"{source}: {count}", *told]),
        "Nothing was changed. See docs/permissions.md for what a policy may say.",
        [problem._asdict() for problem in ordered[:POLICY_PROBLEMS_MAX]],
    )
