"""A disk that is full, fails or dies: nothing acknowledged is lost, and the store works again afterwards."""

import os
import random
import signal
import subprocess
import sys
import threading
from contextlib import suppress

import lmdb
import pytest

from crdt_sync.errors import StoreCorrupt, StoreExists, StoreFailed, StoreForbidden, StoreFormat, StoreFull
from crdt_sync.storage import Batch, LmdbStore
from crdt_sync.storage.lmdb import environment as environment_module
from crdt_sync.storage.lmdb.failures import translate

FILL = """
import resource, signal, sys
from pathlib import Path
from crdt_sync.errors import StoreFull
from crdt_sync.storage import Batch, Change, LmdbStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = LmdbStore.open(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
def commit(size):
    return store.commit([Batch(changes=(Change("customers/ann", (b"u" * size,), b"o" * 16, "anna", 1, b"sv"),))])
done = 0
try:
    while True:
        commit(20_000)
        done += 1
except StoreFull as error:
    assert error.retryable and error.hint
assert store.head() == done == store.record_head("customers/ann").tail, (store.head(), done)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
commit(20_000)
assert store.verify().findings == ()
print(done + 1)
"""

WRITE = """
import sys
from pathlib import Path
from crdt_sync.storage import Batch, Change, LmdbStore
store = LmdbStore.open(Path(sys.argv[1]))
number = store.head()
while True:
    number += 1
    update = b"%d" % number + b"." * 300
    record = "customers/%d" % (number % 7)
    store.commit([Batch(changes=(Change(record, (update,), b"o" * 16, "anna", 1, b"sv", digest=b"d" * 16),))])
    sys.stdout.write("%d\\n" % number)
    sys.stdout.flush()
"""


def test_a_full_disk_refuses_the_write_and_takes_the_next_when_there_is_room(lmdb_store, lmdb_path):
    lmdb_store.close()
    result = subprocess.run([sys.executable, "-c", FILL, str(lmdb_path)], capture_output=True, text=True, check=False)
    assert result.stderr == ""
    store = LmdbStore.open(lmdb_path)
    assert store.head() == int(result.stdout) > 10
    store.close()


def test_a_map_that_is_too_small_grows(lmdb_path, change):
    store = LmdbStore.open(lmdb_path, create=True, map_bytes=1 << 17)
    updates = tuple(random.Random(number).randbytes(100_000) for number in range(20))
    store.commit([Batch(changes=(change("customers/ann", *updates),))])
    store.commit([Batch(changes=(change("customers/bob", b"1"),))])
    assert store.load("customers/ann").updates == updates
    store.close()
    store = LmdbStore.open(lmdb_path, map_bytes=1 << 17)
    assert store.load("customers/ann").updates == updates
    store.commit([Batch(changes=(change("customers/ann", *updates),))])
    assert store.verify().findings == ()
    store.close()


def test_a_map_grows_while_other_threads_read(lmdb_path, change):
    store = LmdbStore.open(lmdb_path, create=True, map_bytes=1 << 17)
    store.commit([Batch(changes=(change("customers/ann", b"1"),))])
    done = threading.Event()
    wrong = []

    def read():
        while not done.is_set():
            if store.load("customers/ann").updates != (b"1",):
                wrong.append(1)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(30):
        store.commit([Batch(changes=(change(f"customers/{number}", bytes(100_000)),))])
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert store.verify().findings == ()
    store.close()


GROW = """
import os, resource, sys
from pathlib import Path
from crdt_sync.errors import StoreFailed
from crdt_sync.storage import Batch, Change, LmdbStore

def put(record, size):
    store.commit([Batch(changes=(Change(record, (os.urandom(size),), bytes(16), "ann", 1, b"\\0"),))])

store = LmdbStore.open(Path(sys.argv[1]), create=True, map_bytes=1 << 17)
put("customers/ann", 1)
first = store.load("customers/ann").updates
_, most = resource.getrlimit(resource.RLIMIT_AS)
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (100 << 20), most))
refused = 0
for number in range(40):
    try:
        put(f"customers/{number}", 3 << 20)
    except StoreFailed:
        refused += 1
        assert store.load("customers/ann").updates == first
assert refused > 10, refused
resource.setrlimit(resource.RLIMIT_AS, (most, most))
put("customers/bob", 3 << 20)
assert store.count() == 42 - refused
assert store.verify().findings == ()
"""


