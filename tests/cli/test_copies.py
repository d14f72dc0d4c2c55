"""A copy of the store from before its upgrade is nothing that is forgotten."""

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from crdt_sync.replica import Replica

from .conftest import Run


@pytest.mark.usefixtures("format_2")
def test_a_status_names_the_copy_from_before_an_upgrade_until_it_is_deleted(
    run: Run, made: Callable[..., str], store: Path
) -> None:
    assert run("status", "--json").object["copies"] == []
    assert "rm -r" not in run("status").out
    record = made("name=Müller")
    with Replica.open(store) as replica:
        assert replica.renew(record)
    (copy,) = store.glob("format-2-*")
    (store / "format-2-2023-11-14.partial").mkdir()  # of a process that was killed
    assert run("status", "--json").object["copies"] == [str(copy)]
    (told,) = [line for line in run("status").out.splitlines() if "before its upgrade" in line]
    *_, command, option, path = shlex.split(told)
    assert (command, option) == ("rm", "-r")
    shutil.rmtree(path)
    assert run("status", "--json").object["copies"] == []
    assert run("get", record).code == 0
