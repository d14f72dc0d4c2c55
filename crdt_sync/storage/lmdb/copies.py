"""Copies of a store as it was before its format was raised: directories in its own, each a whole store."""

import time
from pathlib import Path


def path_of(store: Path, of_format: int, now: int) -> Path:
    """Where the copy of a store in that format goes. `now` is in microseconds since 1970."""
    return store / f"format-{of_format}-{time.strftime('%Y-%m-%d', time.gmtime(now // 1_000_000))}"


def found(store: Path) -> list[Path]:
    """The copies in the directory of a store that are complete, the oldest format first."""
    return sorted(each for each in store.glob("format-*-*") if each.suffix != ".partial")
