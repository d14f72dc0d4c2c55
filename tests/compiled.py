"""The tests and parts of the campaign that hostile bytes are for, run on a wheel with compiled modules.

Building that takes a processor a minute and a half, and needs a C compiler: too dear for each run of all checks.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from crdt_bench.simulator.mutants import Mutant

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("hostile", "guided", "orders", "differential")
TESTS = (
    "tests/records",
    "tests/campaign/test_hostile.py",
    "tests/protocol",
    "tests/storage/lmdb",
    "tests/storage/ports",
    "tests/runtime/hosting",
    "tests/runtime/worker",
)


def check(seconds: float) -> int:
    """Build, test, and run each part of the campaign for so long; the exit code of what failed first."""
    with TemporaryDirectory(prefix="crdt-sync-compiled-") as name:
        folder = Path(name)
        tree = folder / "tree"
        kept = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "results")
        shutil.copytree(ROOT, tree, ignore=kept)
        build = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", name)
        subprocess.run(build, cwd=ROOT, check=True, env=os.environ | {"CRDT_SYNC_COMPILE": "1"})
        (wheel,) = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(tree, [file for file in archive.namelist() if file.endswith((".so", ".pyd"))])
        paths = (tree, tree / "relay", tree / "benchmarks")
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "CRDT_SYNC_DATA": os.environ.get("CRDT_SYNC_DATA", str(ROOT.parent / "shared" / "data")),
        }
        version = ("-m", "crdt_sync", "--version")
        campaign = ("-m", "crdt_bench", "campaign", *PARTS, "--seconds", str(seconds), "--state", f"{name}/state.json")
        tests = ("-m", "pytest", "-p", "no:cacheprovider", *TESTS)
        for command in (version, campaign, tests):
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
