"""A sealed process does its work, and nothing else."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from crdt_sync.runtime.worker import process, seccomp

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"), reason="no filter for this machine"
)

TRIES = """
import json, os, socket, subprocess, sys, threading
from crdt_sync.records import Integrator
from crdt_sync.runtime.worker.__main__ import _warm_up
from crdt_sync.runtime.worker.confine import confine, seal
missing = confine()
_warm_up()
missing += seal()
def outcome(attempt):
    try:
        attempt()
    except BaseException as error:
        return type(error).__name__
    return "done"
update = bytes.fromhex("01010700040103742e61017800")
verdict = Integrator(1).integrate("a/b", (), (update,), None, True, True).verdicts[0]
told = {
    "missing": missing,
    "open": outcome(lambda: os.open("/etc/passwd", os.O_RDONLY)),
    "open by path in python": outcome(lambda: open("/proc/self/environ")),
    "remove": outcome(lambda: os.unlink("/nowhere")),
    "connect": outcome(lambda: socket.socket()),
    "fork": outcome(os.fork),
    "execute": outcome(lambda: os.execv("/bin/true", ["true"])),
    "kill the parent": outcome(lambda: os.kill(os.getppid(), 0)),
    "thread": outcome(threading.Thread(target=lambda: None).start),
    "integrate": verdict.code.value,
}
sys.stdout.write(json.dumps(told))
sys.stdout.flush()
"""


@pytest.fixture(scope="module")
def told() -> dict[str, object]:
    done = subprocess.run(
        (sys.executable, "-P", "-c", TRIES),
        env=process.worker_environment(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize(
    "attempt", ["open", "open by path in python", "remove", "connect", "fork", "execute", "kill the parent"]
)
def test_a_sealed_process_opens_connects_and_starts_nothing(told: dict[str, object], attempt: str) -> None:
    assert told[attempt] == "PermissionError"


def test_it_starts_no_thread_and_still_integrates(told: dict[str, object]) -> None:
    assert told["thread"] == "RuntimeError"
    assert told["integrate"] == "accepted"
    assert told["missing"] == []


def test_a_worker_inherits_nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRDT_RELAY_TOKEN", "secret")
    monkeypatch.setenv("HOME", "/home/anna")
    given = process.worker_environment()
    assert "secret" not in given.values()
    assert given.keys() <= {"PYTHONPATH", "SYSTEMROOT", "PYTHONDONTWRITEBYTECODE", "MALLOC_ARENA_MAX"}
    assert str(Path(process.__file__).parents[3]) in given["PYTHONPATH"].split(os.pathsep)


def test_a_machine_without_a_list_has_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert not seccomp.filter_calls()


def test_each_call_is_allowed_by_one_comparison_and_everything_else_refused() -> None:
    for machine in ("x86_64", "aarch64"):
        program = seccomp.instructions(machine)
        assert len(program) == 8 * (4 + 2 * len(seccomp._CALLS) + 1)
        assert program.endswith((0x50001).to_bytes(4, "little"))


CLOSES = """
import os, sys
from crdt_sync.runtime.worker.confine import keep_only
def listed(path):
    raise FileNotFoundError(path)
def one_by_one(first, end):
    raise AssertionError("may take minutes")
if "unlisted" in sys.argv:
    os.listdir = listed
else:
    os.closerange = one_by_one
read, write = os.pipe()
keep_only(write if "kept" in sys.argv else None)
def is_open(descriptor):
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
print(*(is_open(each) for each in (0, 1, 2, read, write)))
"""


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("unlisted", [False, True])
def test_files_of_a_parent_are_closed_by_their_numbers_where_these_are_told(kept: bool, unlisted: bool) -> None:
    asked = ("kept",) * kept + ("unlisted",) * unlisted
    done = subprocess.run((sys.executable, "-P", "-c", CLOSES, *asked), capture_output=True, check=False, text=True)
    assert done.stdout.split() == ["True", "True", "True", "False", str(kept)], done.stderr
