"""Whichever system call fails below the libraries: a typed error, nothing acknowledged lost, and a retry succeeds."""

import shutil
import subprocess

import pytest

from crdt_bench.campaign import nth_syscalls
from crdt_bench.campaign.nth_operations import Compact, Copy, Create, Edit, GroupCommit, Grow, Import, Open, Sync
from crdt_bench.campaign.nth_syscalls import Failure, every
from crdt_bench.campaign.tally import Tally

from . import planted

pytestmark = pytest.mark.skipif(bool(nth_syscalls.missing()), reason=nth_syscalls.missing() or "strace is there")
_WRITERS = (Edit, Import, GroupCommit, Compact, Create, Grow)


@pytest.mark.parametrize(
    ("failure", "operations", "stride"),
    [
        (Failure("pwrite64", "error=EIO"), _WRITERS, 1),
        (Failure("writev", "retval=512"), _WRITERS, 1),
        (Failure("fdatasync", "error=ENOSPC"), (*_WRITERS, Copy), 1),
        (Failure("fsync", "error=EIO"), (Create, Copy), 1),
        (Failure("openat", "error=EMFILE"), (Open, Copy), 2),
        (Failure("mmap", "error=ENOMEM"), (Open, Grow), 1),
        (Failure("write", "retval=0", native=True), (Copy,), 1),
        (Failure("fdatasync", "error=EIO"), (Sync,), 3),
    ],
    ids=str,
)
def test_every_call_of_a_kind_may_fail(failure, operations, stride):
    tally = Tally("n-th system call", "calls that failed", 0)
    every(failure, operations, stride, tally)
    assert tally.findings == []
    assert tally.ran >= len(operations) - 1
    assert any("StoreF" in outcome for outcome in tally.outcomes)


def test_an_edit_that_is_acknowledged_and_not_on_disk_is_noticed():
    tally = Tally("n-th system call", "calls that failed", 0)
    every(Failure("pwrite64", "error=EIO"), (planted.ForgetfulEdit,), 1, tally)
    assert tally.findings
    assert "something acknowledged is lost" in tally.findings[0]


def test_what_prevents_it_is_told(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert nth_syscalls.run(0, 1).skipped == "strace is not installed"
    monkeypatch.setattr(shutil, "which", lambda _: "strace")
    forbidden = subprocess.CompletedProcess([], 1)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: forbidden)
    assert "ptrace is forbidden" in nth_syscalls.run(0, 1).skipped
