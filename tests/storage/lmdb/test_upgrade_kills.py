"""A process that is killed while the format of its store is raised: what was acknowledged is there all the same."""

import os
import random
import select
import signal
import time

import pytest

from crdt_sync.storage import Batch, LmdbStore
from crdt_sync.storage.lmdb import identity, upgrade

BEFORE = 3  # commits in the format that earlier releases know; the next one is renewed, and raises it
ALL = 6
KILLS = 12

pytestmark = pytest.mark.usefixtures("format_2")


@pytest.fixture
def write(change):
    """write(path, said): commit everything to a new store, and say the number of each commit that is acknowledged."""

    def written(path, said):
        with LmdbStore.open(path, create=True, map_bytes=1 << 26) as store:
            for number in range(1, ALL + 1):
                update = str(number).encode()
                made = change("customers/ann", update, snapshot=update)
                if number > BEFORE:
                    made = made._replace(renewed=number == BEFORE + 1, lineage=77)
                store.commit([Batch(changes=(made,))])
                os.write(said, bytes([number]))

    return written


def killed(write, path, rng, upgrade_s, after=BEFORE):
    """Kill whoever writes at some moment of the commit that follows `after` acknowledged ones, the one that raises the
    format if not told; returns the last number acknowledged.
    """
    hears, said = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            write(path, said)
        finally:
            os._exit(0)
    os.close(said)
    heard = b""
    while len(heard) < after:
        heard += os.read(hears, 1)
    select.select([hears], [], [], rng.random() * upgrade_s)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while rest := os.read(hears, ALL):
        heard += rest
    os.close(hears)
    assert heard == bytes(range(1, len(heard) + 1))
    return len(heard)


def examine(path, acknowledged):
    """What must hold after a kill. Returns how far it had come."""
    copies = sorted(each.name for each in path.iterdir() if each.name.startswith("format-2-"))
    with LmdbStore.open(path) as store:
        updates = [entry.update for entry in store.log(0, 1 << 30, 1 << 30)]
        assert updates == [str(number).encode() for number in range(1, len(updates) + 1)]
        assert len(updates) >= acknowledged
        assert store.verify().findings == ()
        raised = store._environment.read(identity.read_format) == identity.LINEAGES
        assert raised == (len(updates) > BEFORE), "the format is of another moment than the records"
        assert (store.record_head("customers/ann").lineage == 77) == raised
    whole = [each for each in copies if not each.endswith(".partial")]
    assert whole or not raised, "upgraded without a copy"
    for name in whole:
        with LmdbStore.open(path / name) as before:
            assert before._environment.read(identity.read_format) == identity.FORMAT
            assert [entry.update for entry in before.log(0, 1 << 30, 1 << 30)] == updates[:BEFORE]
            assert before.verify().findings == ()
    return "raised" if raised else "copied" if whole else "copying" if copies else "before"


def run_kills(write, tmp_path, rng, times):
    hears, said = os.pipe()
    begun = time.perf_counter()
    write(tmp_path / "measured", said)
    duration_s = time.perf_counter() - begun
    os.close(said)
    os.close(hears)
    found = []
    for number in range(times):
        path = tmp_path / str(number)
        after = BEFORE if number else BEFORE + 1  # the first one once the format is raised
        found.append(examine(path, killed(write, path, rng, duration_s, after)))
    return found


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills what it forks")
def test_a_kill_in_an_upgrade_loses_nothing_that_was_acknowledged(write, tmp_path):
    found = run_kills(write, tmp_path, random.Random(7), KILLS)
    assert "raised" in found
    assert set(found) - {"raised"}, "no kill came before the format was raised"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills what it forks")
def test_kills_show_an_upgrade_that_raises_the_format_before_the_copy(write, tmp_path, monkeypatch):
    copying = upgrade.before_lineages

    def early(environment, now):
        environment.write(identity.know_lineages)
        copying(environment, now)

    monkeypatch.setattr(upgrade, "before_lineages", early)
    with pytest.raises(AssertionError, match=r"without a copy|another moment"):
        run_kills(write, tmp_path, random.Random(8), KILLS)
