"""Whatever happens to a bundle on its way, it is refused whole or applied whole."""

import io
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crdt_sync import limits
from crdt_sync.errors import BundleLocked, BundleNotWritten, InvalidBundle
from crdt_sync.exchange.bundle import apply, create, inspect, list_records
from crdt_sync.exchange.bundle.chunk import ENTRY_BYTES_MAX, Entry, pack, unpack
from crdt_sync.exchange.bundle.envelope import Envelope
from crdt_sync.exchange.bundle.frames import MAGIC, FrameReader, FrameWriter, Kind
from crdt_sync.exchange.bundle.header import (
    Addressee,
    End,
    Header,
    PastLife,
    Protection,
    Reading,
    decode_end,
    decode_header,
)
from crdt_sync.exchange.bundle.protection import Key
from crdt_sync.exchange.bundle.reader import BundleReader
from crdt_sync.exchange.bundle.writer import BundleWriter
from crdt_sync.replica.carried import carried
from crdt_sync.strict_cbor import dumps
from tests.replica.wire import VirtualTime

from .conftest import Device, InProcess, MakeDevice

TOKEN = "a token of the space"
ID = b"b" * 16


def header(**fields: object) -> Header:
    given = {
        "bundle": ID,
        "source": b"s" * 16,
        "name": "anna",
        "epoch": b"e" * 16,
        "lives": (PastLife(b"d" * 16, 2),),
        "created": 1_700_000_000_000_000,
        "base": 3,
        "head": 7,
        "partner": Addressee(b"p" * 16, b"q" * 16, 5),
        "known": (Reading(b"p" * 16, b"q" * 16, 5),),
        "protection": None,
        **fields,
    }
    return Header(**given)  # type: ignore[arg-type]


def closed(_: Envelope) -> bytes:
    raise AssertionError("nothing here is sealed")


def written(entries: list[tuple[str, bytes]], token: str | None = None) -> bytes:
    stream = io.BytesIO()
    key = Key.of_token(token, b"t" * 16) if token else None
    writer = BundleWriter(stream, header(protection=key.protection if key else None), key)
    for record, update in entries:
        writer.add(record, update)
    writer.finish()
    return stream.getvalue()


def read(data: bytes, token: str | None = None) -> list[Entry]:
    reader = BundleReader(io.BytesIO(data), "x.bundle", token, closed)
    reader.verify()
    return [entry for chunk in reader.chunks() for entry in chunk]


ENTRIES = [(f"customers/{number}", bytes([number % 251]) * 700) for number in range(900)]


@pytest.mark.parametrize("token", [None, TOKEN])
def test_what_is_written_is_read(token: str | None) -> None:
    data = written(ENTRIES, token)
    assert read(data, token) == ENTRIES
    reader = BundleReader(io.BytesIO(data), "x.bundle", token, closed)
    assert reader.header == header(protection=reader.header.protection)
    assert reader.verify() == End(3, 900, 630_000)


def test_a_reader_goes_on_behind_any_chunk() -> None:
    reader = BundleReader(io.BytesIO(written(ENTRIES)), "x.bundle", None, closed)
    end = reader.verify()
    chunks = list(reader.chunks())
    for after in range(end.chunks + 1):
        assert list(reader.chunks(after)) == chunks[after:]


