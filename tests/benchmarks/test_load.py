"""The experiments of load at a tiny size: what is counted is what was stored and delivered. No timing is judged."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from crdt_bench.contents import make_device
from crdt_bench.experiments import disk_use, following, hot_record, write_and_close
from crdt_bench.load.connection import Connection
from crdt_bench.load.steady import TimedFollower
from tests.benchmarks.test_experiments import measured

pytestmark = pytest.mark.usefixtures("forked_children")


def test_every_update_reaches_every_follower() -> None:
    found = measured(following.run(following.SMALL))
    floor = "floor: a bare server, 100 edits a second to 2 followers"
    for what in ("100 edits a second to 3 followers", "200 edits a second to 3 followers", floor):
        p50, p99, most = (found[f"{what}: due to delivered, {share}"].samples for share in ("p50", "p99", "most"))
        assert len(p50) == following.SMALL.rounds
        assert all(0 < low <= high <= top for low, high, top in zip(p50, p99, most, strict=True))
    ours, theirs = (
        found[f"{what}: due to delivered, p99"].samples for what in ("100 edits a second to 2 followers", floor)
    )
    over = found["100 edits a second to 2 followers: p99 over that of the floor"].samples
    assert over == pytest.approx([one / other for one, other in zip(ours, theirs, strict=True)])
    an_edit = found["200 edits a second to 3 followers: processor time of the server, an edit"].samples
    taken = found["200 edits a second to 3 followers: processors that the relay takes"].samples
    assert taken == pytest.approx([milliseconds / 1000 * 200 for milliseconds in an_edit])


def test_a_follower_that_gets_several_updates_at_once_has_a_delay_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.5, 14.0])
    monkeypatch.setattr("crdt_bench.load.steady.time", SimpleNamespace(perf_counter=lambda: next(clock)))
    follower = TimedFollower(Connection.__new__(Connection), [])
    follower.moved(4)
    follower.moved(6)
    assert follower.delays(4, [10.0, 11.0, 12.0]) == [0.5, 3.0, 2.0]
    assert follower.delays(7, [13.0]) == []


def test_a_hot_record_is_one_record_in_each_way_of_writing_it() -> None:
    found = measured(hot_record.run(hot_record.SMALL))
    assert [name for name in found if name.endswith("acknowledged on disk")] == [
        "one device, one update a frame, acknowledged on disk",
        "one device, ten updates a frame, acknowledged on disk",
        "2 devices, one update a frame, acknowledged on disk",
    ]
    assert len(found["the record after 80 updates of one device, to an empty one"].samples) == 2


def test_what_is_kept_of_devices_that_leave_at_once_is_counted() -> None:
    found = measured(write_and_close.run(write_and_close.SMALL))
    assert found["of 3 devices that send 2 pushes and close at once: pushes kept"].value in (
        100 * kept / 6 for kept in range(7)
    )


def test_disk_is_told_by_database_and_the_databases_are_in_the_file(tmp_path: Path) -> None:
    make_device(tmp_path / "device", 40)
    found = disk_use.used(tmp_path / "device")
    assert found.total == (tmp_path / "device" / "data.mdb").stat().st_size
    assert min(found.tables["log"], found.tables["views"]) > 40 * 500
    assert sum(found.tables.values()) < found.total


def test_records_take_disk_on_relay_and_device_whole_and_edited() -> None:
    found = measured(disk_use.run(disk_use.SMALL))
    whole = found["documents that come whole"].value
    for name in ("relay", "device that fetched them", "device that made them"):
        assert found[f"came whole, {name}"].value > whole
    assert found["edited 1 times, relay"].value > found["came whole, relay"].value
    assert "edited 1 times, relay, compacted and copied: log" in found
