"""The worker process: `python -m crdt_sync.runtime.worker PROGRESS [slow]`, started by `process.py` only."""

import os
import sys

from crdt_sync import limits
from crdt_sync.records import yrs
from crdt_sync.records.gate.integrate import Integrator
from crdt_sync.runtime.worker.confine import confine
from crdt_sync.runtime.worker.progress import progress_of
from crdt_sync.runtime.worker.service import Service, run

_SLOW_NICENESS = 15  # a fortieth of what another process gets


def main() -> None:
    """Serve requests from standard input until it ends."""
    assert yrs.Doc is not None  # imported here, or the first update would be charged for it
    if "slow" in sys.argv[2:] and hasattr(os, "nice"):
        os.nice(_SLOW_NICENESS)
    confine()
    run(Service(Integrator(limits.WORKER_DOCUMENTS_MAX), progress_of(sys.argv[1])))


if __name__ == "__main__":
    main()