@pytest.fixture(scope="module", params=[None, TOKEN])
def sound(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, str | None]:
    """A bundle of a few real records."""
    anna = Device("anna", tmp_path_factory.mktemp("sound"), VirtualTime(), 1)
    for number in range(4):
        anna.new(name=f"customer {number}")
    return anna.write(token=request.param).read_bytes(), request.param


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_change_is_refused_whole(sound: tuple[bytes, str | None], data: st.DataObject, tmp_path: Path) -> None:
    good, token = sound
    kind = data.draw(st.sampled_from(["flip", "cut", "extend", "drop", "double"]))
    if kind == "flip":
        place = data.draw(st.integers(0, len(good) - 1))
        bad = good[:place] + bytes([good[place] ^ data.draw(st.integers(1, 255))]) + good[place + 1 :]
    elif kind == "cut":
        bad = good[: data.draw(st.integers(0, len(good) - 1))]
    elif kind == "extend":
        bad = good + data.draw(st.binary(min_size=1, max_size=100))
    else:
        first = data.draw(st.integers(0, len(good) - 1))
        last = data.draw(st.integers(first + 1, len(good)))
        bad = good[:first] + good[first:last] * (2 if kind == "double" else 0) + good[last:]
    path = tmp_path / "bad.bundle"
    path.write_bytes(bad)
    ben = Device("ben", tmp_path, VirtualTime(), 2)
    before = (ben.store.head(), ben.store.meta("bundle_partners"), ben.store.meta("bundle_arrivals"))
    with pytest.raises(InvalidBundle) as refused:
        ben.read(path, token)
    assert refused.value.message
    assert refused.value.hint
    assert (ben.store.head(), ben.store.meta("bundle_partners"), ben.store.meta("bundle_arrivals")) == before


def test_every_single_bit_of_a_small_bundle_counts(sound: tuple[bytes, str | None]) -> None:
    good, token = sound
    assert read(good, token)
    for place in range(len(good)):
        bad = bytearray(good)
        bad[place] ^= 1 << place % 8
        with pytest.raises(InvalidBundle):
            read(bytes(bad), token)


@given(junk=st.binary(max_size=300))
def test_junk_behind_the_magic_is_one_kind_of_error(junk: bytes) -> None:
    with pytest.raises(InvalidBundle):
        read(MAGIC + b"\x01" + junk)


@given(junk=st.binary(max_size=300), kind=st.sampled_from(Kind))
def test_junk_with_right_checksums_is_one_kind_of_error(junk: bytes, kind: Kind) -> None:
    stream = io.BytesIO()
    frames = FrameWriter(stream)
    if kind is not Kind.HEADER:
        frames.write(Kind.HEADER, header().encode())
    if kind is Kind.CHUNK or len(junk) <= 64:
        frames.write(kind, junk)
    with pytest.raises(InvalidBundle):
        read(stream.getvalue())


def test_a_protected_bundle_opens_for_its_token_only() -> None:
    data = written(ENTRIES, TOKEN)
    with pytest.raises(BundleLocked, match="another token"):
        read(data, "wrong")
    with pytest.raises(BundleLocked, match="its token was not given"):
        read(data)
    assert ENTRIES[0][0].encode() not in data


def test_a_protected_bundle_that_cannot_be_opened_changes_nothing(device: MakeDevice) -> None:
    anna, bob = device("anna"), device("bob")
    anna.new(name="x")
    path = anna.write(token=TOKEN)
    before = bob.store.clone()
    for token in (None, "another token"):
        with pytest.raises(BundleLocked):
            bob.read(path, token)
    assert (carried(bob.store), bob.store.head()) == (carried(before), before.head())


def test_a_protected_bundle_cannot_be_put_together_anew_without_its_token() -> None:
    """Right checksums, for anybody can make them: what was moved, dropped or relabelled shows all the same."""
    data = written(ENTRIES, TOKEN)
    frames = FrameReader(io.BytesIO(data), "x")
    parts = [frames.read(*Kind) for _ in range(5)]
    names = {name: index for index, name in enumerate("HabcE")}

    def sewn(order: str, **replaced: bytes) -> bytes:
        stream = io.BytesIO()
        writer = FrameWriter(stream)
        for name in order:
            kind, body = parts[names[name]]
            writer.write(kind, replaced.get(name, body))
        return stream.getvalue()

    assert read(sewn("HabcE"), TOKEN) == ENTRIES
    known = decode_header(parts[0][1], frames.version)
    forged = header(protection=known.protection, created=1).encode()
    shorter = End(2, 600, 420_000).encode() + parts[4][1][-16:]
    for bad in (sewn("HbacE"), sewn("HabE"), sewn("HaabcE"), sewn("HabE", E=shorter), sewn("HabcE", H=forged)):
        with pytest.raises(InvalidBundle):
            read(bad, TOKEN)


