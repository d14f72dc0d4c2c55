"""Small file systems for tests of full disks and of media that are read-only; a skip where none can be mounted."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted(path: Path, options: str) -> Iterator[Path]:
    """A file system in memory at `path`, which is made."""
    path.mkdir()
    _mount("-t", "tmpfs", "-o", options, "tmpfs", str(path))
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True, timeout=30)


def read_only(path: Path) -> None:
    """Nothing can be written to it from here on."""
    remounted(path, "ro")


def remounted(path: Path, options: str) -> None:
    """Have other options from here on."""
    _mount("-o", f"remount,{options}", str(path))


def _mount(*arguments: str) -> None:
    try:
        subprocess.run(["mount", *arguments], check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("nothing can be mounted here")
