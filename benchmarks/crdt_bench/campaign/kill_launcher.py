"""Forks relays and devices out of a process that has imported everything, so that many can be killed in little time.

Each line of standard input is a JSON object that says what to fork: `what` is `relay` or `device`, `name` is whom it
is, the rest are the arguments. What the children say, one JSON line each, goes to standard output with their name.
Whoever asked kills, by the process id that each child says first. At the end of input, all that are left end.
"""

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from crdt_bench.campaign.kill_operations import OPERATIONS, Living
from crdt_relay import running
from crdt_relay.server import Relay
from crdt_relay.settings import load
from crdt_sync import Address, Replica, keep_syncing, limits
from crdt_sync.errors import CrdtSyncError
from crdt_sync.replica import Event
from crdt_sync.storage import Committed
from crdt_sync.storage.writer import GroupCommit

_OPEN_AGAIN_S = 0.01
_PROMISED_FOR_S = 0.5  # before it commits, when it acknowledges first


def say(name: str, **words: Any) -> None:
    """Print one line, whole: it is shorter than what a pipe takes at once."""
    os.write(1, json.dumps({"name": name, **words}).encode() + b"\n")


def relay(name: str, data: str, port: int, map_bytes: int, early: bool) -> None:
    """Serve until killed. With `early` it acknowledges before it commits: the bug that must be found."""
    limits.MAP_BYTES_FIRST = map_bytes
    if early:
        GroupCommit.commit = _promise_first  # type: ignore[method-assign,assignment]

    def ready(started: Relay) -> None:
        say(name, at_work=True, port=started.port)

    say(name, pid=os.getpid())
    running.run(load({"data": Path(data), "port": port, "metrics": False, "log_level": "error"}), ready)


def _promise_first(writer: Any, joined: Sequence[Any]) -> None:
    seq = writer._store.head()
    for batch, future, _ in joined:
        seqs = []
        for change in batch.changes:
            seqs.append(tuple(range(seq + 1, seq + 1 + len(change.updates))))
            seq += len(change.updates)
        future.set_result(Committed(tuple(seqs)))
    time.sleep(_PROMISED_FOR_S)
    writer._store.commit([batch for batch, _, _ in joined])


def device(name: str, store: str, url: str, operation: str, life: int, map_bytes: int, early: bool) -> None:
    """Do `operation` again and again, in sync with the relay, until killed. `early`: see `relay`; here for clients."""
    limits.MAP_BYTES_FIRST = map_bytes
    if early:
        store_edits = Replica.store_edits
        Replica.store_edits = lambda *given: threading.Timer(  # type: ignore[method-assign]
            _PROMISED_FOR_S, store_edits, given
        ).start()
    say(name, pid=os.getpid())
    with Replica.open(store) as replica:
        say(name, opened=True)
        living = Living(replica, name, life, Path(store).parent, lambda **words: say(name, **words))
        replica.subscribe(lambda events: _tell_stored(living, events))
        with keep_syncing(replica, Address(url)):
            OPERATIONS[operation](living)


def _tell_stored(living: Living, events: Sequence[Event]) -> None:
    """Under the lock, "stored" means that the relay has every edit of the record made here so far."""
    for event in events:
        with living.replica.context.lock:
            if event.kind == "stored" and living.replica.record_status(event.record).state == "stored":
                living.say(stored=[event.record, sorted(living.tags.get(event.record, ()))])


def client(name: str, store: str, device: str, life: int) -> None:
    """Edit a device's store through the program that owns it, and what `device` says of its edits is said for this one.

    Where the owner is gone, the store is opened anew.
    """
    say(name, pid=os.getpid())
    living: Living | None = None
    while True:
        with contextlib.suppress(CrdtSyncError), Replica.open(store) as replica:
            if living is None:
                living = Living(replica, name, life, Path(store).parent, lambda **words: say(device, **words))
            living.replica = replica
            while True:
                living.edit()
        time.sleep(_OPEN_AGAIN_S)


_ROLES: dict[str, Callable[..., None]] = {"relay": relay, "device": device, "client": client}


def main() -> None:
    """Fork what each line says."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    children: list[int] = []
    for line in sys.stdin:
        wanted = json.loads(line)
        if child := os.fork():
            children.append(child)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(0)
        os.open(os.devnull, os.O_RDONLY)
        try:
            _ROLES[wanted.pop("what")](**wanted)
        except BaseException as error:
            say(wanted["name"], failed=f"{type(error).__name__}: {error}")
        finally:
            os._exit(1)
    # Whoever asked has gone, perhaps without a word. A number given to another process since is not our child.
    for child in children:
        if _is_ours(child):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


def _is_ours(child: int) -> bool:
    try:
        stat = Path(f"/proc/{child}/stat").read_text("utf-8")
    except OSError:
        return False
    return int(stat.rpartition(")")[2].split()[1]) == os.getpid()


if __name__ == "__main__":
    main()
