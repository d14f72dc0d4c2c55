"""The first moment of a command: importing it takes up to a second, in which somebody may press Ctrl-C.

Nothing is imported here that takes time.
"""

import sys
from collections.abc import Callable

INTERRUPTED = 130


def start(command: Callable[[], int]) -> int:
    """Import and run a command; returns its exit code. An interrupt is no failure worth a traceback."""
    try:
        return command()
    except KeyboardInterrupt:
        if sys.stderr is not None:
            sys.stderr.write("Interrupted.\n")
        return INTERRUPTED
