"""How the transport to the relay is chosen, kept and shown."""

from pathlib import Path

from crdt_sync import Address
from crdt_sync.cli import partners
from crdt_sync.errors import UsageError
from crdt_sync.runtime.transports import ways

from .conftest import Run

URL = "ws://relay.test:8765"


def test_it_is_kept_with_the_relay_until_another_is_chosen(run: Run, store: Path) -> None:
    assert run("relay", URL, "--json").object["transport"] == "auto"
    assert f"{URL}, without a token, by http only" in run("relay", "--transport", "http").out
    kept = partners.load(store)
    assert kept is not None
    assert (kept.transport, kept.memory) == ("http", store / partners.WAYS_FILE)
    assert "Over HTTP" in run("status").out
    assert run("status", "--json").object["transport"] == {"chosen": "http", "found": None}
    assert run("relay", "--transport", "auto", "--json").object["transport"] == "auto"
    assert "Over HTTP" not in run("status").out
    assert run("relay", "--transport", "pigeon").code == UsageError.exit_code


def test_a_status_says_what_was_found_to_pass_and_when_a_websocket_is_tried_again(run: Run, store: Path) -> None:
    run("relay", URL)
    address = partners.load(store)
    assert address is not None
    assert run("status", "--json").object["transport"] == {"chosen": "auto", "found": None}
    ways.http_passes(address, polls=True)
    found = run("status", "--json").object["transport"]["found"]
    assert (found["transport"], found["polls"]) == ("http", True)
    said = " ".join(run("status").out.split())
    assert "something on the way breaks websockets, and holds back what is streamed. One is tried again after" in said
    ways.websocket_passes(address)
    assert run("status", "--json").object["transport"]["found"]["transport"] == "websocket"
    assert "Over HTTP" not in run("status").out


def test_a_file_that_was_spoiled_or_written_by_a_wrong_clock_says_nothing(store: Path, run: Run) -> None:
    run("relay", URL)
    memory = store / partners.WAYS_FILE
    for text in (
        "",
        "[]",
        "{",
        '{"ws://relay.test:8765": {"transport": "http", "until": 9e15}}',
        '{"ws://relay.test:8765": 1}',
    ):
        memory.write_text(text)
        assert ways.known(Address(URL, memory=memory)) is None
        assert run("status", "--json").object["transport"]["found"] is None
