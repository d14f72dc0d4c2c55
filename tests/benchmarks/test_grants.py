"""Who may hold what, against a plain model: nothing is told that is not allowed, and all that is allowed comes."""

import pytest

from crdt_bench.grants.mutants import MUTANTS
from crdt_bench.grants.oracle import NotAllowed
from crdt_bench.grants.world import World
from crdt_sync.storage.lmdb import LmdbStore

_STEPS = 120
_SEEDS_MAX = 40  # most bugs show in the first few histories


@pytest.mark.parametrize("seed", range(8))
def test_each_device_is_told_and_holds_what_its_user_may_hold(seed):
    world = World(seed)
    world.run(_STEPS)
    assert world.told > 50


class OnDisk:
    """Stores in one directory."""

    def __init__(self, path):
        self.path = path

    def open(self, path, *, create=False):
        return LmdbStore.open(self.path / path, create=create, map_bytes=1 << 24)

    def exists(self, path):
        return LmdbStore.exists(self.path / path)


def test_a_relay_on_disk_does_the_same(tmp_path):
    world = World(100, stores=OnDisk(tmp_path))
    world.run(_STEPS)
    assert world.host.store.verify().findings == ()
    world.host.store.close()


@pytest.mark.parametrize("bug", MUTANTS)
def test_a_planted_bug_is_noticed(bug):
    with MUTANTS[bug]():
        for seed in range(_SEEDS_MAX):
            try:
                World(seed).run(_STEPS)
            except (NotAllowed, AssertionError):
                return
    pytest.fail(f"nobody noticed: {bug}")
