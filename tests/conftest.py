"""Fixtures that every test may use."""

import fcntl
import gc
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from crdt_bench import child
from crdt_bench.simulator.checkers import transitions
from crdt_sync.storage.lmdb import identity
from crdt_sync.version import installed
from tests.compiled import skip_what_changes_compiled_modules
from tests.forks import Forked
from tests.local_workers import use_local_workers, use_processes

SPAWNED_CHILD = child.spawned
SPAWNED = Path(__file__).with_name("spawned")  # what every Python that a test spawns begins with

settings.register_profile("ordinary", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("ordinary")
if installed().compiled:
    skip_what_changes_compiled_modules()

# The tests start the program some hundred times, and where no compiled modules are kept each start compiles it anew,
# which is half of its work.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than there are processors: many tests wait for other processes."""
    return (os.cpu_count() or 1) + 1


gc.set_threshold(20_000, 20, 20)  # allocations: of what is made while tests are collected all stays


def pytest_collection_finish() -> None:
    """The tests themselves, some ten thousand, live to the end: a fifth of all work was looking for garbage in them."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def broken_states(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Every session of a test changes its state only as `crdt_sync.protocol.states` says, in processes that a test
    spawns, too: what those find stands in this file.
    """
    found = tmp_path_factory.mktemp("states") / "broken"
    path = os.pathsep.join(filter(None, (str(SPAWNED), os.environ.get("PYTHONPATH"))))
    with pytest.MonkeyPatch.context() as patched, transitions.enforced():
        patched.setenv("PYTHONPATH", path)
        patched.setenv("CRDT_SYNC_STATES_BROKEN", str(found))
        yield found


@pytest.fixture(autouse=True)
def state_table(broken_states: Path) -> Iterator[None]:
    """A test fails where a process that it spawned broke the table."""
    yield
    if broken_states.exists():
        broken = broken_states.read_text("utf-8")
        broken_states.unlink()
        pytest.fail(f"in a process of its own: {broken}")


@pytest.fixture
def local_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Integration workers are no processes, for tests that are about other things."""
    use_local_workers(monkeypatch)


@pytest.fixture
def worker_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are processes, for one test among others where they are not."""
    use_processes(monkeypatch)


@pytest.fixture
def forked_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes of an experiment are forked: see `tests.forks`."""
    monkeypatch.setattr(child, "spawned", lambda *arguments: Forked("crdt_bench.child", *arguments))


@pytest.fixture
def spawned_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are begun as people begin them, for one test among others where they are forked."""
    monkeypatch.setattr(child, "spawned", SPAWNED_CHILD)


@pytest.fixture
def format_2(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores are made in the format that knows no renewed records."""
    monkeypatch.setattr(identity, "NEW", identity.FORMAT)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real customer tables and edit histories, or a skip where it is absent."""
    root = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("CRDT_SYNC_DATA", root.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("the folder shared/data is not beside this checkout; set CRDT_SYNC_DATA to its place")
    return folder


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    """made_once("tables", make): the folder that `make` filled, in whichever test process came to it first.

    All processes of a run read it; who changes what is in it copies it first.
    """
    own = tmp_path_factory.getbasetemp()
    common = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def made(name: str, make: Callable[[Path], None]) -> Path:
        folder, unfinished = common / name, common / f"{name}.unfinished"
        with (common / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                shutil.rmtree(unfinished, ignore_errors=True)  # of a process in which it failed
                unfinished.mkdir()
                make(unfinished)
                unfinished.rename(folder)
        return folder

    return made
