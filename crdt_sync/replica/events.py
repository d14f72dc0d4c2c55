"""What the listeners of a replica hear."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a record: `edited` here, `received`, `stored` by a partner, or `dropped`, as it may
    not be held here any more.

    What was edited is owed to all partners. `owed`: what was received is, too, but to whom it came from.
    """

    kind: str
    record: str
    owed: bool = False
