"""What is known of what one record shows: how that changes, the same for every store.

Of each different thing that it has shown and shows no more the last moment is kept at which it did. So the room is
bounded by `MOVES_KEPT_MAX`, and a record that goes to and fro takes no more than one that went once.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from crdt_sync.limits import MOVES_KEPT_MAX
from crdt_sync.policy.values import EVERY, Forms, Whereabouts

Known = Mapping[str, str]
"""Forms, without what equals nothing and what every record shows."""


@dataclass(frozen=True, slots=True)
class Row:
    """What a record shows, since when it is here (0: not known), and what it left with which update, oldest first."""

    forms: Known
    since: int
    left: tuple[tuple[int, Known], ...] = ()

    def moved(self, seq: int, forms: Known) -> tuple["Row", int]:
        """The row once the update `seq` was stored, and the seq of a move that is forgotten for it, 0 for none."""
        left = [move for move in self.left if move[1] not in (self.forms, forms)]
        left.append((seq, self.forms))
        forgotten = left.pop(0)[0] if len(left) > MOVES_KEPT_MAX else 0
        return Row(forms, self.since, tuple(left)), forgotten

    @property
    def places(self) -> frozenset[tuple[str, str]]:
        """The places that it is at."""
        return frozenset(self.forms.items())

    def whereabouts(self, after: int) -> Whereabouts:
        """What the port tells of it."""
        left = tuple([forms for seq, forms in self.left if seq > after]) if self.left else ()
        return Whereabouts(self.forms, left, self.since > after)


def known(forms: Forms) -> Known:
    """What is kept of forms."""
    return {field: form for field, form in sorted(forms.items()) if form is not None and field != EVERY}
