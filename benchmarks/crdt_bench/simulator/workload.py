"""What salespeople do with customer records: the edits of a run, made through `Replica.edit`."""

import random
from collections.abc import Callable, Sequence

from crdt_bench.simulator.contents import NOTHING, State, state_of
from crdt_bench.simulator.devices import Device
from crdt_bench.simulator.failure import Failure
from crdt_bench.simulator.ledger import Intent, Ledger
from crdt_bench.simulator.schemas import FIRST
from crdt_sync import ids
from crdt_sync.errors import StoreError, UsageError
from crdt_sync.limits import STAMP_FOLLOWED_US_MAX
from crdt_sync.records import Document, Schema
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.replica import EditedRecord

_TAGS = ("vip", "newsletter", "fair", "late payer")
_VALUES = ("phone", "email", "name", "city", "owner", "company")
_CHANGED = ("segment", "badges", "owner", "owner", "city")  # by the second schema
_MASS_CHANCE = 0.1
_MASS_RECORDS = 60
_MOVES = {
    None: ("lead",),
    "lead": ("qualified", "lost"),
    "qualified": ("proposal", "lost"),
    "proposal": ("negotiation", "won"),
    "negotiation": ("won", "lost"),
    "won": ("negotiation",),
    "lost": ("lead",),
}


