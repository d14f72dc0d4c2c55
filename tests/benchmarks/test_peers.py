"""Other servers beside the relay: what their frames say, and the comparison at a tiny size where they are installed."""

from pathlib import Path

import pytest

from crdt_bench import peers as servers
from crdt_bench.experiments import peers
from crdt_bench.load.dialects import DIALECTS
from crdt_bench.results import Skipped
from tests.benchmarks.test_experiments import measured

HOCUSPOCUS, Y_WEBSOCKET = DIALECTS["hocuspocus"], DIALECTS["y_websocket"]


def test_frames_are_those_of_y_protocols() -> None:
    assert Y_WEBSOCKET.path("customers/1") == "/customers/1"
    assert Y_WEBSOCKET.opening("customers/1") == [b"\x00\x00\x01\x00"]
    assert Y_WEBSOCKET.update("customers/1", b"abc") == b"\x00\x02\x03abc"
    assert HOCUSPOCUS.path("c/1") == "/"
    assert HOCUSPOCUS.opening("c/1") == [b"\x03c/1\x02\x00\x00", b"\x03c/1\x00\x00\x01\x00"]
    assert HOCUSPOCUS.update("c/1", b"abc") == b"\x03c/1\x00\x02\x03abc"
    assert HOCUSPOCUS.presence("c/1") == b"\x03c/1\x01\x01\x00"


@pytest.mark.parametrize(
    ("payload", "update"),
    [
        (b"\x00\x02\x03abc", b"abc"),
        (b"\x00\x01\x03abc", b"abc"),
        (b"\x00\x01\x02\x00\x00", None),
        (b"\x00\x00\x01\x00", None),
        (b"\x01\x03abc", None),
    ],
)
def test_updates_are_found_in_answers_of_the_server(payload: bytes, update: bytes | None) -> None:
    assert Y_WEBSOCKET.update_in(payload) == update
    assert HOCUSPOCUS.update_in(b"\x03c/1" + payload) == update


def test_a_connection_of_many_documents_tells_them_apart() -> None:
    assert HOCUSPOCUS.is_of("c/1", b"\x03c/1\x00\x02\x03abc")
    assert not HOCUSPOCUS.is_of("c/1", b"\x03c/2\x00\x02\x03abc")
    assert HOCUSPOCUS.update_in(b"\x03c/1\x04\x01\x03abc") == b"abc"
    assert HOCUSPOCUS.update_in(b"\x03c/1\x08\x01") is None


def test_peers_that_are_not_here_are_skipped_with_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "of a checkout" in str(servers.missing(tmp_path / "none"))
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert "Node.js" in str(servers.missing(tmp_path))
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    assert "install.sh" in str(servers.missing(tmp_path))
    (tmp_path / "node_modules").mkdir()
    assert servers.missing(tmp_path) is None
    monkeypatch.setattr(peers, "missing", lambda: "they are not installed")
    assert peers.run(peers.SMALL) == [Skipped("peers", "they are not installed")]


@pytest.mark.skipif(servers.missing() is not None, reason=f"peers: {servers.missing()}")
def test_each_server_has_every_figure_and_what_was_acknowledged_is_never_lost() -> None:
    found = measured(peers.run(peers.SMALL))
    for name in ("crdt-sync", "Hocuspocus and SQLite", "y-websocket-server and LevelDB"):
        for what in (
            "3 writers, one edit a frame",
            "2 writers, 10 edits of a record in a frame, merged",
            "one writer, one edit a frame, one record",
            "one writer to 3",
            "30 records to an empty client",
        ):
            assert len(found[f"{what}: {name}"].samples) == peers.SMALL.rounds
            assert found[f"{what}: {name}"].value > 0
        assert found[f"disk of the server, a record that came whole: {name}"].value > 0
    assert found["of 10 edits seen by another, or acknowledged, lost by a kill: crdt-sync"].value == 0
