"""Files of keys: their owner's alone, never written over, and errors that say what to do."""

import os
import stat
from pathlib import Path

import pytest

from crdt_sync.errors import KeyUnusable
from crdt_sync.key_files import make_key, open_to_others, read_key


def test_a_key_is_made_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "device.key"
    made = make_key(path)
    assert read_key(path).public == made.public
    assert make_key(tmp_path / "other.key").public != made.public


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
def test_nobody_else_can_read_it_and_it_is_told_where_they_can(tmp_path: Path) -> None:
    path = tmp_path / "device.key"
    make_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not open_to_others(path)
    for mode in (0o640, 0o604, 0o660):
        path.chmod(mode)
        assert open_to_others(path)
        read_key(path)
    assert not open_to_others(tmp_path / "none")


def test_a_key_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "device.key"
    before = make_key(path).public
    with pytest.raises(KeyUnusable, match="already"):
        make_key(path)
    assert read_key(path).public == before


def test_what_is_no_key_is_an_error_with_a_next_step(tmp_path: Path) -> None:
    path = tmp_path / "device.key"
    make_key(path)
    path.write_bytes(path.read_bytes()[:-40])
    for broken in (path, tmp_path / "none", tmp_path):
        with pytest.raises(KeyUnusable) as error:
            read_key(broken)
        assert str(broken) in error.value.message
        assert error.value.hint
    with pytest.raises(KeyUnusable, match="cannot be written"):
        make_key(tmp_path / "none" / "device.key")
