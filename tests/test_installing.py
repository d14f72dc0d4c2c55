"""What an installation puts among other people's packages."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = {"crdt_sync", "crdt_relay", "crdt_bench"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed packages: our wheel, and packages of others that are called `relay` and `benchmarks`."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    for name in ("relay", "benchmarks"):
        foreign = folder / "site" / name
        foreign.mkdir()
        (foreign / "__init__.py").write_text("OWNER = 'somebody else'\n", encoding="utf-8")
    return folder / "site"


def test_the_wheel_installs_our_names_only(site: Path) -> None:
    installed = {path.name for path in site.iterdir() if not path.name.endswith(".dist-info")}
    assert installed - {"relay", "benchmarks"} == OURS


def test_all_three_commands_run_beside_foreign_packages(site: Path, tmp_path: Path) -> None:
    code = (
        "import sys, relay, benchmarks\n"
        "from crdt_sync.__main__ import main as sync\n"
        "from crdt_relay.__main__ import main as serve\n"
        "from crdt_bench.__main__ import main as bench\n"
        "import crdt_sync, crdt_relay, crdt_bench\n"
        "assert relay.OWNER == benchmarks.OWNER == 'somebody else'\n"
        f"assert all(package.__file__.startswith({str(site)!r}) for package in (crdt_sync, crdt_relay, crdt_bench))\n"
        "for command in (sync, serve, bench):\n"
        "    sys.argv = ['it', '--help']\n"
        "    assert not command(), command\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        check=False, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(site)}, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_an_editable_installation_hides_no_foreign_package(tmp_path: Path) -> None:
    """The folders `relay` and `benchmarks` of a checkout are no packages: whoever has such a package imports theirs."""
    for name in ("relay", "benchmarks"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("OWNER = 'somebody else'\n", encoding="utf-8")
    code = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'relay')!r}, {str(ROOT / 'benchmarks')!r}]\n"
        f"sys.path.append({str(tmp_path)!r})\n"
        "import relay, benchmarks, crdt_relay, crdt_bench\n"
        "assert relay.OWNER == benchmarks.OWNER == 'somebody else'\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=False, cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
