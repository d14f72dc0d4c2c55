"""Plain code that has foreign updates examined in the worker, and bundles that go through it."""

import io
import json
import sys
import threading
from pathlib import Path

import pytest

from crdt_sync import Replica, bundled_schema
from crdt_sync.bundles import apply_bundle, create_bundle, inspect_bundle
from crdt_sync.exchange.bundle.frames import VERSIONS
from crdt_sync.exchange.bundle.header import Header
from crdt_sync.exchange.bundle.writer import BundleWriter
from crdt_sync.records.updates import bytes_diff
from crdt_sync.runtime.vetting import Vetting, vetting
from crdt_sync.runtime.worker import process
from crdt_sync.runtime.worker.process import WorkerUnavailable
from crdt_sync.runtime.worker.values import Item
from tests.runtime.worker.conftest import ROGUE, Writer

ANNA = "customers/anna"


@pytest.fixture
def replica(tmp_path: Path) -> Replica:
    return Replica.create(tmp_path / "ben", "ben", [bundled_schema("customers")])


def forged(path: Path, entries: list[tuple[str, bytes]]) -> Path:
    """A bundle that is valid in everything but what its updates do."""
    stream = io.BytesIO()
    header = Header(b"b" * 16, b"s" * 16, "mallory", b"e" * 16, (), 1, 0, len(entries), None, (), None)
    writer = BundleWriter(stream, header, None)
    for record, update in entries:
        writer.add(record, update)
    writer.finish()
    path.write_bytes(stream.getvalue())
    return path


def test_verdicts_follow_what_is_stored_and_what_was_forgotten(replica: Replica) -> None:
    writer = Writer()
    first, second, third = writer.write("1"), writer.write("2"), writer.write("3")
    with vetting(replica) as vetted:
        assert [v.code for v in vetted.vet([Item(ANNA, (second,))], None)[0].verdicts] == ["gap"]
        assert [v.new for v in vetted.vet([Item(ANNA, (first,))], None)[0].verdicts] == [True]
        vetted.forget([ANNA])  # it was not stored after all
        assert [v.code for v in vetted.vet([Item(ANNA, (second,))], None)[0].verdicts] == ["gap"]
        both = vetted.vet([Item(ANNA, (first, second))], None)[0]
        assert [verdict.code for verdict in both.verdicts] == ["accepted"] * 2
        assert vetted.vet([Item(ANNA, (third,))], None)[0].verdicts[0].new


def test_edits_made_here_meanwhile_are_seen(replica: Replica) -> None:
    with replica.edit("customers") as customer:
        customer["name"] = "Müller"
    record = customer.record
    with vetting(replica) as vetted:
        whole = replica.context.diff(record, b"\x00")
        assert whole is not None
        assert not vetted.vet([Item(record, (whole.update,))], None)[0].verdicts[0].new
        with replica.edit(record) as customer:
            customer["phone"] = "1"
        whole = replica.context.diff(record, b"\x00")
        assert whole is not None
        assert not vetted.vet([Item(record, (whole.update,))], None)[0].verdicts[0].new


def test_calls_come_from_any_thread(replica: Replica) -> None:
    with vetting(replica) as vetted:
        codes: list[str] = []

        def ask(number: int) -> None:
            result = vetted.vet([Item(f"customers/{number}", (Writer().write("x"),))], None)
            codes.append(result[0].verdicts[0].code)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert codes == ["accepted"] * 8


def test_an_update_is_cut_to_what_a_state_vector_lacks(replica: Replica) -> None:
    writer = Writer()
    first, second = writer.write("1"), writer.write("2")
    whole = bytes_diff.diff((first, second), b"\x00")
    with vetting(replica) as vetted:
        known = vetted.vet([Item(ANNA, (first,))], None)[0].state_vector
        cut, junk, untouched = vetted.trim([(ANNA, whole, known), (ANNA, b"\xff" * 20, known), (ANNA, whole, b"\x00")])
        assert (cut, junk, untouched) == (bytes_diff.diff((whole,), known), None, whole)


