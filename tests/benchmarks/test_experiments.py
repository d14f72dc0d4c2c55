"""Each experiment at a tiny size: it runs from end to end, and its figures mean what they say. No timing is judged."""

import json
import math
from pathlib import Path

import pytest
from click.testing import CliRunner

from crdt_bench.child import Child, ChildFailed
from crdt_bench.cli import app
from crdt_bench.contents import contents, make_relay_store
from crdt_bench.experiments import (
    bundles,
    catching_up,
    encryption,
    fan_out,
    granted,
    grown_records,
    holding,
    identity,
    instructions,
    latency,
    long_notes,
    policy,
    residency,
    signed_entries,
    start_up,
    table_import,
    throughput,
    transports,
    whole_device,
    workbook_passes,
)
from crdt_bench.results import Measurement, Outcome, Skipped
from crdt_sync.records.gate import loaded
from crdt_sync.storage.lmdb import LmdbStore

pytestmark = pytest.mark.usefixtures("forked_children")


def measured(outcomes: list[Outcome]) -> dict[str, Measurement]:
    """The measurements by their names; all of them are finite and none is negative."""
    found = {outcome.metric: outcome for outcome in outcomes if isinstance(outcome, Measurement)}
    assert found
    assert all(math.isfinite(sample) and sample >= 0 for item in found.values() for sample in item.samples)
    return found


def test_throughput_measures_floor_and_relay_in_the_same_rounds() -> None:
    found = measured(throughput.run(throughput.SMALL))
    floor, single = found["floor: bare forwarder"], found["one update a frame, acknowledged on disk"]
    ratio = found["one update a frame, over the floor"]
    assert len(floor.samples) == len(single.samples) == throughput.SMALL.rounds
    assert ratio.samples[0] == pytest.approx(single.samples[0] / floor.samples[0])
    assert found["ten updates a frame, acknowledged on disk"].value > 0


def test_every_follower_gets_every_update() -> None:
    found = measured(fan_out.run(fan_out.SMALL))
    what = "updates of one device delivered to 3"
    assert len(found[what].samples) == fan_out.SMALL.rounds
    assert found[what].value > 0
    assert 1 <= found[f"{what}: updates a frame"].value <= fan_out.SMALL.window


def test_latency_is_ordered_and_beside_the_cost_of_a_sync() -> None:
    found = measured(latency.run(latency.SMALL))
    p50, p99 = (item for name, item in found.items() if name.startswith("update pushed"))
    assert 0 < p50.value <= p99.value
    assert p99.target is not None
    assert p99.target.bound == pytest.approx(10 + found["one disk sync, p50"].value)


def test_transports_take_turns_at_the_same_work() -> None:
    found = measured(transports.run(transports.SMALL))
    assert len(found) == 12
    sent = [found[f"20 records sent: {side}"].value for side in ("websocket", "http")]
    assert found["20 records sent: http over websocket"].value == pytest.approx(sent[1] / sent[0])


def test_cold_sync_counts_every_byte_on_the_wire() -> None:
    found = measured(catching_up.run_cold(catching_up.SMALL))
    assert 1 < found["bytes on the wire, over the bytes of the documents"].value < 1.5


