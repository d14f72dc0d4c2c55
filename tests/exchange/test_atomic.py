import os

import pytest

from crdt_sync.errors import TableNotWritten
from crdt_sync.exchange.atomic import atomic_file


def test_a_file_appears_whole(tmp_path):
    path = tmp_path / "a.csv"
    with atomic_file(path) as stream:
        stream.write(b"new")
        stream.flush()
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"old")

    def fail():
        with atomic_file(path) as stream:
            stream.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_the_permissions_of_a_replaced_file_are_kept(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"old")
    path.chmod(0o640)
    with atomic_file(path) as stream:
        stream.write(b"new")
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_link_goes_on_pointing_where_it_points(tmp_path):
    (tmp_path / "real.csv").write_bytes(b"old")
    (tmp_path / "link.csv").symlink_to("real.csv")
    with atomic_file(tmp_path / "link.csv") as stream:
        stream.write(b"new")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_bytes() == b"new"


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(TableNotWritten), atomic_file(tmp_path / "none" / "a.csv"):
        pass