def test_a_map_that_cannot_grow_fails_that_commit_and_nothing_else(tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", GROW, str(tmp_path / "store")], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")


FAILURES = [lmdb.PanicError("panic"), lmdb.Error("mdb_txn_commit: Input/output error"), lmdb.DiskError("broken")]


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("lands", [False, True])
def test_a_failed_commit_is_refused_and_the_next_one_works(lmdb_store, change, monkeypatch, error, lands):
    lmdb_store.commit([Batch(changes=(change("customers/ann", b"kept"),))])

    def fail(transaction):
        if lands:
            transaction.commit()
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(environment_module, "commit", fail)
        with pytest.raises(StoreFailed) as caught:
            lmdb_store.commit([Batch(changes=(change("customers/ann", b"refused"),))])
    assert caught.value.retryable
    assert lmdb_store.head() == (2 if lands else 1)
    committed = lmdb_store.commit([Batch(changes=(change("customers/ann", b"next"),))])
    assert committed[0].seqs == ((3,),) if lands else committed[0].seqs == ((2,),)
    expected = (b"kept", b"refused", b"next") if lands else (b"kept", b"next")
    assert lmdb_store.load("customers/ann").updates == expected
    assert lmdb_store.verify().findings == ()


def test_a_store_that_cannot_be_opened_again_says_so_until_it_can(lmdb_store, change, monkeypatch):
    def fail(*_arguments, **_options):
        raise lmdb.Error("Input/output error")

    lmdb_store.commit([Batch(changes=(change("customers/ann", b"kept"),))])
    with monkeypatch.context() as patch:
        patch.setattr(environment_module, "commit", fail)
        patch.setattr(lmdb, "open", fail)
        for _ in range(2):
            with pytest.raises(StoreFailed):
                lmdb_store.commit([Batch(changes=(change("customers/ann", b"refused"),))])
        with pytest.raises(StoreFailed):
            lmdb_store.load("customers/ann")
    lmdb_store.commit([Batch(changes=(change("customers/ann", b"next"),))])
    assert lmdb_store.load("customers/ann").updates == (b"kept", b"next")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (lmdb.Error("x: No space left on device"), StoreFull),
        (OSError(122, "Disk quota exceeded"), StoreFull),
        (OSError(30, "Read-only file system"), StoreForbidden),
        (lmdb.MemoryError("x: Cannot allocate memory"), StoreFailed),
        (lmdb.CorruptedError("x"), StoreCorrupt),
        (lmdb.VersionMismatchError("x"), StoreFormat),
        (lmdb.PanicError("x"), StoreFailed),
    ],
)
def test_each_failure_has_its_error_with_a_next_step(tmp_path, error, expected):
    translated = translate(error, tmp_path)
    assert type(translated) is expected
    assert translated.hint
    assert ("disk" in translated.hint) <= ("memory" not in str(error))


ACKNOWLEDGE_EARLY = (
    WRITE.replace("    store.commit([Batch(changes=(", "    waiting.append(Batch(changes=(")
    .replace(
        'digest=b"d" * 16),))])',
        'digest=b"d" * 16),)))\n    if number % 10 == 0:\n        store.commit(waiting); waiting = []',
    )
    .replace("number = store.head()", "number = store.head(); waiting = []")
)


def kill_while_writing(path, script, rng):
    """Run `script`, kill it after some commits, and return the last number that it acknowledged."""
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True) as child:
        for _ in range(rng.randrange(1, 60)):
            acknowledged = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read().splitlines(keepends=True)
    return max([acknowledged, *(int(line) for line in rest if line.endswith("\n"))])


def test_a_killed_writer_loses_nothing_that_it_acknowledged(lmdb_store, lmdb_path):
    lmdb_store.close()
    rng = random.Random(11)
    for _ in range(20):
        acknowledged = kill_while_writing(lmdb_path, WRITE, rng)
        with LmdbStore.open(lmdb_path) as store:
            assert store.head() >= acknowledged
            numbers = [int(entry.update.rstrip(b".")) for entry in store.log(0, 1 << 30, 1 << 30)]
            assert numbers == list(range(1, store.head() + 1))
            assert store.verify().findings == ()


