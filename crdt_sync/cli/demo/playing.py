"""The demo from its first process to its last: whatever ends it, no process stays, and files only where it failed."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from crdt_sync.cli.demo import child
from crdt_sync.cli.demo.relay_process import check_relay_installed
from crdt_sync.cli.demo.stage import Stage
from crdt_sync.cli.demo.story import play
from crdt_sync.cli.output import Output
from crdt_sync.errors import CrdtSyncError


def run(output: Output, keep: bool) -> None:
    """Play it and say how it ended. Raises `CrdtSyncError`, `KeyboardInterrupt`."""
    check_relay_installed()
    with _ended_by_signals(), _folder(keep) as folder:
        outcome = play(folder, Stage(output))
        kept = {"folder": str(folder)} if keep else {}
        output.result({**outcome, **kept}, f"The stores are in {folder}" if keep else "")


@contextmanager
def _folder(keep: bool) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="crdt-sync-demo-"))
    try:
        yield folder
    except CrdtSyncError as failed:
        keep = True
        failed.hint = f"{failed.hint} What each process said is in {folder}, in files that end with .log.".lstrip()
        raise
    finally:
        child.end_all()
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """These signals end the demo in order: with its processes ended and its folder removed."""
    before = {number: signal.signal(number, _interrupt) for number in child.INTERRUPTIONS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    for number in child.INTERRUPTIONS:
        signal.signal(number, signal.SIG_IGN)  # the end is on its way, and a second signal would cut it short
    raise KeyboardInterrupt
