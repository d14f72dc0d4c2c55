"""The process whose writes are recorded: carries out a history and says on standard output what is on disk.

python -m crdt_bench.campaign.power_writer STORE SEED STEPS [--no-sync]
"""

import os
import sys
from pathlib import Path
from typing import Any

from crdt_bench.campaign.store_history import history
from crdt_sync.storage import LmdbStore
from crdt_sync.storage.lmdb import environment


def main() -> None:
    """Run it. With `--no-sync` the store does not sync: the bug that the campaign must be able to see."""
    path, seed, steps = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    if "--no-sync" in sys.argv:
        forget_to_sync()
    store = LmdbStore.open(path, create=True)
    os.write(1, b"created\n")
    for step in history(seed, steps):
        step(store)
        os.write(1, b"acknowledged\n")
    store.close()


def forget_to_sync() -> None:
    """From now on no store of this process syncs."""
    lmdb: Any = environment.lmdb  # type: ignore[attr-defined]
    opened = lmdb.open

    def without_sync(*arguments: Any, **options: Any) -> Any:
        return opened(*arguments, **{**options, "sync": False})

    lmdb.open = without_sync


if __name__ == "__main__":
    main()
