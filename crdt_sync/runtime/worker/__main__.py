"""The worker process: `python -m crdt_sync.runtime.worker PROGRESS`, started by `process.py` only."""

import sys

from crdt_sync import limits
from crdt_sync.records import yrs
from crdt_sync.records.gate.integrate import Integrator
from crdt_sync.runtime.worker.confine import confine
from crdt_sync.runtime.worker.progress import progress_of
from crdt_sync.runtime.worker.service import Service, run


def main() -> None:
    """Serve requests from standard input until it ends."""
    assert yrs.Doc is not None  # imported here, or the first update would be charged for it
    confine()
    run(Service(Integrator(limits.WORKER_DOCUMENTS_MAX), progress_of(sys.argv[1])))


if __name__ == "__main__":
    main()