def test_an_update_that_kills_the_worker_that_cuts_it_is_none_and_harms_no_other(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    mortal = (
        "import os, signal\n"
        "from crdt_sync.runtime.worker import __main__, service\n"
        "honest = service.scan\n"
        "service.scan = lambda update: os.kill(0, 9) if update[:1] == b'!' else honest(update)\n"
        "os.setpgid(0, 0)\n"
        "__main__.main()"
    )
    monkeypatch.setattr(process, "worker_command", lambda: [sys.executable, "-P", "-c", mortal])
    honest = Writer().write("1")
    with vetting(replica) as vetted:
        asked = [(ANNA, update, b"\x00") for update in (honest, b"!die", honest, honest)]
        assert vetted.trim(asked) == [honest, None, honest, honest]


def test_a_worker_that_cannot_start_is_told_and_leaves_nothing(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "worker_command", lambda: [sys.executable, "-c", "raise SystemExit(1)"])
    with pytest.raises(WorkerUnavailable), vetting(replica):
        raise AssertionError("it started")
    assert not [thread for thread in threading.enumerate() if thread.name == "crdt-sync vetting"]


def test_a_closed_vetting_ends_calls_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "worker_command", lambda: [sys.executable, str(ROGUE)])
    asked = threading.Event()

    def load(record: str) -> tuple[bytes, ...]:
        asked.set()
        return ()

    vetted = Vetting(load)
    vetted.start()
    outcome: list[BaseException] = []

    def ask() -> None:
        try:
            vetted.vet([Item(ANNA, (b"!hang",))], None)
        except WorkerUnavailable as error:
            outcome.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    assert asked.wait(30)
    vetted.close()
    thread.join(30)
    assert len(outcome) == 1


def test_a_bundle_goes_through_the_worker_and_arrives(replica: Replica, tmp_path: Path) -> None:
    with Replica.create(tmp_path / "anna", "anna", [bundled_schema("customers")]) as anna:
        with anna.edit("customers") as customer:
            customer["name"] = "Müller"
            customer.text("notes").replace("called")
        create_bundle(anna, tmp_path / "1.bundle", token="secret")
        assert apply_bundle(replica, tmp_path / "1.bundle", token="secret").received == 1
        with anna.edit(customer.record) as again:
            again.text("notes").replace("called twice")
        create_bundle(anna, tmp_path / "2.bundle")
        assert apply_bundle(replica, tmp_path / "2.bundle").obstacle is None  # the update was cut to fit
        assert replica.receipt().root == anna.receipt().root
    assert inspect_bundle(tmp_path / "2.bundle").header.name == "anna"
    assert VERSIONS == (1, 2, 3)


@pytest.mark.parametrize("order", [b"!hang", b"!crash", b"!bomb"])
def test_poison_in_a_valid_bundle_is_refused_and_others_are_applied(
    replica: Replica, tmp_path: Path, order: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "worker_command", lambda: [sys.executable, str(ROGUE)])
    entries = [("customers/a", Writer().write("1")), ("customers/bad", order), ("customers/c", Writer().write("1"))]
    done = apply_bundle(replica, forged(tmp_path / "x.bundle", entries))
    assert (done.received, done.refused) == (2, 1)
    assert [(entry.record, entry.code) for entry in done.left_out] == [("customers/bad", "poison")]
    assert replica.store.records("", 10) == ["customers/a", "customers/c"]


def test_known_hostile_updates_in_a_valid_bundle_harm_nobody(
    replica: Replica, tmp_path: Path, shared_data: Path
) -> None:
    cases = json.loads((shared_data / "vectors" / "hostile_updates.json").read_text())["cases"]
    entries: list[tuple[str, bytes]] = []
    for number, case in enumerate(cases):
        record = f"customers/hostile-{number}"
        base, update = bytes.fromhex(case["base"]), bytes.fromhex(case["update"])
        entries += [(record, update) for update in (base, update) if update]
        entries.append((f"customers/honest-{number}", Writer().write("x")))
    done = apply_bundle(replica, forged(tmp_path / "x.bundle", entries))
    assert done.received + done.known + done.refused + done.waiting == len(entries)
    assert done.refused > 0
    assert all(replica.store.record_head(f"customers/honest-{number}") for number in range(len(cases)))
    assert not replica.store.verify().findings
    replica.receipt()  # every record that was stored can be read


def test_who_tells_of_a_commit_a_moment_after_the_end_is_not_hurt(replica: Replica) -> None:
    with vetting(replica) as vetted:
        pass
    vetted.forget([ANNA])
