"""Hostile bundles: damaged files, and files of a hostile writer whose checksums match, also one who has the token."""

import io
import random
import tempfile
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from crdt_bench.campaign.mutation import corpus, mutate
from crdt_sync import Replica
from crdt_sync.errors import BundleLocked, InvalidBundle, UpdateRefused
from crdt_sync.exchange.bundle import apply, inspect, list_records
from crdt_sync.exchange.bundle.chunk import Entry, pack, unpack
from crdt_sync.exchange.bundle.frames import FrameReader, FrameWriter, Kind
from crdt_sync.exchange.bundle.header import End, decode_header
from crdt_sync.exchange.bundle.protection import TAG_BYTES, Key
from crdt_sync.records import Integrator, Schema, parse_schema, scan
from crdt_sync.records.updates import bytes_diff
from crdt_sync.storage import Batch, Committed, MemoryStore
from crdt_sync.verdicts import Verdict

TOKEN = "a token of the space"  # of the protected ones in the corpus
_NOW = 1_700_000_000_000_000
_FIELDS = {"name": "value", "tags": "set", "visits": "counter", "notes": "text"}
_HEADER_BYTES_MAX = 4096  # a writer makes no longer ones
_END_BYTES_MAX = 40


def attack_bundle(seed: int) -> int:
    """One bundle; returns 1. Raises what is wrong."""
    rng = random.Random(seed)
    kept = corpus("bundles")
    data = rng.choice(kept)
    read_bundle(mutate(data, rng, kept) if rng.random() < 0.3 else _rewritten(data, rng), rng)
    return 1


def read_bundle(data: bytes, rng: random.Random) -> None:
    """Inspect, list and apply: a refused bundle changes nothing, one that is applied is whole and applies again."""
    token = rng.choice((TOKEN, TOKEN, None, "another token"))
    device, store = _device()
    with tempfile.NamedTemporaryFile(suffix=".bundle") as file:
        file.write(data)
        file.flush()
        path = Path(file.name)
        try:
            inspected = inspect(path, token=token)
        except InvalidBundle:
            inspected = None
        try:
            listed = sum(1 for _ in list_records(path, token=token))
        except InvalidBundle:
            listed = None
        try:
            applied = apply(device, path, _Gate(store), token=token, plain=True)
        except BundleLocked:
            assert store.commits == 0, "a locked bundle left a trace"
            return
        except InvalidBundle:
            assert inspected is None, "what passes inspection is refused"
            assert store.commits == 0, "a refused bundle left a trace"
            return
        assert inspected is not None, "what does not pass inspection was applied"
        assert applied.updates == listed == inspected.end.updates
        assert applied.received + applied.known + applied.refused + applied.waiting == applied.updates
        assert not store.verify().findings
        device.list(deleted=True)
        root = device.receipt().root
        again = apply(device, path, _Gate(store), token=token, plain=True)
        assert again.received == 0, "a bundle that was applied brings something new"
        assert device.receipt().root == root, "a bundle that was applied changes something"


def _rewritten(data: bytes, rng: random.Random) -> bytes:
    """The bundle with one part damaged before the checksums, and the tags of a protected one, are made."""
    frames = FrameReader(io.BytesIO(data), "kept")
    _, header = frames.read(Kind.HEADER)
    pinned = frames.place.checksum
    protection = decode_header(header, frames.version).protection
    key = Key.of_token(TOKEN, protection.salt) if protection else None
    chunks: list[bytes] = []
    while True:
        kind, body = frames.read(Kind.CHUNK, Kind.END)
        if kind is Kind.END:
            break
        chunks.append(key.open(pinned, kind, len(chunks), body) if key else body)
    end = body[:-TAG_BYTES] if key else body
    match rng.randrange(6):
        case 0:
            header = mutate(header, rng, ())[:_HEADER_BYTES_MAX]
        case 1:
            end = mutate(end, rng, ())[:_END_BYTES_MAX]
        case _:
            place = rng.randrange(len(chunks))
            chunks[place] = _damaged_chunk(chunks[place], rng)
            end = _end_of(chunks) or end
    return _sealed(frames.version, header, chunks, end, key)


def _damaged_chunk(chunk: bytes, rng: random.Random) -> bytes:
    """Damage of what is packed, of the CBOR in it, or of one update."""
    match rng.randrange(4):
        case 0:
            return mutate(chunk, rng, ())
        case 1:
            return zlib.compress(mutate(zlib.decompress(chunk), rng, ()))
        case _:
            entries = list(unpack(chunk))
            place = rng.randrange(len(entries))
            record, update = entries[place]
            others = [entry.update for entry in entries]
            record = rng.choice((record, record, entries[0].record))
            entries[place] = Entry(record, mutate(update, rng, others) or b"\x00")
            return pack(entries)


def _end_of(chunks: Sequence[bytes]) -> bytes | None:
    """The end that fits these chunks, None where one cannot be unpacked."""
    try:
        entries = [entry for chunk in chunks for entry in unpack(chunk)]
    except ValueError:
        return None
    return End(len(chunks), len(entries), sum(len(entry.update) for entry in entries)).encode()


def _sealed(version: int, header: bytes, chunks: Sequence[bytes], end: bytes, key: Key | None) -> bytes:
    stream = io.BytesIO()
    writer = FrameWriter(stream, version)
    writer.write(Kind.HEADER, header)
    pinned = writer.checksum
    for number, chunk in enumerate(chunks):
        writer.write(Kind.CHUNK, key.seal(pinned, Kind.CHUNK, number, chunk) if key else chunk)
    writer.write(Kind.END, end + (key.seal(pinned, Kind.END, len(chunks), b"", end) if key else b""))
    return stream.getvalue()


class _CountedStore(MemoryStore):
    """Counts its commits."""

    commits = 0

    def commit(self, batches: Sequence[Batch]) -> list[Committed]:
        self.commits += 1
        return super().commit(batches)


@cache
def _schema() -> Schema:
    """Small, as it is stored for every input."""
    fields = "".join(f'[fields.{name}]\nkind = "{kind}"\n' for name, kind in _FIELDS.items())
    return parse_schema(f'collection = "customers"\nversion = 1\n{fields}', "fuzz")


def _device() -> tuple[Replica, _CountedStore]:
    store = _CountedStore(b"r" * 16, random.Random(0))
    store.commit([Batch(meta={"name": b"fuzz"})])
    replica = Replica.over(store, lambda: _NOW, random.Random(0))
    replica.add_schema(_schema())
    store.commits = 0
    return replica, store


class _Gate:
    """The gate without a process around it: here the whole target runs in one that may die."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def judge(
        self, updates: Sequence[tuple[str, Sequence[bytes]]], stamp_max: int | None, user: str | None = None
    ) -> Sequence[Sequence[Verdict]]:
        return [
            Integrator(1)
            .integrate(record, self._store.load(record).updates, group, stamp_max, checked=True, snapshot=False)
            .verdicts
            for record, group in updates
        ]

    def trim(self, updates: Sequence[tuple[str, bytes, bytes]]) -> Sequence[bytes | None]:
        return [_trimmed(update, state_vector) for _, update, state_vector in updates]


def _trimmed(update: bytes, state_vector: bytes) -> bytes | None:
    try:
        scan(update)
        return bytes_diff.diff((update,), state_vector)
    except UpdateRefused:
        return None
