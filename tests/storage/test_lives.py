"""Which cursors of past lives a store honours, also when its directory was put back behind its back."""

import shutil

import lmdb
import pytest

from crdt_sync.errors import StoreFailed
from crdt_sync.limits import LIVES_MAX
from crdt_sync.storage import Batch, LmdbStore, MemoryStore
from crdt_sync.storage.lmdb import environment

ANN = "customers/ann"


@pytest.fixture
def write(opened, change):
    """Commit so many updates to the store that is open."""

    def commit(count=1):
        for _ in range(count):
            opened.store.commit([Batch(changes=(change(ANN, b"u"),))])
        return opened.store.head()

    return commit


class Image:
    """What a store held at some moment, kept as it was."""

    def __init__(self, opened):
        self.opened = opened
        self.path = opened.path.with_name("image")
        if isinstance(opened.store, MemoryStore):
            self.content = opened.store.clone()
        else:
            opened.store.close()
            shutil.copytree(opened.path, self.path)

    def put_back(self):
        store = self.opened.store
        store.close()
        if isinstance(store, MemoryStore):
            self.opened.store = self.content.clone()
        else:
            shutil.rmtree(self.opened.path)
            shutil.copytree(self.path, self.opened.path)
            self.opened.store = LmdbStore.open(self.opened.path, map_bytes=1 << 26)
        return self.opened.store


def test_a_life_reaches_as_far_as_the_log_while_it_lasts(opened, write):
    life = opened.store.epoch
    assert opened.store.reach(life) == 0
    assert write(3) == opened.store.reach(life) == 3
    assert opened.store.reach(b"unknown".ljust(16)) is None


def test_a_life_ends_where_the_next_process_found_the_log(opened, write):
    life = opened.store.epoch
    write(3)
    store = opened.reopen()
    assert (store.epoch, store.reach(life)) == (life, 3)
    write(2)
    assert (store.head(), store.reach(life), opened.reopen().reach(life)) == (5, 3, 3)


def test_a_store_that_is_only_read_is_left_as_it_is(lmdb_store, lmdb_path):
    lmdb_store.close()
    before = (lmdb_path / "data.mdb").read_bytes()
    with LmdbStore.open(lmdb_path) as store:
        assert store.reach(store.epoch) == 0
    assert (lmdb_path / "data.mdb").read_bytes() == before


def test_a_life_that_begins_ends_the_one_before(opened, write):
    first = opened.store.epoch
    write(2)
    second = opened.store.begin_life()
    assert opened.store.epoch == second != first
    write(2)
    assert (opened.store.reach(first), opened.store.reach(second)) == (2, 4)
    assert opened.reopen().epoch == second


def test_processes_that_only_write_do_not_fill_the_list(opened, write):
    life = opened.store.begin_life()
    write()
    for _ in range(LIVES_MAX + 1):
        opened.reopen()
        write()
    assert opened.store.reach(life) == 1


def test_the_oldest_lives_are_forgotten(opened):
    lives = [opened.store.begin_life() for _ in range(LIVES_MAX + 1)]
    assert opened.reopen().reach(lives[0]) is None
    assert all(opened.store.reach(life) == 0 for life in lives[1:])


def test_what_was_handed_out_behind_an_image_is_not_honoured_once_it_is_put_back(opened, write):
    opened.reopen()
    lost = opened.store.begin_life()
    write(4)
    image = Image(opened)
    opened.store = image.put_back()  # the same life goes on in another process, which is not told
    opened.store.begin_life()
    write(6)
    store = image.put_back()
    assert (store.head(), store.reach(lost)) == (4, 4)
    went_on = store.begin_life()
    write(9)
    assert (store.reach(lost), store.reach(went_on)) == (4, 13)


def test_lives_that_began_behind_an_image_are_unknown_once_it_is_put_back(opened, write):
    write()
    image = Image(opened)
    opened.store = image.put_back()
    later = opened.store.begin_life()
    write()
    assert image.put_back().reach(later) is None


def test_two_histories_from_one_image_do_not_know_each_other(opened, write):
    write()
    image = Image(opened)
    lives = []
    for _ in range(2):
        store = image.put_back()
        lives.append(store.begin_life())
        write()
    assert (opened.store.reach(lives[0]), opened.store.reach(lives[1])) == (None, 2)


def test_a_renewed_epoch_is_the_only_one(opened, write):
    first, second = opened.store.epoch, opened.store.begin_life()
    write()
    renewed = opened.store.renew_epoch()
    store = opened.reopen()
    assert [store.reach(life) for life in (first, second, renewed)] == [None, None, 1]


def test_a_first_commit_that_fails_and_is_found_whole_has_ended_the_life(lmdb_store, lmdb_path, change, monkeypatch):
    life = lmdb_store.epoch
    lmdb_store.commit([Batch(changes=(change(ANN, b"1"),))])
    lmdb_store.close()
    commit = environment.commit

    def fails_late(transaction):
        commit(transaction)
        raise lmdb.Error("mdb_txn_commit: Input/output error")

    with LmdbStore.open(lmdb_path) as store:
        monkeypatch.setattr(environment, "commit", fails_late)
        with pytest.raises(StoreFailed):
            store.commit([Batch(changes=(change(ANN, b"2"),))])
        monkeypatch.undo()
        assert (store.head(), store.reach(life)) == (2, 1)
        store.commit([Batch(changes=(change(ANN, b"3"),))])
        assert store.reach(life) == 1
    with LmdbStore.open(lmdb_path) as store:
        assert store.reach(life) == 1
