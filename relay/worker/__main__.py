"""The worker process: `python -m relay.worker PROGRESS_DESCRIPTOR`, started by `relay.worker.process` only."""

import sys

from crdt_sync import limits
from crdt_sync.records.integrate import Integrator
from relay.worker.confine import confine
from relay.worker.progress import Progress
from relay.worker.service import Service, run


def main() -> None:
    """Serve requests from standard input until it ends."""
    confine()
    run(Service(Integrator(limits.WORKER_DOCUMENTS_MAX), Progress(int(sys.argv[1]))))


if __name__ == "__main__":
    main()
