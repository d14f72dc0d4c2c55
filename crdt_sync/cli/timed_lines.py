"""When each line was printed, for output that goes to a file."""

import os
import stat
import sys
from datetime import datetime
from typing import IO, Any, cast


def time_lines() -> None:
    """From now on each line on standard output or error begins with the time, where the stream is an ordinary file.

    A terminal shows lines as they come, and a service manager notes the time itself.
    """
    if _is_file(sys.stdout):
        sys.stdout = cast(IO[str], TimedLines(sys.stdout))
    if _is_file(sys.stderr):
        sys.stderr = cast(IO[str], TimedLines(sys.stderr))


class TimedLines:
    """A stream whose lines begin with the local time and its offset, save indented ones, which continue another."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._at_start = True

    def write(self, text: str) -> int:
        """Write it, with the times; returns the length of `text`."""
        timed = []
        for line in text.splitlines(keepends=True) if text else ():
            if self._at_start and not line[0].isspace():
                timed.append(f"{datetime.now().astimezone().isoformat(timespec='seconds')} ")
            timed.append(line)
            self._at_start = line.endswith("\n")
        self._stream.write("".join(timed))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _is_file(stream: IO[str]) -> bool:
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, AttributeError, ValueError):
        return False
