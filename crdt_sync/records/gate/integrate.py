"""The gate: the only way for an update of another party into a record.

Rules:
1. An update is integrated only when everything that it builds on is there. yrs does not converge otherwise, and
   would keep the update in a pending area that no diff and no digest shows. The answer is 'gap', and the sender
   makes a diff from our state vector. Where clocks, origins and deletions tell that all is there, yrs is not asked.
2. Nothing refused leaves a trace: a document that holds a gap, outgrew its limit or raised is built again from
   bytes known to be good.
3. Each update is judged by itself; one that is refused does not hold back its neighbours.
4. Its items stand where every replica finds the same place for them: see `well_placed`.
5. What it says of operations that are here already is what is here: see `contradictions`.
6. What is here already is not the sender's: where it cannot be read, no verdict is given.
7. An update of another lineage is never integrated: where it holds all that it builds on, what both know becomes one
   document, see `lineage`, which is to be stored in the place of what was stored; else it is a gap.
8. What is accepted can be loaded again, whatever the order: see `walks`.
9. Where a policy is in force, its author may do all that it does: see `permitted`. It is told before it is integrated.
   Nobody writes under another's writer id: see `owners`.

Hostile bytes that pass `scan` may still hang or kill the process inside yrs, so a relay runs this in a worker.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from crdt_sync.errors import UpdateRefused
from crdt_sync.policy.values import Values
from crdt_sync.records.document import Document
from crdt_sync.records.gate.loaded import Loaded
from crdt_sync.records.gate.owners import Owners
from crdt_sync.records.gate.permitted import Rules
from crdt_sync.verdicts import POSTPONED, UNDECIDED, Verdict


class Integration(NamedTuple):
    """The outcome for one record: a verdict per update, and the state after those that were accepted.

    `snapshot` is the whole integrated state if it was asked for, or `renewed`: then updates of another lineage were
    carried over, and the snapshot is to be stored alone, in the place of what was stored and of these updates.
    `lineage` is that of the record, 0 for the first. `evicted` names records that left the cache, whose stored bytes
    must be given next time.

    Where `Rules` were given, `shown` is what the filter fields show after all of it, None where the record is not
    there.
    """

    verdicts: tuple[Verdict, ...]
    state_vector: bytes
    snapshot: bytes | None
    changed: bool
    evicted: tuple[str, ...]
    lineage: int = 0
    renewed: bool = False
    shown: Values | None = None


class Integrator:
    """Integrates updates into records and keeps the most recently used `documents_max` of them loaded."""

    def __init__(self, documents_max: int) -> None:
        if documents_max < 1:
            raise ValueError("an integrator keeps at least one document")
        self._documents_max = documents_max
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()

    def integrate(
        self,
        record: str,
        stored: Sequence[bytes] | None,
        updates: Sequence[bytes],
        stamp_max: int | None,
        checked: bool,
        snapshot: bool,
        *,
        quick: bool = False,
        begin: Callable[[int], bool] | None = None,
        rules: Rules | None = None,
        users: Sequence[str] = (),
        owners: Owners | None = None,
    ) -> Integration:
        """Judge and integrate `updates` into `record`, in order.

        `stored` are the record's bytes on disk (empty for a new record), or None to use the loaded document:
        `KeyError` when it is not loaded, `UpdateRefused` when they cannot be read, which may show only once an update
        is judged: then nothing was integrated, and it is no verdict on what was sent. `stamp_max` is the latest stamp
        accepted, None for any. `checked` reads every update with `scan` first; without it the bytes must come
        from a trusted source, and stamps are not looked at. `quick` answers `POSTPONED` to what may take longer than
        some milliseconds, and nothing is done for it. `begin` is called with the position of each update before that is
        judged. Where it returns false, and behind what was postponed, nothing more is judged: there are fewer verdicts.
        With `rules`, `users` names for each update who is to be allowed what it does; all of it is `checked` then.
        `owners`, only with `rules`, tell whose writers are: where that is to be asked first, nothing more is judged.
        """
        if stored is None:
            loaded = self._loaded[record]
        else:
            loaded = _load(record, stored)
            self._loaded[record] = loaded
        self._loaded.move_to_end(record)
        lineage = loaded.lineage
        try:
            verdicts, changed = _judged(loaded, updates, stamp_max, checked, quick, begin, rules, users, owners)
            shown = None if rules is None else loaded.shown(rules)
        except UpdateRefused as refusal:
            self.forget(record)
            raise _unreadable(record, refusal) from None
        renewed = loaded.lineage != lineage
        return Integration(
            verdicts,
            loaded.state_vector,
            loaded.whole() if snapshot or renewed else None,
            changed,
            self._evict() if len(self._loaded) > self._documents_max else (),
            loaded.lineage,
            renewed,
            shown,
        )

    def document(self, record: str) -> Document:
        """The loaded document, to be read only. Raises `KeyError` when it is not loaded."""
        return self._loaded[record].document

    def forget(self, record: str) -> None:
        """Unload a record, for example because its commit failed."""
        self._loaded.pop(record, None)

    @property
    def known(self) -> frozenset[str]:
        """The records that are loaded."""
        return frozenset(self._loaded)

    def _evict(self) -> tuple[str, ...]:
        evicted = []
        while len(self._loaded) > self._documents_max:
            evicted.append(self._loaded.popitem(last=False)[0])
        return tuple(evicted)


def _judged(
    loaded: Loaded,
    updates: Sequence[bytes],
    stamp_max: int | None,
    checked: bool,
    quick: bool,
    begin: Callable[[int], bool] | None,
    rules: Rules | None,
    users: Sequence[str],
    owners: Owners | None,
) -> tuple[tuple[Verdict, ...], bool]:
    """The verdicts, and whether one of them is of something new."""
    verdicts: list[Verdict] = []
    changed = False
    for position, update in enumerate(updates):
        if begin is not None and not begin(position):
            break
        if rules is None:
            verdict = loaded.judge(update, stamp_max, checked, quick=quick)
        else:
            user = users[position]
            verdict = loaded.judge(update, stamp_max, True, quick=quick, rules=rules, user=user, owners=owners)
            if verdict is UNDECIDED:
                break
        verdicts.append(verdict)
        changed = changed or verdict.new
        if verdict is POSTPONED:
            break
    return tuple(verdicts), changed


def _load(record: str, stored: Sequence[bytes]) -> Loaded:
    try:
        return Loaded(stored, record=record)
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # pycrdt's PanicException is no Exception
        raise _unreadable(record, error) from None


def _unreadable(record: str, error: BaseException) -> UpdateRefused:
    return UpdateRefused("malformed", f"the stored bytes of {record} cannot be read: {error}")


def digest_of(updates: Sequence[bytes]) -> tuple[bytes, bytes]:
    """State vector and digest A of a record, from its verified bytes."""
    document = Document.load(updates)
    return document.state_vector(), document.digest()


def content_digest_of(updates: Sequence[bytes]) -> bytes:
    """Digest B of a record, from its verified bytes."""
    return Document.load(updates).content_digest()
