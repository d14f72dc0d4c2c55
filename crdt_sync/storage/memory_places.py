"""What records show, in memory: the plainest statement of what a store keeps of it."""

from bisect import bisect_right, insort
from dataclasses import dataclass, field

from crdt_sync import ids
from crdt_sync.policy.values import Forms, Whereabouts
from crdt_sync.storage import places
from crdt_sync.storage.places import Row
from crdt_sync.storage.values import Change, Placement

Place = tuple[str, str, str]


@dataclass(slots=True)
class MemoryPlaces:
    """See the module. Nothing is kept without a placement."""

    placement: Placement | None = None
    moves_from: int = 0
    rows: dict[str, Row] = field(default_factory=dict)
    records: dict[Place, list[str]] = field(default_factory=dict)  # sorted

    def clone(self) -> "MemoryPlaces":
        """A copy that shares only what never changes."""
        records = {place: list(found) for place, found in self.records.items()}
        return MemoryPlaces(self.placement, self.moves_from, dict(self.rows), records)

    def begin(self, placement: Placement, seq: int) -> None:
        """Keep this from now on, and nothing of what was, where it begins anew."""
        if placement.through == "" or self.placement is None:
            self.rows.clear()
            self.records.clear()
            self.moves_from = seq + 1
        self.placement = placement

    def changed(self, change: Change, first: int, last: int, *, new: bool) -> None:
        """Updates of a record were stored, and it shows what the change says."""
        if self.placement is None:
            return
        if change.forms is None or change.fields != self.placement.fields:
            self.placement = Placement(self.placement.fields, "")
            return
        record = change.record
        found, known = self.rows.get(record), places.known(change.forms)
        if found is None:
            self._put(record, Row(known, first if new else 0))
        elif found.forms != known:
            row, forgotten = found.moved(last, known)
            self._put(record, row)
            self.moves_from = max(self.moves_from, forgotten)

    def read_anew(self, record: str, forms: Forms, seq: int) -> None:
        """A record was read, and shows this since nobody knows when."""
        if self.placement is None:
            return
        found, known = self.rows.get(record), places.known(forms)
        if found is None or found.forms != known:
            self._put(record, Row(known, 0))
            self.moves_from = seq + 1

    def drop(self, record: str) -> None:
        """A record is here no more."""
        found = self.rows.pop(record, None)
        for each in () if found is None else found.places:
            place = (ids.collection_of(record), *each)
            self.records[place].remove(record)
            if not self.records[place]:
                del self.records[place]

    def forget(self, record: str, seq: int) -> None:
        """A record is taken out: what it left is not known."""
        if record in self.rows:
            self.drop(record)
            self.moves_from = seq + 1

    def drop_all(self) -> None:
        """Keep nothing."""
        self.placement, self.moves_from = None, 0
        self.rows.clear()
        self.records.clear()

    def whereabouts(self, record: str, after: int) -> Whereabouts | None:
        """See the port."""
        found = self.rows.get(record)
        return None if found is None else found.whereabouts(after)

    def at(self, place: Place, after: str, limit: int) -> list[str]:
        """See the port."""
        found = self.records.get(place, [])
        start = bisect_right(found, after)
        return found[start : start + max(limit, 0)]

    def _put(self, record: str, row: Row) -> None:
        self.drop(record)
        self.rows[record] = row
        for each in row.places:
            insort(self.records.setdefault((ids.collection_of(record), *each), []), record)