def test_reconnecting_takes_the_round_trips_that_it_promises_and_the_command_writes_it(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["reconnect", "--small", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "measurements.csv").is_file()
    summary = json.loads((tmp_path / "summary.json").read_text("utf-8"))
    found = {each["metric"]: each["median"] for each in summary["measurements"]}
    assert all(math.isfinite(value) and value >= 0 for value in found.values())
    assert found["3 of 60 changed: round trips"] == 2
    assert found["none changed: round trips"] == 1
    assert found["none changed: bytes"] < found["3 of 60 changed: bytes"]


def test_bundles_are_smaller_than_what_they_carry() -> None:
    found = measured(bundles.run(bundles.SMALL))
    assert 0 < found["bytes of the file, over the bytes of the documents"].value < 1
    assert found["3 changed: bytes of the file"].value < 3000


def test_the_start_of_a_command_is_told_from_that_of_the_interpreter() -> None:
    found = measured(start_up.run(start_up.SMALL))
    assert set(found) == {"a bare interpreter", "get, alone", "get, beside an owner"}
    assert found["get, beside an owner"].value > found["a bare interpreter"].value > 0


def test_handshakes_and_revocations_are_measured() -> None:
    found = measured(identity.run(identity.SMALL))
    unseen, seen = (found[f"handshake, acceptor, {token}"] for token in ("unseen token", "token seen before"))
    assert (unseen.unit, seen.unit) == ("ms", "ms")
    assert unseen.target is not None
    assert found["characters of what a device shows"].value == 620
    assert found["10 revoked devices: bytes"].value < 400


def test_long_notes_are_judged_whole_and_edited(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRDT_SYNC_DATA", str(shared_data))
    found = measured(long_notes.run(long_notes.SMALL))
    assert found["500 edits by 3 writers: size"].value > 10
    assert found["500 recorded edits: size"].value > 0.5


def test_a_record_that_many_lives_edit_stays_small() -> None:
    found = measured(grown_records.run(grown_records.Sizes(edits=900, lives=5, words=(200,))))
    assert found["900 edits by 5 lives, 200 words: size over what it shows"].value < 10
    assert found["900 edits by 5 lives, 200 words: times renewed"].value >= 1
    assert found["900 edits by 5 lives, 200 words: largest update of an edit"].value < 1_000


def test_the_import_takes_every_row(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRDT_SYNC_DATA", str(shared_data))
    assert measured(table_import.run(table_import.SMALL))["4,119 rows"].value > 0


def test_without_the_table_the_import_says_why_it_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRDT_SYNC_DATA", str(tmp_path))
    (outcome,) = table_import.run(table_import.SMALL)
    assert isinstance(outcome, Skipped)
    assert "CRDT_SYNC_DATA" in outcome.reason


def test_a_workbook_is_read_once_and_each_time() -> None:
    pytest.importorskip("openpyxl")
    found = measured(workbook_passes.run(workbook_passes.SMALL))
    once, each = (found[f"5 passes over 300 rows, read {how}: processor time"].value for how in ("once", "each time"))
    assert once > 0
    assert each > 0


def test_an_encrypted_store_is_measured_beside_a_plain_one():
    found = measured(encryption.run(encryption.SMALL))
    for what in ("import of 100 rows", "60 records to an empty device"):
        pair = [found[f"{what}: {kind}"].samples[0] for kind in ("plain", "encrypted")]
        assert found[f"{what}: encrypted over plain"].samples == (pair[1] / pair[0],)
    assert found["disk, a row imported: encrypted over plain"].value > 1


def test_a_device_imports_searches_and_edits_as_large_as_it_is_asked_to() -> None:
    found = measured(whole_device.run(whole_device.SMALL))
    assert found["import of 200 rows of 7 columns: resident at most"].value > 20
    assert len(found["one edit of a note of 2 kB"].samples) == whole_device.SMALL.edits


def test_memory_is_measured_on_device_and_relay(spawned_children: None) -> None:
    found = measured(residency.run(residency.SMALL))
    assert all(item.value > 5 for name, item in found.items() if "resident" in name)
    assert found["device with 300 records: private part of it"].value > 1


def test_contents_are_of_the_promised_size_and_the_same_for_a_seed() -> None:
    sizes = [len(content.update) for content in contents(3)]
    assert min(sizes) > 900
    assert max(sizes) < 2200
    assert sizes == [len(content.update) for content in contents(3)]


def test_a_filled_store_holds_what_it_says(tmp_path: Path) -> None:
    made = make_relay_store(tmp_path / "relay", 25)
    with LmdbStore.open(tmp_path / "relay") as store:
        assert (store.count(), store.head(), store.epoch) == (25, made.head, made.epoch)
        assert store.root().stale == 0
        assert not store.verify().findings


def test_a_child_that_fails_is_an_error_and_not_a_silence(
    spawned_children: None, capfd: pytest.CaptureFixture[str]
) -> None:
    child = Child("crdt_bench.experiments.table_import:once", path="missing.zip", member="none")
    with child, pytest.raises(ChildFailed, match="ended with code 1"):
        child.hear(30)
    assert "missing.zip" in capfd.readouterr().err


def test_the_command_lists_every_experiment() -> None:
    shown = CliRunner().invoke(app, ["--help"]).output
    for name in (
        "throughput",
        "following",
        "hot-record",
        "write-and-close",
        "disk",
        "latency",
        "cold-sync",
        "reconnect",
        "import",
        "reconcile",
        "memory",
        "all",
    ):
        assert name in shown


def test_no_hot_path_calls_more_than_it_may() -> None:
    found = measured(instructions.run(instructions.SMALL))
    assert len(found) == len(instructions.PATHS)
    assert [item.metric for item in found.values() if not item.reached] == []


def test_one_question_too_many_on_a_hot_path_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    judging = instructions.PATHS["the gate judges an update"]
    assert instructions.calls_of(judging, 20) <= judging.calls_max
    monkeypatch.setattr(loaded, "_in_order", lambda fresh, vector: False)
    assert instructions.calls_of(judging, 20) > judging.calls_max


def test_instructions_are_the_difference_of_a_short_process_and_a_long_one(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = {8: 1_000_000, 208: 41_000_000}
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/valgrind")
    monkeypatch.setattr(instructions, "_collected", lambda valgrind, what, operations: counted[operations])
    found = measured(instructions.run(instructions.Sizes(operations=4)))
    assert found["a device stores an edit: instructions"].value == 200.0


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo '==7== Collected : 5' >&2; echo 'no room for a map' >&2; exit 1", "code 1, no room for a map"),
        ("echo '==7== Collected nothing' >&2", "code 0"),
    ],
)
def test_where_valgrind_counts_nothing_calls_are_told_and_why(
    script: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    valgrind = tmp_path / "valgrind"
    valgrind.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    valgrind.chmod(0o700)
    monkeypatch.setattr("shutil.which", lambda name: str(valgrind))
    outcomes = instructions.run(instructions.Sizes(operations=4))
    assert len(measured(outcomes)) == len(instructions.PATHS)
    why = [outcome.reason for outcome in outcomes if isinstance(outcome, Skipped)]
    assert why == [f"the gate judges an update: no instructions were counted: valgrind ended with {said}"]


def test_updates_under_a_policy_are_measured_beside_those_without() -> None:
    found = measured(granted.run(granted.SMALL))
    plain, ruled = (found[f"updates {side}"] for side in ("without a policy", "with a policy"))
    over = found["updates with a policy, over those without"]
    assert over.samples[0] == pytest.approx(ruled.samples[0] / plain.samples[0])


def test_what_devices_cost_that_hold_some_records() -> None:
    found = measured(holding.run(holding.SMALL))
    assert found["records that go and come by it"].value > 0
    assert found["the same, over one of a tenth of the records"].value > 0


def test_the_index_and_the_grants_of_all_devices_are_asked_about_the_same_changes() -> None:
    found = measured(policy.run(policy.SMALL))
    asked = found["asking every device, over the index"]
    assert len(asked.samples) == policy.SMALL.rounds
    assert policy.SMALL.office < found["devices that hold a record"].value < policy.SMALL.devices
    assert 0 < found["records that one device may hold"].value < policy.SMALL.records
    assert found["a user's regions change: the records that go and come"].target is not None


def test_signed_entries_are_measured_beside_the_same_unsigned() -> None:
    found = measured(signed_entries.run(signed_entries.SMALL))
    update = "bytes of an update of one field"
    assert found[f"signed: {update}"].value == found[f"not signed: {update}"].value + 113
    assert found["signed: a record is looked at"].value > found["signed: again"].value > 0
