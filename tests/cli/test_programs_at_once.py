"""Two, four and eight programs over one store that is kept in sync: edits, an import and a sync of all at once."""

import time

import pytest

from crdt_sync.cli.background import LOG_NAME
from tests.cli.conftest import TOKEN, finish, start
from tests.replica.owner.conftest import Program

ROWS = 120


@pytest.mark.parametrize("count", [2, 4, 8])
def test_every_edit_is_there_and_on_the_relay_and_the_session_stays(run, tmp_path, relay, count):
    store, other = tmp_path / "anna", tmp_path / "ben"
    table = tmp_path / "guests.csv"
    table.write_text("Number;Name\n" + "".join(f"{row};Guest {row}\n" for row in range(ROWS)), "utf-8")
    for name, path in (("anna", store), ("ben", other)):
        assert run("init", name, "--store", path, "--relay", relay.url, "--token", TOKEN).code == 0
    assert run("up", "--store", store).code == 0
    programs = [Program(store, f"p{number}") for number in range(count - 1)]
    try:
        while "in sync" not in (log := (store / LOG_NAME).read_text()):
            time.sleep(0.02)
        assert not any(program.ready() for program in programs)
        for number, program in enumerate(programs):
            program.begin_to("tick", "customers/us", 10, f"customers/p{number}")
        bringing = start("import", table, "--collection", "guests", "--key", "Number", "--store", store)
        syncing = start("sync", "--store", store)
        assert [program.answer() for program in programs] == [10] * len(programs)
        assert (finish(bringing).code, finish(syncing).code) == (0, 0)
        assert run("sync", "--store", store).code == 0
        assert run("sync", "--store", other).code == 0
        status = run("status", "--json", "--store", store).object
        log = (store / LOG_NAME).read_text()
    finally:
        for program in programs:
            program.end()
        run("down", "--store", store)
    for path in (store, other):
        assert run("get", "customers/us", "visits", "--store", path).out == f"{10 * len(programs)}\n"
        assert len(run("list", "guests", "--json", "--limit", ROWS + 1, "--store", path).objects) == ROWS
    assert status["owner"]["role"] == "crdt-sync up"
    assert (log.count("connecting"), log.count("offline")) == (1, 0), log
