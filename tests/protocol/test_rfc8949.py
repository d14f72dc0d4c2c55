"""RFC 8949, appendix A: what lies inside our dialect of CBOR is read as the RFC says, the rest is refused."""

import json
import re
import zlib
from pathlib import Path
from typing import Any

import pytest

from crdt_sync.errors import ProtocolViolation
from crdt_sync.protocol.codec import decode

TEST = re.compile(r'"encoded": h\'(?P<encoded>[0-9a-f]*)\',?\s*"decoded": (?P<decoded>.*)')
FILES = ("mt0", "mt1", "mt2", "mt3", "mt4", "mt5", "mt6", "mt7-float", "mt7-simple", "streaming")
COUNTS = (11, 5, 2, 7, 4, 5, 8, 22, 6, 11)
INTEGER_MAX = 2**53 - 1
RECORD = "63632f61"  # "c/a"

# Messages with one place left open, in hexadecimal: at least one for every type that a field may have.
PLACES = {
    "type": "81{}",
    "ping.number": "820d{}",
    "updates.cursor": "860500{}05f580",
    "updates.entries": "860500f605f5{}",
    "updates.entry": "860500f605f581{}",
    "updates.update": "860500f605f58183" + RECORD + "{}40",
    "updates.state_vector": "860500f605f58183" + RECORD + "4175{}",
    "hello.versions": "8901{}50" + "00" * 16 + "6000f6f50060",
    "hello.follow": "8901810150" + "00" * 16 + "6000f6{}0060",
    "bye.message": "840f6161{}f6",
    "bye.retry_after_ms": "840f616160{}",
    "ack.verdict": "850801f60581{}",
    "presence.record": "820c8182{}6161",
}


def read_vectors(folder: Path, name: str) -> list[tuple[str, str]]:
    """(encoded, decoded in diagnostic notation) of one file; the files are close to JSON, not JSON."""
    text = (folder / f"{name}.edn").read_text("utf-8")
    return [(test["encoded"], test["decoded"].partition(" #")[0].rstrip(", ")) for test in TEST.finditer(text)]


@pytest.fixture(scope="module")
def vectors(shared_data: Path) -> dict[str, list[tuple[str, str]]]:
    folder = shared_data / "vectors" / "cbor-rfc8949-appendixA"
    return {name: read_vectors(folder, name) for name in FILES}


def read_at(place: str, encoded: str) -> Any:
    """The message with `encoded` in that place, or None if it is refused."""
    body = bytes.fromhex(PLACES[place].format(encoded))
    try:
        return decode(zlib.crc32(body).to_bytes(4, "big") + body)
    except ProtocolViolation:
        return None


def accepted_at(encoded: str) -> set[str]:
    return {place for place in PLACES if read_at(place, encoded) is not None}


def test_every_vector_of_the_appendix_was_found(vectors) -> None:
    assert tuple(len(vectors[name]) for name in FILES) == COUNTS


@pytest.mark.parametrize(
    ("place", "encoded"),
    [
        ("ping.number", "07"),
        ("updates.cursor", "f6"),
        ("updates.entries", "80"),
        ("updates.entry", "83" + RECORD + "417540"),
        ("updates.update", "4175"),
        ("updates.state_vector", "40"),
        ("hello.versions", "8101"),
        ("hello.follow", "f4"),
        ("bye.message", "60"),
        ("bye.retry_after_ms", "f6"),
        ("ack.verdict", "820005"),
        ("presence.record", RECORD),
    ],
)
def test_every_place_takes_what_belongs_there(place, encoded) -> None:
    assert read_at(place, encoded) is not None


def test_integers_read_as_the_rfc_says_up_to_what_javascript_holds(vectors) -> None:
    for encoded, decoded in vectors["mt0"]:
        message = read_at("ping.number", encoded)
        if int(decoded) <= INTEGER_MAX:
            assert message.number == int(decoded)
        else:
            assert accepted_at(encoded) == set()


def test_negative_integers_have_no_place(vectors) -> None:
    assert {encoded: accepted_at(encoded) for encoded, _ in vectors["mt1"]} == {e: set() for e, _ in vectors["mt1"]}


def test_byte_strings_read_as_the_rfc_says(vectors) -> None:
    for encoded, decoded in vectors["mt2"]:
        message = read_at("updates.state_vector", encoded)
        assert message.entries[0].state_vector == bytes.fromhex(decoded[2:-1])


def test_texts_read_as_the_rfc_says(vectors) -> None:
    for encoded, decoded in vectors["mt3"]:
        assert read_at("bye.message", encoded).message == json.loads(decoded)


def test_arrays_read_as_the_rfc_says_where_a_message_has_one_of_that_shape(vectors) -> None:
    read = {}
    for encoded, decoded in vectors["mt4"]:
        places = accepted_at(encoded)
        assert places <= {"updates.entries", "hello.versions"}
        if "hello.versions" in places:
            assert list(read_at("hello.versions", encoded).versions) == json.loads(decoded)
        if "updates.entries" in places:
            assert list(read_at("updates.entries", encoded).entries) == json.loads(decoded)
        read[decoded] = len(places)
    # [1, [2, 3], [4, 5]] has no message of its shape; the longest has more versions than VERSIONS_MAX
    assert [read[decoded] for _, decoded in vectors["mt4"]] == [1, 1, 0, 0]


@pytest.mark.parametrize("name", ["mt5", "mt6", "mt7-float", "streaming"])
def test_maps_tags_floats_and_streams_are_refused_in_every_place(vectors, name) -> None:
    assert {encoded: accepted_at(encoded) for encoded, _ in vectors[name]} == {e: set() for e, _ in vectors[name]}


def test_of_the_simple_values_only_false_true_and_null_have_a_place(vectors) -> None:
    assert {decoded: accepted_at(encoded) for encoded, decoded in vectors["mt7-simple"]} == {
        "false": {"hello.follow"},
        "true": {"hello.follow"},
        "null": {"updates.cursor", "bye.retry_after_ms"},
        "undefined": set(),
        "simple(16)": set(),
        "simple(255)": set(),
    }
