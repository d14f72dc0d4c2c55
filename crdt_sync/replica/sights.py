"""Who may hold what, over a store that keeps what records show: what the hub asks, answered.

What a session's device may hold is named by its epoch, so that it comes back with it: the first half says in which life
of the store the cursor was told, the second under which grants. These are kept with the store, by user, and a user is
believed about its own alone: who claims those of another is compared with like anybody of whom nothing is known.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import Any

import cbor2

from crdt_sync import ids, limits
from crdt_sync.errors import StoreCorrupt, StoreFailed, StoreFull
from crdt_sync.policy.cells import Atom, Cell, Seen
from crdt_sync.policy.in_force import InForce
from crdt_sync.policy.values import EVERY, Whereabouts
from crdt_sync.principal import Principal
from crdt_sync.protocol.sight import SIGHT_BYTES, Sight, Standing, as_rows, sight_for, sight_of
from crdt_sync.protocol.source import Change
from crdt_sync.replica.marks import SECRET_BYTES, StoreMarks
from crdt_sync.replica.whereabouts import companions_of, sections_of, whereabouts, whereabouts_of
from crdt_sync.storage.port import Store
from crdt_sync.storage.values import Batch

_KEPT = "sight/"
_MARKS = "marks"  # meta: the key of all marks
_PAGE = 512
_AGAIN_US_MIN, _AGAIN_US_MAX = 200_000, 5_000_000
_READ_US = 100  # about what reading one record takes: so that a thousand devices do not ask again all the time
_LIFE_BYTES = ids.EPOCH_BYTES - SIGHT_BYTES


class StoreSights:
    """See the module. `in_force` gives the policy, `fields` a name for the filter fields that count, see `Placement`,
    None where that is not known yet.

    `keep` stores a value with its key, as soon as may be; where it is lost, its device is compared with. `wanted` is
    called where somebody is to be served and what records show is not known. A relay gives what `masks` show. `draw`
    gives so many bytes that nobody can guess.
    """

    def __init__(
        self,
        store: Store,
        in_force: Callable[[], InForce | None],
        fields: Callable[[], bytes | None],
        keep: Callable[[str, bytes], None] | None = None,
        wanted: Callable[[], None] = lambda: None,
        *,
        masks: bool = False,
        draw: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._masks = masks
        self._store = store
        self._in_force = in_force
        self._fields = fields
        self._wanted = wanted
        self._keep = keep or self._keep_at_once
        self._held: InForce | None = None
        self._of: dict[str, Sight] = {}  # by user, under that policy
        self._kept: dict[str, tuple[str, tuple[Sight, ...]]] = {}  # by key, the user and what it may have held
        self._count: int | None = None
        self._draw = draw
        self._secret = b""
        self._sessions = 0

    # --- the policy ------------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """See `Sights.ready`."""
        found = self._store.placement()
        is_ready = found is not None and found.through is None and found.fields == self._fields()
        if not is_ready:
            self._wanted()
        return is_ready

    @property
    def again_us(self) -> int:
        """See `Sights.again_us`."""
        return min(_AGAIN_US_MAX, _AGAIN_US_MIN + _READ_US * self._store.count())

    @property
    def watched(self) -> frozenset[str]:
        """See `Sights.watched`."""
        in_force = self._in_force()
        return frozenset() if in_force is None else in_force.policy.watched

    def of(self, principal: Principal) -> Sight | None:
        """See `Sights.of`."""
        in_force = self._in_force()
        if in_force is None:
            return None
        if in_force is not self._held:
            self._held = in_force
            self._of.clear()
        sight = self._of.get(principal.user)
        if sight is None:
            sight = sight_for(in_force.rights(principal.user), masks=self._masks)
            if principal.user in in_force.policy.users:
                self._of[principal.user] = sight
        return sight

    # --- what devices may hold since their cursors -----------------------------------------------------------

    def epoch(self, principal: Principal, sights: tuple[Sight, ...]) -> bytes:
        """See `Sights.epoch`."""
        sights = tuple(sorted(sights, key=lambda sight: sight.id))
        named = blake2b(digest_size=SIGHT_BYTES, person=b"standing")
        named.update(principal.user.encode() + b"\0" + b"".join(sight.id for sight in sights))
        key = _KEPT + named.hexdigest()
        if self._read(key) is None:
            self._make_room()
            self._kept[key] = principal.user, sights
            rows = [[_as_row(cell) for cell in sorted(sight.cells, key=as_rows)] for sight in sights]
            self._keep(key, cbor2.dumps([principal.user, rows]))
        return self._store.epoch[:_LIFE_BYTES] + named.digest()

    def standing(self, principal: Principal, epoch: bytes) -> Standing | None:
        """See `Sights.standing`."""
        life = next((life.id for life in self._store.known_lives if life.id.startswith(epoch[:_LIFE_BYTES])), None)
        key = _KEPT + epoch[_LIFE_BYTES:].hex()
        found = self._read(key)
        if life is None or found is None or found[0] != principal.user:
            return None
        return Standing(life, found[1])

    def marks(self, principal: Principal) -> StoreMarks:
        """See `Sights.marks`. Where their key is lost, devices are compared with."""
        if not self._secret:
            with suppress(StoreCorrupt):
                self._secret = self._store.meta(_MARKS) or b""
        if len(self._secret) != SECRET_BYTES:
            self._secret = self._draw(SECRET_BYTES)
            self._keep(_MARKS, self._secret)
        self._sessions += 1
        return StoreMarks(self._secret, self._store.epoch, self._sessions, principal)

    def _read(self, key: str) -> tuple[str, tuple[Sight, ...]] | None:
        if key in self._kept:
            return self._kept[key]
        try:
            value = self._store.meta(key)
        except StoreCorrupt:
            return None
        if value is None:
            return None
        user, rows = cbor2.loads(value)
        found = self._kept[key] = user, tuple(sight_of(map(_cell, row), masks=self._masks) for row in rows)
        return found

    def _make_room(self) -> None:
        """Forget all where there are too many: their devices are compared with once."""
        if self._count is None:
            self._count = len(self._store.meta_keys(_KEPT))
        self._count += 1
        if self._count > limits.SIGHTS_KEPT_MAX:
            gone: dict[str, bytes | None] = dict.fromkeys(self._store.meta_keys(_KEPT))
            self._kept.clear()
            self._count = 1
            with suppress(StoreFull, StoreFailed):
                self._store.commit([Batch(meta=gone)])

    def _keep_at_once(self, key: str, value: bytes) -> None:
        with suppress(StoreFull, StoreFailed):
            self._store.commit([Batch(meta={key: value})])

    # --- records ---------------------------------------------------------------------------------------------

    def whereabouts(self, record: str, after: int) -> Whereabouts | None:
        """See `Sights.whereabouts`."""
        return whereabouts(self._store, record, after)

    def whereabouts_of(self, records: Sequence[str], after: int) -> Sequence[Whereabouts | None]:
        """See `Sights.whereabouts_of`."""
        return whereabouts_of(self._store, records, after)

    def companions(self, record: str) -> Sequence[str]:
        """See `Sights.companions`."""
        return companions_of(self._store, record)

    def at(self, cells: Iterable[Cell]) -> Iterator[str]:
        """See `Sights.at`."""
        seen: dict[Atom, set[Seen]] = {}
        for cell in cells:
            seen.setdefault(cell.atom, set()).add(cell.seen)
        for atom, found in sorted(seen.items()):
            apart = sections_of(self._store, atom.collection)
            sections = [section for section in apart if any(each.gives(section) for each in found)]
            after = ""
            while page := self._page(atom, after):
                yield from page
                for section in sections:
                    yield from (ids.in_section(record, section) for record in page)
                after = page[-1]

    def _page(self, atom: Atom, after: str) -> list[str]:
        if atom.field == EVERY:
            return self._store.records(after, _PAGE, f"{atom.collection}/")
        return self._store.placed(atom.collection, atom.field, atom.value, after, _PAGE)

    def change(self, record: str) -> Change | None:
        """See `Sights.change`."""
        head = self._store.record_head(record)
        return None if head is None else Change(head.seq, record, head.state_vector)

    def moves_from(self) -> int:
        """See `Sights.moves_from`."""
        return self._store.moves_from()

    def held(self, sight: Sight) -> list[str]:
        """All that may be held, in order: it costs what that is, and what else is at the same atoms."""
        found = set(self.at(sight.cells))
        return sorted(
            record
            for record in found
            if (where := self.whereabouts(record, 0)) is not None and sight.holds(record, where.forms)
        )


def _as_row(cell: Cell) -> list[Any]:
    rest = [[name, sorted(values)] for name, values in cell.rest]
    return [list(cell.atom), rest, [sorted(cell.seen.read), sorted(cell.seen.masks)]]


def _cell(row: Any) -> Cell:
    atom, rest, (read, masks) = row
    wanted = tuple((name, frozenset(values)) for name, values in rest)
    return Cell(Atom(*atom), wanted, Seen(frozenset(read), frozenset(tuple(mask) for mask in masks)))