class Workload:
    """Draws and makes edits. Records have known ids, so that devices meet in them; new ones come in too."""

    def __init__(self, rng: random.Random, ledger: Ledger, records: int, first_number: int = 0) -> None:
        self._rng = rng
        self._ledger = ledger
        self._number = first_number  # no value is written twice, by another workload either
        self._schema = FIRST
        self._states: dict[Sequence[bytes], State] = {}  # by the bytes that a record is stored as
        self.records = [ids.record_id("customers", f"r{number:04}") for number in range(records)]
        self._actions: list[tuple[int, Callable[[EditedRecord, Intent], None]]] = [
            (30, self._write),
            (12, self._count),
            (10, self._tag),
            (5, self._untag),
            (8, self._log),
            (1, self._clear_log),
            (12, self._note),
            (4, self._erase),
            (8, self._move),
            (4, self._delete),
        ]

    def edit(self, device: Device) -> str:
        """One edit of one record, or a batch; returns what it was. Raises `StoreError` when the disk refuses."""
        if self._rng.random() < 0.04:
            return self._import(device)
        # A few records are hot.
        record = self.records[int(len(self.records) * self._rng.random() ** 2)]
        if self._would_be_lost(device, record):
            return f"leaves {record} alone"
        return self._one(device, record)

    def _would_be_lost(self, device: Device, record: str) -> bool:
        """Whether another device wrote into the record under the writer id of this one.

        No replica can tell such edits apart, so none may be made; in other records the ids do no harm.
        """
        return device.collides and self._ledger.shares_writer(
            record, device.name, device.replica.context.writers.first()
        )

    def _one(self, device: Device, record: str) -> str:
        self._schema = device.schema
        before = self.state(device, record)
        intent = Intent()
        action = self._rng.choices([action for _, action in self._actions], [weight for weight, _ in self._actions])[0]
        twice = self._rng.random() < 0.2
        try:
            with device.replica.edit(record, create=True) as editor:
                if before.vector == vectors.EMPTY:
                    _put(editor, "name", self._unique("name"))
                elif editor.deleted:
                    editor.restore()
                action(editor, intent)
                if twice and not editor.deleted:
                    self._write(editor, intent)
        except UsageError as error:
            raise Failure("usage", f"{device.name} {record} {action.__name__}: {error}") from error
        finally:
            self.note(device, record, before, intent)
        return f"edit {record} {action.__name__[1:]}"

    def act(self, schema: Schema, editor: EditedRecord, intent: Intent, *, new: bool) -> None:
        """Do something in an open block of a record, which was `new` on the device when it was opened."""
        self._schema = schema
        if new and not editor["name"]:
            _put(editor, "name", self._unique("name"))
        elif editor.deleted:
            editor.restore()
        action = self._rng.choices([action for _, action in self._actions], [weight for weight, _ in self._actions])[0]
        action(editor, intent)

    def _import(self, device: Device) -> str:
        """Many records in one commit."""
        many = self._rng.random() < _MASS_CHANCE
        chosen = self._rng.sample(self.records, min(len(self.records), 8))
        chosen = [record for record in chosen if not self._would_be_lost(device, record)]
        count = _MASS_RECORDS if many else 1
        fresh = [ids.new_record("customers", self._rng) for _ in range(count)] if len(self.records) < 200 else []
        before = {record: self.state(device, record) for record in chosen + fresh}
        try:
            with device.replica.batch():
                for record in before:
                    with device.replica.edit(record, create=True) as editor:
                        if editor.deleted:
                            continue
                        _put(editor, "name", self._unique("name"))
                        _put(editor, "company", self._unique("company"))
        finally:
            for record, state in before.items():
                self.note(device, record, state, Intent())
        self.records += fresh
        return f"import {len(before)} records"

    def state(self, device: Device, record: str) -> State:
        """What the device holds of a record."""
        stored = device.disk.load(record)
        if stored.head is None:
            return NOTHING
        known = self._states.get(stored.updates)
        if known is None:
            known = self._states[stored.updates] = state_of(Document.load(stored.updates))
        return known

    def note(self, device: Device, record: str, before: State, intent: Intent, seen: State | None = None) -> None:
        """Whatever the disk holds now was accepted, also where the app did not live to see it.

        `seen` is what the editor had seen, where that is not what the disk held right before the edit.
        """
        after = self.state(device, record)
        if after.same_as(before):
            return
        edit = self._ledger.add(device.name, record, before, after, intent)
        if seen is not None:
            edit.seen = vectors.decode(seen.vector)
            return
        for root in edit.added:
            latest = before.stamps.get(root, 0)
            if root[:2] == "c." and after.stamps[root] < latest <= device.replica.clock.now() + STAMP_FOLLOWED_US_MAX:
                raise Failure("stamps", f"{device.name} wrote {root} of {record} with a stamp before one it had seen")

    # --- actions ---------------------------------------------------------------------------------------------

    def _unique(self, prefix: str) -> str:
        self._number += 1
        return f"{prefix}-{self._number}"

    def _write(self, editor: EditedRecord, intent: Intent) -> None:
        known = _VALUES if self._schema.version == FIRST.version else (*_VALUES, *_CHANGED)
        field = self._rng.choice(known)
        value = self._unique(field)
        if self._schema.fields[field].kind == "set":
            editor.add(field, value)
            return
        _put(editor, field, value)
        if editor[field] != value:
            raise Failure("own write", f"{field} shows {editor[field]!r} after {value!r} was written")

    def _count(self, editor: EditedRecord, intent: Intent) -> None:
        field = self._rng.choice(("visits", "calls"))
        amount = self._rng.randint(-2, 5) or 1
        editor.increment(field, amount)
        intent.counted[field] = intent.counted.get(field, 0) + amount

    def _tag(self, editor: EditedRecord, intent: Intent) -> None:
        shared = self._rng.random() < 0.4
        tag = self._rng.choice(_TAGS) if shared else self._unique("tag")
        if tag in intent.untagged:
            return
        editor.add("tags", tag)
        intent.tagged.add(tag)

    def _untag(self, editor: EditedRecord, intent: Intent) -> None:
        tags = editor["tags"]
        if tags:
            tag = self._rng.choice(tags)
            if tag in intent.tagged:
                return  # what one edit adds and removes says nothing of others
            editor.remove("tags", tag)
            intent.untagged.add(tag)

    def _log(self, editor: EditedRecord, intent: Intent) -> None:
        editor.append("timeline", self._unique("call"))

    def _clear_log(self, editor: EditedRecord, intent: Intent) -> None:
        editor.clear("timeline")

    def _note(self, editor: EditedRecord, intent: Intent) -> None:
        text = editor.text("notes")
        words = str(text).split(" ")
        position = len(" ".join(words[: self._rng.randint(0, len(words) - 1)]))
        text.insert(position + (1 if 0 < position < len(text) else 0), f"w{self._word()} ")

    def _erase(self, editor: EditedRecord, intent: Intent) -> None:
        text = editor.text("notes")
        content = str(text)
        start = content.find("w", self._rng.randint(0, len(content)))
        stop = content.find(" ", start) + 1
        if start >= 0 and stop > start:
            text.delete(start, stop)

    def _move(self, editor: EditedRecord, intent: Intent) -> None:
        stage = editor["stage"]
        _put(editor, "stage", self._rng.choice(_MOVES[stage]))

    def _delete(self, editor: EditedRecord, intent: Intent) -> None:
        if self._rng.random() < 0.5:
            editor.delete()
        else:
            self._write(editor, intent)

    def _word(self) -> int:
        self._number += 1
        return self._number


__all__ = ["StoreError", "Workload"]


def _put(editor: EditedRecord, field: str, value: str) -> None:
    """What somebody does who has looked: a conflict is decided, anything else is written."""
    if editor.conflict(field) is None:
        editor[field] = value
    else:
        editor.resolve(field, value)
