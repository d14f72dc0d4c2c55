"""A restore happens within the data directory: it may be a mount point, and all that the relay's user may write to."""

import json
import os
from pathlib import Path

import pytest

from tests.mounts import mounted, read_only

from .devices import stored_markers
from .test_cli import Run, filled, run

__all__ = ["run"]  # the fixture


@pytest.fixture
def backup(run: Run, tmp_path: Path) -> Path:
    """Of two records."""
    data = filled(tmp_path / "first")
    assert run("backup", tmp_path / "backup", "--data", data)[0] == 0
    return tmp_path / "backup"


def test_onto_a_mount_point_and_twice_within_a_second(run: Run, tmp_path: Path, backup: Path) -> None:
    with mounted(tmp_path / "data", "size=8m") as data:
        assert run("restore", backup, "--data", data)[0] == 0
        kept = []
        for _ in range(2):
            code, out, err = run("restore", backup, "--data", data, "--replace", "--json")
            assert code == 0, err
            kept.append(Path(json.loads(out)["previous"]))
        assert len(set(kept)) == 2
        for path in (data, *kept):
            assert path.is_relative_to(data)
            assert set(stored_markers(path)) == {"customers/a", "customers/b"}
        assert run("verify", "--data", data)[0] == 0
        assert not (data / "restoring").exists()


def test_nothing_is_written_beside_the_data_directory(run: Run, tmp_path: Path, backup: Path) -> None:
    home = tmp_path / "home of the relay"
    home.mkdir()
    data = filled(home / "data")
    before = sorted(home.iterdir())
    assert run("restore", backup, "--data", data, "--replace")[0] == 0
    assert sorted(home.iterdir()) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to give files away")
def test_what_root_restores_belongs_to_the_user_whose_directory_it_is(run: Run, tmp_path: Path, backup: Path) -> None:
    data = filled(tmp_path / "data")
    for path in (data, *data.iterdir()):
        os.chown(path, 65534, 65534)
    assert run("restore", backup, "--data", data, "--replace")[0] == 0
    assert {path.stat().st_uid for path in (data, *data.rglob("*"))} == {65534}


def test_a_backup_on_a_medium_that_cannot_be_written_to_is_verified(run: Run, tmp_path: Path, backup: Path) -> None:
    with mounted(tmp_path / "disk", "size=8m") as disk:
        (disk / "data.mdb").write_bytes((backup / "data.mdb").read_bytes())
        read_only(disk)
        code, out, err = run("verify", "--data", disk)
        assert code == 0, err
        assert "2 records loaded" in out
        assert run("restore", disk, "--data", tmp_path / "restored")[0] == 0


def test_whatever_only_reads_works_on_a_medium_that_cannot_be_written_to(
    run: Run, tmp_path: Path, backup: Path
) -> None:
    copy = tmp_path / "copy"
    with mounted(tmp_path / "disk", "size=8m") as disk:
        (disk / "data.mdb").write_bytes((backup / "data.mdb").read_bytes())
        read_only(disk)
        code, out, err = run("status", "--data", disk, "--json")
        assert code == 0, err
        assert json.loads(out)["records"] == 2
        assert run("verify", "--aside", "--data", disk)[0] == 0
        code, _, err = run("backup", copy, "--data", disk)
        assert code == 0, err
        code, _, err = run("compact", "--data", disk, "--json")
        assert (code, json.loads(err)["error"]) == (3, "store_forbidden")
    assert stored_markers(copy) == stored_markers(backup)
