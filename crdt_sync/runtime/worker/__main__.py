"""The worker process: `python -m crdt_sync.runtime.worker PROGRESS [slow]`, started by `process.py` only."""

import os
import sys
from collections.abc import Callable

from crdt_sync import limits
from crdt_sync.identity.certified import verifier_for
from crdt_sync.identity.keys import KEY_BYTES, KeyPair
from crdt_sync.records import yrs
from crdt_sync.records.gate.integrate import Integrator
from crdt_sync.runtime.heap import Heap
from crdt_sync.runtime.worker.confine import confine, keep_only, seal
from crdt_sync.runtime.worker.progress import progress_of
from crdt_sync.runtime.worker.service import Service, run

_SLOW_NICENESS = 15  # a fortieth of what another process gets


def main() -> None:
    """Serve requests from standard input until it ends."""
    assert yrs.Doc is not None  # imported here, or the first update would be charged for it
    assert verifier_for is not None  # likewise
    keep_only(int(sys.argv[1]) if sys.argv[1].isdecimal() else None)
    slow = "slow" in sys.argv[2:]
    if slow and hasattr(os, "nice"):
        os.nice(_SLOW_NICENESS)
    heap = Heap()
    heap.be_one()
    missing = confine()
    _warm_up()
    loaded = limits.WORKER_LOADED_BYTES_MAX // 6 if slow else limits.WORKER_LOADED_BYTES_MAX
    service = Service(
        Integrator(limits.WORKER_DOCUMENTS_MAX),
        progress_of(sys.argv[1]),
        allocated=_allocated(heap),
        memory_bytes_max=loaded,
    )
    run(service, lambda: [*missing, *seal()])


def _allocated(heap: Heap) -> Callable[[], int | None]:
    def allocated() -> int | None:
        heap.give_back()
        return heap.in_use()

    return allocated


def _warm_up() -> None:
    """Have everything imported: later no file can be opened."""
    pair = KeyPair(bytes(KEY_BYTES))  # signatures of entries
    pair.public.signed(b"", pair.sign(b""))
    "".encode("utf-16-le").decode("utf-16-le")  # a codec is a module that is imported when it is first used
    for update in (b"\x00\x00", b"\x01\x01\x07\x00\x04\x01\x03t.a\x04\xf0\x9f\x98\x80\x00", b"\xff", b""):
        Integrator(1).integrate("a/b", (), (update,), None, True, True)


if __name__ == "__main__":
    main()