def test_without_the_token_damage_is_still_found() -> None:
    data = written(ENTRIES, TOKEN)
    reader = BundleReader(io.BytesIO(data), "x.bundle", None, closed)
    assert (reader.verify().updates, reader.closed) == (900, True)
    with pytest.raises(InvalidBundle, match="damaged"):
        BundleReader(io.BytesIO(data[:-40] + b"x" + data[-39:]), "x.bundle", None, closed).verify()


def test_a_bomb_is_refused_at_the_size_of_a_chunk() -> None:
    bomb = zlib.compress(bytes(limits.BUNDLE_CHUNK_BYTES_MAX + 1))
    with pytest.raises(ValueError, match="not one packed text"):
        unpack(bomb)
    with pytest.raises(ValueError, match="not one packed text"):
        unpack(pack([Entry("customers/a", b"x")]) + b"x")


def test_both_sides_of_the_limits_of_a_chunk() -> None:
    largest = Entry("customers/a", bytes(limits.UPDATE_BYTES_MAX))
    assert unpack(pack([largest])) == (largest,)
    assert len(dumps([largest])) <= ENTRY_BYTES_MAX
    with pytest.raises(ValueError, match=r"entry\.update has"):
        unpack(pack([Entry("customers/a", bytes(limits.UPDATE_BYTES_MAX + 1))]))
    most = [Entry("customers/a", b"x")] * limits.BUNDLE_CHUNK_RECORDS_MAX
    assert len(unpack(pack(most))) == limits.BUNDLE_CHUNK_RECORDS_MAX
    for entries in ([*most, most[0]], []):
        with pytest.raises(ValueError, match="not an array of 1 to"):
            unpack(pack(entries))
    for record in ("customers", "customers/ü", "x/" + "y" * 200):
        with pytest.raises(ValueError, match="not a record id"):
            unpack(pack([Entry(record, b"x")]))


def test_both_sides_of_the_limits_of_a_header() -> None:
    for good in (
        header(),
        header(partner=None, known=(), base=7),
        header(space=b"x" * 16),
        header(known=(Reading(ID, ID, limits.INTEGER_EXACT_MAX),) * limits.BUNDLE_KNOWN_MAX),
        header(name="x" * limits.ACTOR_LENGTH_MAX, protection=Protection(ID, ID)),
    ):
        body = good.encode()
        assert len(body) <= limits.BUNDLE_HEADER_BYTES_MAX
        assert decode_header(body, good.version) == good
    for bad in (
        {"base": 8},
        {"head": limits.INTEGER_EXACT_MAX + 1},
        {"bundle": bytes(16)},
        {"source": b"s" * 15},
        {"name": "x" * (limits.ACTOR_LENGTH_MAX + 1)},
        {"known": (Reading(ID, ID, 1),) * (limits.BUNDLE_KNOWN_MAX + 1)},
        {"known": (Reading(ID, ID, -1),)},
        {"partner": Addressee(ID, b"", 1)},
        {"partner": Addressee(ID, ID, -1)},
        {"lives": (PastLife(b"", 1),)},
        {"lives": (PastLife(ID, -1),)},
        {"lives": (PastLife(ID, 1),) * 257},
        {"protection": Protection(b"", ID)},
        {"created": 1.0},
    ):
        with pytest.raises(ValueError, match=r"header|base"):
            header(**bad)
    with pytest.raises(ValueError, match="end"):
        decode_end(dumps((limits.BUNDLE_CHUNKS_MAX + 1, 1, 1)))
    assert decode_end(End(limits.BUNDLE_CHUNKS_MAX, 1, 1).encode()).chunks == limits.BUNDLE_CHUNKS_MAX


