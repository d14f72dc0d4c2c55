"""Review: as a value, and the conflict is open until somebody decides."""

from typing import TYPE_CHECKING

from crdt_sync.records.kind import FieldKind
from crdt_sync.records.kinds.value import Value

if TYPE_CHECKING:
    from crdt_sync.records.field_settings import FieldSettings


class Review(Value):
    """A value about which people are asked."""

    name = "review"
    merging = "the latest is shown, and the conflict is open until somebody decides"
    plain = False
    successors = frozenset({"value"})
    filters = False
    asks = True

    def merges_by(self, spec: "FieldSettings") -> object:
        """Conflicts of it are open."""
        return FieldKind.merges_by(self, spec)


KIND = Review()
