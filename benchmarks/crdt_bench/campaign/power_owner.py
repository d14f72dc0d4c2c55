"""Programs that edit one store together through its owner, and one that imports a table, recorded as they do.

python -m crdt_bench.campaign.power_owner STORE SEED [PLANTED]

What each is about to do, and what it was told is stored, they say on standard output. The owner is killed before or
after some commit, and a client takes its place. Edits go through `edit` and the table through `bring`, which what
examines an image uses again.
"""

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from crdt_bench.campaign.power_writer import forget_to_sync
from crdt_sync import Replica, bundled_schema, parse_schema
from crdt_sync.exchange import import_table, open_table
from crdt_sync.replica.owner.sent import SentEdit
from crdt_sync.storage import Batch, Peer

CLIENTS = ("anna", "ben")
EDITS = 6  # of each client
SHARED = "customers/shared"
PARTNER = Peer(b"p" * 16, b"e" * 16, 0, 0, "ws://relay")  # whom everything is owed to
GUESTS = "guests"
ROWS = 24
BATCH_ROWS = 6
READY = "ready"  # the first thing said: the store is made
_LARGE = 20_000  # characters, which LMDB keeps on pages of their own
_COMMITS_MAX = 24  # of the first owner
_PROMISED_FOR_S = 0.05
_SCHEMA = f"""
collection = "{GUESTS}"
version = 1
[fields.number]
[fields.name]
[fields.visits]
kind = "counter"
"""


def edit(replica: Replica, name: str, number: int, size: int = 20) -> None:
    """One edit of a client: a new record, and one more visit of its own record and of the one that all share."""
    with replica.batch():
        with replica.edit(own(name), create=True) as customer:
            customer["name"], customer["city"] = name, str(number)
            customer.increment("visits")
        with replica.edit(made(name, number), create=True) as customer:
            customer["name"] = "x" * size
        with replica.edit(SHARED) as customer:
            customer.increment("visits")


def own(name: str) -> str:
    """The record that a client counts its edits in."""
    return f"customers/{name}"


def made(name: str, number: int) -> str:
    """The record that an edit makes."""
    return f"customers/{name}-{number}"


def bring(replica: Replica, stored: Callable[[int], object] = lambda _: None) -> None:
    """Import the table; `stored` hears how many rows are."""
    lines = ["Number;Name;Visits", *(f"{row};Guest {row};{row + 1}" for row in range(ROWS))]
    with TemporaryDirectory() as directory:
        path = Path(directory) / "guests.csv"
        path.write_text("\n".join(lines), "utf-8")
        import_table(
            replica, open_table(path), GUESTS, key_columns=["Number"], batch_rows=BATCH_ROWS,
            progress=lambda now: stored(now.rows),
        )  # fmt: skip


# --- the programs --------------------------------------------------------------------------------------------


def main() -> None:
    """Run them."""
    store, seed = Path(sys.argv[1]), sys.argv[2]
    for planted in sys.argv[3:]:
        PLANTED[planted]()
    with Replica.create(store, "owner", [bundled_schema("customers"), parse_schema(_SCHEMA, "guests")]) as replica:
        replica.store.commit([Batch(peers=(PARTNER,))])
    with Replica.open(store, share=False) as replica, replica.edit(SHARED, create=True) as customer:
        customer["name"] = "Shared"
    _say(READY)
    hearing, telling = os.pipe()
    owner = _fork(lambda: _own(store, random.Random(f"{seed}/owner"), telling))
    os.read(hearing, 1)
    others = [_fork(_editing, store, name, random.Random(f"{seed}/{name}")) for name in CLIENTS]
    others.append(_fork(_importing, store))
    failed = [child for child in others if os.waitpid(child, 0)[1]]
    if os.waitpid(owner, os.WNOHANG)[0] == 0:
        os.kill(owner, signal.SIGKILL)
        os.waitpid(owner, 0)
    sys.exit(bool(failed))


def _say(*words: object) -> None:
    os.write(1, " ".join(map(str, words)).encode() + b"\n")


def _fork(work: Callable[..., None], *arguments: object) -> int:
    child = os.fork()
    if child:
        return child
    try:
        work(*arguments)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


def _own(store: Path, rng: random.Random, telling: int) -> None:
    """Serve the others, until killed, perhaps by itself at a commit."""
    with Replica.open(store) as replica:
        left = rng.randint(1, _COMMITS_MAX)
        after = rng.random() < 0.5
        commit = replica.store.commit

        def deadly(batches: Sequence[Batch]) -> object:
            nonlocal left
            left -= 1
            if left == 0 and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            done = commit(batches)
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return done

        replica.store.commit = deadly  # type: ignore[method-assign,assignment]
        os.write(telling, b".")
        threading.Event().wait()


def _editing(store: Path, name: str, rng: random.Random) -> None:
    with Replica.open(store) as replica:
        for number in range(EDITS):
            size = _LARGE if rng.random() < 0.1 else rng.randrange(1, 300)
            _say("begins", name)
            edit(replica, name, number, size)
            _say("stored", name, number + 1)


def _importing(store: Path) -> None:
    with Replica.open(store) as replica:
        _say("begins", GUESTS)
        bring(replica, lambda rows: _say("stored", GUESTS, rows))


# --- bugs that must be found ---------------------------------------------------------------------------------


def _answer_first() -> None:
    """The owner answers its clients before it commits."""
    store_edits: Any = Replica.store_edits
    turn = threading.Lock()

    def late(replica: Replica, edits: Sequence[SentEdit]) -> None:
        with turn:
            time.sleep(_PROMISED_FOR_S)
            store_edits(replica, edits)

    Replica.store_edits = lambda *given: threading.Thread(  # type: ignore[method-assign]
        target=late, args=given, daemon=True
    ).start()


def _commit_apart() -> None:
    """The owner commits each record of a batch by itself."""
    store_edits: Any = Replica.store_edits

    def apart(replica: Replica, edits: Sequence[SentEdit]) -> None:
        for each in edits:
            store_edits(replica, [each])

    Replica.store_edits = apart  # type: ignore[method-assign,assignment]


PLANTED: dict[str, Callable[[], None]] = {
    "no sync": forget_to_sync,
    "answers first": _answer_first,
    "commits apart": _commit_apart,
}


if __name__ == "__main__":
    main()