def test_killing_shows_a_writer_that_acknowledges_too_early(lmdb_store, lmdb_path):
    lmdb_store.close()
    rng = random.Random(12)
    losses = 0
    for _ in range(5):
        acknowledged = kill_while_writing(lmdb_path, ACKNOWLEDGE_EARLY, rng)
        with LmdbStore.open(lmdb_path) as store:
            losses += store.head() < acknowledged
    assert losses > 0


def test_a_store_is_not_used_across_a_fork(lmdb_store, change, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: -1)
        with pytest.raises(StoreFailed, match="another process"):
            lmdb_store.commit([Batch(changes=(change("customers/ann", b"1"),))])
    lmdb_store.commit([Batch(changes=(change("customers/ann", b"1"),))])


READ = """
import lmdb, sys
environment = lmdb.open(sys.argv[1], readonly=True, max_dbs=16)
with environment.begin():
    print("reading", flush=True)
    sys.stdin.read()
"""


def test_the_slot_of_a_killed_reader_is_freed_within_a_minute(lmdb_path, change):
    now = [1_000_000]
    store = LmdbStore.open(lmdb_path, create=True, now=lambda: now[0])
    with subprocess.Popen(
        [sys.executable, "-c", READ, str(lmdb_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "reading\n"
        child.kill()
    now[0] += 59_999_999
    store.commit([Batch(changes=(change("customers/ann", b"1"),))])
    assert str(child.pid) in store._environment.readers()
    now[0] += 1
    store.commit([Batch(changes=(change("customers/ann", b"2"),))])
    assert str(child.pid) not in store._environment.readers()
    store.close()


def test_a_copy_made_while_writing_is_whole_and_begins_a_new_epoch(lmdb_store, tmp_path, change):
    lmdb_store.commit([Batch(changes=(change("customers/ann", b"1"),))])
    done = threading.Event()

    def write():
        number = 1
        while not done.is_set():
            number += 1
            lmdb_store.commit([Batch(changes=(change(f"customers/{number % 50}", b"%d" % number),))])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        lmdb_store.copy(tmp_path / "copy")
    finally:
        done.set()
        writer.join()
    with LmdbStore.open(tmp_path / "copy") as copy:
        assert copy.replica == lmdb_store.replica
        assert copy.epoch != lmdb_store.epoch
        assert 1 <= copy.head() <= lmdb_store.head()
        assert copy.log(0, 1 << 20, 1 << 30) == lmdb_store.log(0, copy.head(), 1 << 30)
        assert copy.verify().findings == ()
        epoch = copy.epoch
    with LmdbStore.open(tmp_path / "copy") as again:
        assert again.epoch == epoch
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "store"]


def test_a_copy_replaces_nothing_but_the_rest_of_an_interrupted_one(lmdb_store, tmp_path):
    (tmp_path / "copy.partial").mkdir()
    (tmp_path / "copy.partial" / "data.mdb").write_bytes(b"half")
    lmdb_store.copy(tmp_path / "copy")
    with pytest.raises(StoreExists):
        lmdb_store.copy(tmp_path / "copy")
    LmdbStore.open(tmp_path / "copy").close()


def test_a_copy_to_a_place_that_is_full_is_refused(lmdb_store, tmp_path, monkeypatch):
    def fail(_path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lmdb_store._environment, "copy", fail)
    with pytest.raises(StoreFull):
        lmdb_store.copy(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_disk_that_fills_up_is_reported_as_full_and_loses_nothing(tmp_path, change):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        with LmdbStore.open(disk / "store", create=True) as store:
            (disk / "ballast").write_bytes(bytes(100_000))
            done = 0
            with suppress(StoreFull):
                while done < 1000:
                    store.commit([Batch(changes=(change("customers/ann", random.randbytes(30_001)),))])
                    done += 1
            assert 10 < done < 100
            assert store.head() == done
            (disk / "ballast").unlink()
            store.commit([Batch(changes=(change("customers/ann", b"next"),))])
            assert store.load("customers/ann").updates[-1] == b"next"
            assert store.verify().findings == ()
    finally:
        subprocess.run(["umount", str(disk)], check=True)
