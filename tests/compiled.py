"""The tests and parts of the campaign that hostile bytes are for, run on a wheel with compiled modules.

With every run of all checks the compiler hurries, and only the tests of what is compiled are run: see `check_quickly`.
A build as people get it, with the campaign, is too dear for that.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from crdt_bench.simulator.mutants import Mutant

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("hostile", "guided", "orders", "differential")
OF_WHAT_IS_COMPILED = (
    "tests/records/gate",
    "tests/records/updates",
    "tests/records/test_document.py",
    "tests/records/test_hostile_updates.py",
    "tests/protocol/test_hub.py",
    "tests/protocol/test_lanes.py",
    "tests/storage/ports",
    "tests/runtime/hosting/test_fair_queue.py",
    "tests/runtime/hosting/test_link.py",
    "tests/runtime/worker/test_long_notes.py",
    "tests/runtime/worker/test_plan.py",
)
TESTS = (
    "tests/records",
    "tests/campaign/test_hostile.py",
    "tests/protocol",
    "tests/storage/lmdb",
    "tests/storage/ports",
    "tests/runtime/hosting",
    "tests/runtime/worker",
)
_PYTEST = ("-m", "pytest", "-p", "no:cacheprovider")


def missing() -> str | None:
    """What a build lacks here, for people; None where it lacks nothing."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"there is no C compiler ({compiler})"
    header = Path(sysconfig.get_path("include"), "Python.h")
    return None if header.is_file() else f"there is no {header}, which comes with the package python3-dev"


def check_quickly() -> int:
    """Build without optimisation, and run the tests of what is compiled; the exit code of what failed first."""
    return _check("unoptimised", lambda _: ((*_PYTEST, *OF_WHAT_IS_COMPILED),))


def check(seconds: float) -> int:
    """Build, test, and run each part of the campaign for so long; the exit code of what failed first."""

    def commands(folder: str) -> tuple[tuple[str, ...], ...]:
        state = f"{folder}/state.json"
        campaign = ("-m", "crdt_bench", "campaign", *PARTS, "--seconds", str(seconds), "--state", state)
        return campaign, (*_PYTEST, *TESTS)

    return _check("1", commands)


def _check(how: str, commands: Callable[[str], tuple[tuple[str, ...], ...]]) -> int:
    """Build as `how` says, and run on that what `commands` says, given a folder; the first exit code that is not 0."""
    with TemporaryDirectory(prefix="crdt-sync-compiled-") as name:
        folder = Path(name)
        tree = folder / "tree"
        kept = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "results")
        shutil.copytree(ROOT, tree, ignore=kept)
        build = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", name)
        built = subprocess.run(build, cwd=ROOT, check=False, env=os.environ | {"CRDT_SYNC_COMPILE": how})
        if built.returncode:
            return built.returncode
        (wheel,) = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            libraries = [file for file in archive.namelist() if file.endswith((".so", ".pyd"))]
            if not libraries:
                print("the build compiled nothing", flush=True)
                return 1
            archive.extractall(tree, libraries)
        paths = (tree, tree / "relay", tree / "benchmarks")
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "CRDT_SYNC_DATA": os.environ.get("CRDT_SYNC_DATA", str(ROOT.parent / "shared" / "data")),
        }
        version = ("-m", "crdt_sync", "--version")
        for command in (version, *commands(name)):
            code = subprocess.run([sys.executable, "-P", *command], cwd=tree, check=False, env=environment).returncode
            if code:
                return code
    return 0


def skip_what_changes_compiled_modules() -> None:
    """Skip tests from where they plant something in a compiled module: its functions call each other all the same."""
    original: Callable[..., None] = pytest.MonkeyPatch.setattr
    planted: Callable[[Mutant], AbstractContextManager[None]] = Mutant.planted

    def setattr_unless_compiled(patch: pytest.MonkeyPatch, target: object, *given: object, **options: object) -> None:
        _skip_if_compiled(target)
        original(patch, target, *given, **options)

    def planted_unless_compiled(mutant: Mutant) -> AbstractContextManager[None]:
        for where, _, _ in mutant.patches:
            _skip_if_compiled(where)
        return planted(mutant)

    pytest.MonkeyPatch.setattr = setattr_unless_compiled  # type: ignore[assignment, method-assign]
    Mutant.planted = planted_unless_compiled  # type: ignore[assignment, method-assign]


def _skip_if_compiled(target: object) -> None:
    name = getattr(target, "__module__", None) or getattr(target, "__name__", "")
    file = getattr(sys.modules.get(str(name)), "__file__", None)
    if file is not None and not file.endswith(".py"):
        pytest.skip("changes what is compiled")
