"""What the machine itself makes people wait for during a siege: a process that is woken, writes a little and syncs it.

It asks nothing of the relay. Where it waits longer during an attack, others or the attack take the processors or the
disk; where it waits as long as an edit does, no relay could have been quicker.
"""

import os
import threading
import time
from pathlib import Path

from crdt_bench.child import hear, say

_INTERVAL_S = 0.1
_BYTES = 4096  # a page


def measure(path: str) -> None:
    """Child: begins at the parent's first message, and answers the second with when each sync was due, in the siege's
    own time, and how long after that it was done.
    """
    ended = threading.Event()
    times: list[tuple[float, float]] = []
    say("ready")
    begun = hear()
    measuring = threading.Thread(target=_measure, args=(Path(path), begun, ended, times))
    measuring.start()
    hear()
    ended.set()
    measuring.join()
    say(times)


def _measure(path: Path, begun: float, ended: threading.Event, times: list[tuple[float, float]]) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        while True:
            due = time.monotonic() + _INTERVAL_S
            if ended.wait(_INTERVAL_S):
                return
            os.pwrite(file, os.urandom(_BYTES), 0)
            os.fdatasync(file)
            times.append((due - begun, time.monotonic() - due))
    finally:
        os.close(file)
