"""One device of the demo: a process with a store of its own that does what it is told, a line of JSON at a time.

It is told `{"do": "sync", ...}` and answers with any number of `{"progress": ...}` and one `{"done": ...}` or
`{"error": ...}`. It ends when nobody is there to tell it anything.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crdt_sync.cli.targets import apply, parse_assignment
from crdt_sync.cli.values import conflict_object, record_object
from crdt_sync.errors import CrdtSyncError
from crdt_sync.exchange import ImportProgress, demo_table, import_table
from crdt_sync.ids import collection_of
from crdt_sync.records import bundled_schema
from crdt_sync.replica import Replica
from crdt_sync.runtime import Address, Progress, compare, sync

COLLECTION = "customers"
_BATCH_ROWS = 20
_BATCH_PAUSE_S = 0.02  # so that an import can be watched, and interrupted

Told = dict[str, Any]


class Device:
    """The things that a device can be told."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def do(self, told: Told) -> Told:
        """Carry out one instruction."""
        work: dict[str, Callable[[Told], Told]] = {
            "import": self._import,
            "sync": self._sync,
            "edit": self._edit,
            "count_calls": self._count_calls,
            "delete": self._delete,
            "resolve": self._resolve,
            "records": self._records,
            "conflicts": self._conflicts,
            "receipt": self._receipt,
        }
        return work[told["do"]](told)

    def _import(self, _told: Told) -> Told:
        def progressed(progress: ImportProgress) -> None:
            _say({"progress": {"rows": progress.rows}})
            time.sleep(_BATCH_PAUSE_S)

        with demo_table() as table:
            report = import_table(self._replica, table, COLLECTION, batch_rows=_BATCH_ROWS, progress=progressed)
        return {
            "rows": report.rows,
            "created": report.created,
            "unchanged": report.unchanged,
            "failures": report.failures,
        }

    def _sync(self, told: Told) -> Told:
        said: Told = {}

        def progressed(progress: Progress) -> None:
            now = {"sending": progress.sent_bytes >= told["large"], "pushed": progress.pushed}
            if now != said:
                said.update(now)
                _say({"progress": now})

        progress = sync(self._replica, Address(told["url"], told["token"]), progressed)
        return {"received": progress.received, "pushed": progress.pushed, "refused": progress.refused}

    def _edit(self, told: Told) -> Told:
        schema = self._replica.schemas[COLLECTION]
        with self._replica.edit(told["record"]) as editor:
            for text in told["assignments"]:
                apply(editor, schema, parse_assignment(text))
            if "note_first" in told:
                editor.text("notes").insert(0, told["note_first"])
        return {}

    def _count_calls(self, told: Told) -> Told:
        records = [view.record for view in self._replica.list(COLLECTION) if view.record != told["without"]]
        with self._replica.batch():
            for record in records:
                with self._replica.edit(record) as editor:
                    editor.increment("calls")
        return {"records": len(records)}

    def _delete(self, told: Told) -> Told:
        self._replica.delete(told["record"])
        return {}

    def _resolve(self, told: Told) -> Told:
        self._replica.resolve(told["record"], told["field"], told["value"])
        return {}

    def _records(self, _told: Told) -> Told:
        return {"records": [record_object(view) for view in self._replica.list(COLLECTION, deleted=True)]}

    def _conflicts(self, _told: Told) -> Told:
        schemas = self._replica.schemas
        found = self._replica.conflicts()
        return {"conflicts": [conflict_object(name, each, schemas[collection_of(name)]) for name, each in found]}

    def _receipt(self, told: Told) -> Told:
        found = compare(self._replica, Address(told["url"], told["token"]))
        return {
            "here": [found.ours.count, found.ours.root.hex()],
            "relay": [found.theirs.count, found.theirs.root.hex()],
        }


def _say(answer: Told) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _opened(path: Path, name: str) -> Replica:
    if path.exists():
        return Replica.open(path)
    return Replica.create(path, name, [bundled_schema(COLLECTION)])


def main(path: str, name: str) -> None:
    """Serve until standard input ends."""
    with _opened(Path(path), name) as replica:
        _say({"done": {"records": replica.count()}})
        device = Device(replica)
        for line in sys.stdin:
            try:
                _say({"done": device.do(json.loads(line))})
            except CrdtSyncError as error:
                _say({"error": error.as_dict()})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
