"""Import of a real table of 41,188 rows."""

import time
from dataclasses import dataclass
from pathlib import Path

from crdt_bench.child import Child, say
from crdt_bench.data import shared_data
from crdt_bench.results import Measurement, Outcome, Skipped, Target
from crdt_bench.workspace import workspace
from crdt_sync import Replica
from crdt_sync.exchange import TableOptions, import_table, open_table

NAME = "import"
_FILE = "uci_bank-additional.zip"


@dataclass(frozen=True, slots=True)
class Sizes:
    """Which table of the archive, and how many rows it has."""

    member: str = "bank-additional/bank-additional-full.csv"
    rows: int = 41_188
    rounds: int = 3


SMALL = Sizes(member="bank-additional/bank-additional.csv", rows=4119, rounds=1)


def run(sizes: Sizes) -> list[Outcome]:
    """Each round imports into a new replica, in a process of its own."""
    folder = shared_data()
    if folder is None or not (folder / "tables" / _FILE).is_file():
        return [Skipped(NAME, f"{_FILE} is not here; set CRDT_SYNC_DATA to the folder with the shared data")]
    seconds = []
    for _ in range(sizes.rounds):
        with Child(
            "crdt_bench.experiments.table_import:once", path=str(folder / "tables" / _FILE), member=sizes.member
        ) as child:
            taken, rows = child.hear()
        if rows != sizes.rows:
            raise AssertionError(f"{rows} of {sizes.rows} rows were imported")
        seconds.append(float(taken))
    return [Measurement(NAME, f"{sizes.rows:,} rows", "s", tuple(seconds), Target("at most", 30.0))]


def once(path: str, member: str) -> None:
    """Child: import the table; says the seconds and the rows that are records now."""
    with workspace() as folder, Replica.create(folder, "bench") as replica:
        started = time.perf_counter()
        import_table(replica, open_table(Path(path), TableOptions(member=member)), "bank")
        say([time.perf_counter() - started, replica.count()])
