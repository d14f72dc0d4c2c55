"""A program of its own over one store: what it is told on its standard input, line by line, it does and answers.

Run as `python -m tests.replica.owner.program STORE NAME`; it makes the store where there is none.
"""

import json
import mmap
import os
import signal
import sys
import time
from contextlib import ExitStack

from crdt_sync import Replica, bundled_schema, limits
from crdt_sync.errors import CrdtSyncError
from crdt_sync.replica import Event
from crdt_sync.storage import LmdbStore

_SHOWN = slice(48, 56)  # of LMDB's lock file: the transaction that readers see


class Program:
    def __init__(self, path: str, name: str) -> None:
        self._replica = Replica.open_or_create(path, name, [bundled_schema("customers")])
        self._open = ExitStack()
        self._heard: list[Event] = []
        self._replica.subscribe(self._heard.extend)

    def owns(self) -> bool:
        return self._replica.owner is None

    def edit(self, record: str, **fields: object) -> str:
        with self._replica.edit(record, create=True) as customer:
            customer.update(fields)
        return customer.record

    def remove(self, record: str, field: str, member: str) -> None:
        with self._replica.edit(record) as customer:
            customer.remove(field, member)

    def renew(self, record: str) -> bool:
        return self._replica.renew(record)

    def limit(self, **values: int) -> None:
        for name, value in values.items():
            setattr(limits, name, value)

    def send_away(self, number: int) -> None:
        """End a link like that of a program which reads too slowly."""
        server = self._replica._sharing._end.__self__
        server._numbers[number].end()

    def begin(self, record: str, **fields: object) -> None:
        """Open a block that `end` ends."""
        self._open.enter_context(self._replica.edit(record, create=True)).update(fields)

    def end(self) -> None:
        self._open.close()

    def count(self, record: str, times: int) -> None:
        for _ in range(times):
            with self._replica.edit(record, create=True) as customer:
                customer["name"] = customer["name"] or "counted"
                customer.increment("visits")

    def tick(self, record: str, times: int, own: str) -> int:
        """Count in both records, and tell of each time as soon as it is stored."""
        for _ in range(times):
            self.count(own, 1)
            self.count(record, 1)
            print(json.dumps("tick"), flush=True)
        return int(self._replica.get(own)["visits"])

    def batches(self, prefix: str, batches: int, records: int) -> None:
        for batch in range(batches):
            with self._replica.batch():
                for number in range(records):
                    self.edit(f"customers/{prefix}-{batch}-{number}", name=prefix)

    def get(self, record: str) -> dict[str, object]:
        return dict(self._replica.get(record))

    def heard(self) -> list[list[str]]:
        return [[event.kind, event.record] for event in self._heard]

    def die_at_commit(self, when: str) -> None:
        """End like a process that is killed: before the next commit, after it, or in it, when it is on disk already."""
        commit = self._replica.store.commit

        def deadly(batches):
            if when == "after":
                commit(batches)
            elif when == "in":
                self._unshown(lambda: commit(batches))
            os.kill(os.getpid(), signal.SIGKILL)

        self._replica.store.commit = deadly  # type: ignore[method-assign]

    def _unshown(self, commit) -> None:
        """Commit, but for the last step: other processes read by a number in memory, which follows the disk."""
        store = self._replica.store
        assert isinstance(store, LmdbStore)
        shared = (store.path / "lock.mdb").open("r+b")
        memory = mmap.mmap(shared.fileno(), 0)
        before = memory[_SHOWN]
        commit()
        self._writing = store._environment._usable()[0].begin(write=True)  # as who commits does
        assert memory[_SHOWN] != before
        memory[_SHOWN] = before

    def stop_at_commit(self, seconds: float = 0) -> None:
        """Stop in the middle of the next commit, or take so long for it."""
        commit = self._replica.store.commit

        def stopping(batches):
            self._replica.store.commit = commit  # type: ignore[method-assign]
            if seconds:
                time.sleep(seconds)
            else:
                os.kill(os.getpid(), signal.SIGSTOP)
            return commit(batches)

        self._replica.store.commit = stopping  # type: ignore[method-assign]

    def close(self) -> None:
        self._replica.close()


def main() -> None:
    program = Program(*sys.argv[1:])
    print(json.dumps(["ready", program.owns()]), flush=True)
    for line in sys.stdin:
        do, arguments, fields = json.loads(line)
        try:
            answer = getattr(program, do)(*arguments, **fields)
        except CrdtSyncError as error:
            answer = error.as_dict()
        print(json.dumps(answer, default=str), flush=True)
    program.close()


if __name__ == "__main__":
    main()
