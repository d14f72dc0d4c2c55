"""What a device is doing when it is killed. Each operation repeats itself until then, and says what is durable.

A tag names an edit: its edit adds it to a record and counts one visit, so that edits can be found and counted.
"""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from crdt_sync import Replica
from crdt_sync.bundles import apply_bundle, create_bundle
from crdt_sync.exchange import import_table, open_table

_TAGS_PER_RECORD = 20
_LIVES_PER_RECORD = 6  # so that both devices edit the same records
_REST_S = 0.1
_ROWS = 20
_EDITS_BETWEEN = 5
_PAUSE_S = 0.002
_EDITS_MAX = 200  # of one life: where the machine is slow and the kill late, the others must be able to follow
_NOTES_CHARACTERS = 30_000


@dataclass(slots=True)
class Living:
    """A device in one of its lives. `tags` are those of this life, by record."""

    replica: Replica
    name: str
    life: int
    directory: Path
    say: Callable[..., None]
    tags: dict[str, set[str]] = field(default_factory=dict)
    edits: int = 0

    def edit(self, notes: str = "") -> None:
        """One edit, of a record that other devices edit too, and say so once it is on disk."""
        while self.edits == _EDITS_MAX:
            self.say(at_rest=True)
            time.sleep(_REST_S)
        tag = f"{self.name} {self.life} {self.edits}"
        record = f"customers/{self.life // _LIVES_PER_RECORD}-{self.edits // _TAGS_PER_RECORD}"
        self.edits += 1
        with self.replica.context.lock:
            with self.replica.edit(record, create=True) as editor:
                editor["name"] = tag
                editor.add("tags", tag)
                editor.increment("visits")
                if notes:
                    editor.text("notes").replace(notes)
            self.tags.setdefault(record, set()).add(tag)
        self.say(edited=[record, tag])
        time.sleep(_PAUSE_S)


def editing(living: Living) -> None:
    """Edit records."""
    while True:
        living.edit()


def growing(living: Living) -> None:
    """Edit records until the map is full, which then grows, and so on."""
    for number in itertools.count():
        living.edit(notes=chr(97 + number % 26) * _NOTES_CHARACTERS)


def importing(living: Living) -> None:
    """Import tables of a batch of rows each."""
    for number in itertools.count():
        city = f"{living.name} {living.life} {number}"
        table = living.directory / f"{living.name}.csv"
        rows = "".join(f"{city} {row},Customer,{city}\n" for row in range(_ROWS))
        table.write_text("key,name,city\n" + rows, encoding="utf-8")
        report = import_table(living.replica, open_table(table), "customers", key_columns=("key",))
        assert not report.failed, report
        living.say(imported=[city, _ROWS])
        for _ in range(_EDITS_BETWEEN):
            living.edit()


def compacting(living: Living) -> None:
    """Compact the log between edits."""
    while True:
        living.edit()
        living.edit()
        living.replica.store.compact()


def copying(living: Living) -> None:
    """Copy the store between edits."""
    for number in itertools.count():
        living.edit()
        target = living.directory / f"{living.name}-copy-{living.life}-{number}"
        living.say(copying=str(target))
        living.replica.store.copy(target)
        living.say(copied=str(target))


def taking_up(living: Living) -> None:
    """Take up bundles of another device, which edits the same records, between edits."""
    source = living.directory / f"{living.name}-carrier-{living.life}"
    bundle = source.with_suffix(".bundle")
    with Replica.create(source, source.name, living.replica.schemas.values()) as carrier:
        for number in itertools.count():
            record = f"customers/{living.life // _LIVES_PER_RECORD}-{number}"
            tag = f"{living.name} {living.life} carried {number}"
            with carrier.edit(record, create=True) as editor:
                editor["name"] = tag
                editor.add("tags", tag)
                editor.increment("visits")
            create_bundle(carrier, bundle, force=True)
            applied = apply_bundle(living.replica, bundle, plain=True)
            assert not applied.left_out, applied
            living.tags.setdefault(record, set()).add(tag)
            living.say(edited=[record, tag])
            living.edit()


def renewing(living: Living) -> None:
    """Renew what was edited in this life, which the other device goes on editing as it was, between edits."""
    while True:
        for _ in range(_EDITS_BETWEEN):
            living.edit()
        for record in living.tags:
            assert living.replica.renew(record), record


OPERATIONS: dict[str, Callable[[Living], None]] = {
    "editing": editing,
    "growing its map": growing,
    "importing": importing,
    "compacting": compacting,
    "copying": copying,
    "taking up bundles": taking_up,
    "renewing": renewing,
}