def test_a_frame_larger_than_its_kind_is_refused_before_it_is_read() -> None:
    stream = io.BytesIO()
    FrameWriter(stream)
    data = stream.getvalue() + bytes([Kind.HEADER]) + (limits.BUNDLE_HEADER_BYTES_MAX + 1).to_bytes(4, "big")
    with pytest.raises(InvalidBundle, match="cannot stand there"):
        read(data)
    with pytest.raises(InvalidBundle, match="ends too early"):
        read(data[:-4] + limits.BUNDLE_HEADER_BYTES_MAX.to_bytes(4, "big"))


def test_too_many_chunks_are_neither_written_nor_read(monkeypatch: pytest.MonkeyPatch) -> None:
    data = written(ENTRIES)  # 3 chunks
    for module in ("reader", "writer", "header"):
        monkeypatch.setattr(f"crdt_sync.exchange.bundle.{module}.BUNDLE_CHUNKS_MAX", 3)
    assert read(written(ENTRIES)) == ENTRIES
    for module in ("reader", "writer", "header"):
        monkeypatch.setattr(f"crdt_sync.exchange.bundle.{module}.BUNDLE_CHUNKS_MAX", 2)
    with pytest.raises(InvalidBundle, match="more than 2 chunks"):
        read(data)
    with pytest.raises(BundleNotWritten, match="2 chunks"):
        written(ENTRIES)


def test_files_of_other_kinds_and_versions_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InvalidBundle, match="no bundle"):
        read(b"PK\x03\x04 and so on, a zip file")
    for version, told in ((4, "format 4; this program knows format 3"), (0, "unknown format 0")):
        with pytest.raises(InvalidBundle, match=told) as refused:
            read(MAGIC + bytes([version]) + bytes(50))
        assert ("newer version" in refused.value.hint) == (version == 4)
    for missing in (tmp_path / "missing", tmp_path):
        with pytest.raises(InvalidBundle, match="cannot be read"):
            inspect(missing)


def test_a_file_that_changes_between_check_and_use_is_noticed() -> None:
    class Fickle(io.BytesIO):
        swapped = False

        def seek(self, *place: int) -> int:
            if self.swapped:
                self.getbuffer()[-200] ^= 1
            return super().seek(*place)

    stream = Fickle(written(ENTRIES))
    reader = BundleReader(stream, "x.bundle", None, closed)
    reader.verify()
    stream.swapped = True
    chunks = reader.chunks(2)
    with pytest.raises(InvalidBundle, match="was sound a moment ago"):
        next(chunks)


def test_a_device_with_a_token_takes_unprotected_bundles_only_when_told(device: MakeDevice) -> None:
    anna, ben = device("anna"), device("ben")
    anna.new(name="x")
    path = anna.write()
    with pytest.raises(InvalidBundle, match="not protected"):
        ben.read(path, TOKEN)
    assert ben.store.head() == 0
    assert apply(ben.replica, path, InProcess(ben.replica), token=TOKEN, plain=True).received == 1


def test_a_file_that_is_there_is_replaced_only_when_told(device: MakeDevice, tmp_path: Path) -> None:
    anna = device("anna")
    path = tmp_path / "x.bundle"
    path.write_text("mine")
    with pytest.raises(BundleNotWritten, match="there already"):
        create(anna.replica, path)
    assert path.read_text() == "mine"
    create(anna.replica, path, force=True)
    assert inspect(path).end.updates == 0
    with pytest.raises(BundleNotWritten, match="cannot be written"):
        create(anna.replica, tmp_path / "missing" / "x.bundle")
    assert [found.name for found in tmp_path.iterdir()] == ["x.bundle"]


def test_a_bundle_is_looked_into_without_a_replica(device: MakeDevice) -> None:
    anna = device("anna")
    record = anna.new(name="x")
    path = anna.write(token=TOKEN)
    assert not inspect(path).opened
    found = inspect(path, token=TOKEN)
    assert (found.opened, found.header.name, found.end.updates, found.size) == (True, "anna", 1, path.stat().st_size)
    assert [(record, size > 20) for record, size in list_records(path, token=TOKEN)] == [(record, True)]
    with pytest.raises(BundleLocked):
        list(list_records(path))
