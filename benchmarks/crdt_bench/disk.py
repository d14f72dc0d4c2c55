"""What one disk sync costs here: a page written and synced, as a commit of the store does."""

import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_PAGE = os.urandom(4096)
_EVERY_S = 0.05


def sync_seconds(descriptor: int) -> float:
    """Write one page and sync it."""
    started = time.perf_counter()
    os.pwrite(descriptor, _PAGE, 0)
    os.fdatasync(descriptor)
    return time.perf_counter() - started


class SyncProbe:
    """Measures a disk sync every 50 ms while its block runs, in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self.samples: list[float] = []
        self._descriptor = os.open(folder / "sync-probe", os.O_RDWR | os.O_CREAT, 0o600)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._ending.wait(_EVERY_S):
            self.samples.append(sync_seconds(self._descriptor))

    def __enter__(self) -> Self:
        self.samples.append(sync_seconds(self._descriptor))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()
        os.close(self._descriptor)
