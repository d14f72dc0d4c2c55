"""Hostile bytes into everything that reads: each reader knows its one error, and raises nothing else."""

import random
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from crdt_bench.campaign.hostile_bundles import attack_bundle
from crdt_bench.campaign.hostile_sessions import attack_dialer, attack_hub
from crdt_bench.campaign.mutation import corpus, mutate
from crdt_relay import settings
from crdt_sync.errors import (
    InvalidSchema,
    InvalidSettings,
    InvalidTable,
    ProtocolViolation,
    StoreCorrupt,
    UpdateRefused,
    UsageError,
)
from crdt_sync.exchange import open_table
from crdt_sync.limits import PACKED_BYTES_MAX
from crdt_sync.protocol import codec as frames
from crdt_sync.records import Integrator, parse_schema, reading_of
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.runtime import Address
from crdt_sync.storage import OutboxEntry, Peer
from crdt_sync.storage.lmdb import codec, packing

_ROWS_MAX = 1000
_SEALED_SHARE = 0.9
_CODES = {"accepted", "gap", "malformed", "too_large", "clock_ahead"}


@dataclass(frozen=True, slots=True)
class Target:
    """A reader. `attack` gives it one input or several drawn from a seed, returns how many, raises what is wrong."""

    name: str
    attack: Callable[[int], int]


@dataclass(frozen=True, slots=True)
class Reader:
    """What reads one input at a time. `feed` raises what is wrong; `kind` is the corpus to begin with.

    The fuzzer is guided by the branches in `module` and in what that imports. To prepare all takes it eight seconds.
    """

    name: str
    kind: str
    feed: Callable[[bytes, random.Random], None]
    module: str = __name__

    def target(self) -> Target:
        """It is given what is nearly right."""

        def attack(seed: int) -> int:
            rng = random.Random(seed)
            kept = corpus(self.kind)
            self.feed(mutate(rng.choice(kept), rng, kept), rng)
            return 1

        return Target(self.name, attack)


def _update(data: bytes, rng: random.Random) -> None:
    gate = Integrator(1)
    base = [rng.choice(corpus("updates"))] if rng.random() < 0.5 else []
    before = gate.integrate("customers/a", base, [], None, True, True)
    result = gate.integrate("customers/a", None, [data], 1 << 52, True, True)
    verdict = result.verdicts[0]
    assert verdict.code in _CODES
    document = gate.document("customers/a")
    reading_of(document, all_kinds=True)
    if verdict.code != "accepted":
        assert result.state_vector == before.state_vector, "a refusal left a trace"
        assert result.snapshot == before.snapshot, "a refusal left a trace"
    else:
        assert result.snapshot is not None
        again = gate.integrate("customers/b", [result.snapshot], [], None, True, True)
        assert again.state_vector == result.state_vector, "what was accepted does not load again"


def _vector(data: bytes, _: random.Random) -> None:
    try:
        decoded = vectors.decode(data)
    except UpdateRefused:
        return
    assert vectors.decode(vectors.encode(decoded)) == {writer: clock for writer, clock in decoded.items() if clock}


def _schema(data: bytes, _: random.Random) -> None:
    try:
        schema = parse_schema(data.decode("utf-8", "replace"), "fuzz")
    except InvalidSchema:
        return
    assert parse_schema(schema.to_toml(), "again") == schema


def _table(suffix: str) -> Callable[[bytes, random.Random], None]:
    def read(data: bytes, _: random.Random) -> None:
        with tempfile.NamedTemporaryFile(suffix=suffix) as file:
            file.write(data)
            file.flush()
            try:
                table = open_table(Path(file.name))
                for number, _row in enumerate(table.rows()):
                    if number > _ROWS_MAX:
                        break
            except InvalidTable:
                return

    return read


def _settings(data: bytes, _: random.Random) -> None:
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        file.write(data)
        file.flush()
        try:
            settings.load({}, Path(file.name))
        except InvalidSettings:
            return


def _address(data: bytes, rng: random.Random) -> None:
    text = data.decode("utf-8", "surrogateescape")
    try:
        Address(rng.choice((text, "ws://relay")), text)
        settings.check_token(text)
    except UsageError:
        return


def _frame(data: bytes, rng: random.Random) -> None:
    if rng.random() < _SEALED_SHARE:  # who is hostile can calculate a checksum
        data = zlib.crc32(data[frames.CHECKSUM_BYTES :]).to_bytes(4, "big") + data[frames.CHECKSUM_BYTES :]
    try:
        message = frames.decode(data)
    except ProtocolViolation:
        return
    assert frames.decode(frames.encode(message)) == message


_KEY = b"customers/a"
_VALUES: tuple[tuple[bytes, Callable[[bytes, bytes], object]], ...] = (
    (codec.HeadRow(7, b"\x00", 3, 2, 90, b"d" * 16, False).value(_KEY), codec.head_row),
    (codec.State(9).value(b"state"), lambda _, value: codec.state(b"state", value)),
    (
        codec.outbox_value(b"p" * 16 + _KEY, OutboxEntry("customers/a", b"\x00", 3, "poison", "no")),
        lambda _, value: codec.outbox_entry(b"p" * 16 + _KEY, value),
    ),
    (
        codec.peer_value(Peer(b"p" * 16, b"e" * 16, 3, 4, "ws://relay")),
        lambda _, value: codec.peer(b"p" * 16, value),
    ),
    (codec.counts_value(b"p" * 16, 3, 1), lambda _, value: codec.counts(b"p" * 16, value)),
    (codec.LOG.close(_KEY, b"body"), codec.LOG.open),
    (codec.VIEWS.close(_KEY, b"view"), codec.VIEWS.open),
    (codec.VIEWS.close(_KEY, b'{"fields":{"name":"Ann"}}' * 40, True), codec.VIEWS.open),
    (
        codec.LOG.close(_KEY, codec.log_body(bytes(16), 0, 1, bytes(16), _KEY, b"ann", b"update" * 90), True),
        codec.LOG.open,
    ),
)
_PACKED = packing.pack(b"".join(b'"field %d":"a customer"' % number for number in range(60))) or b""


def _stored_value(seed: int) -> int:
    rng = random.Random(seed)
    value, read = rng.choice(_VALUES)
    damaged = mutate(value, rng, [other for other, _ in _VALUES])
    try:
        read(_KEY, damaged)
    except StoreCorrupt:
        return 1
    assert damaged == value, "a damaged value was read"
    return 1


def _packed_value(seed: int) -> int:
    """As it stands behind a seal that matches: who is hostile can calculate one."""
    rng = random.Random(seed)
    damaged = mutate(_PACKED, rng, [bytes(40), b"\xff" * 300])
    assert len(packing.legible(damaged)) <= max(len(damaged), PACKED_BYTES_MAX)
    try:
        body = packing.unpack(damaged)
    except ValueError:
        return 1
    assert len(body) <= PACKED_BYTES_MAX
    return 1


READERS: tuple[Reader, ...] = (
    Reader("frame", "frames", _frame),
    Reader("update", "updates", _update),
    Reader("state vector", "vectors", _vector, vectors.__name__),
    Reader("schema", "schemas", _schema),
    Reader("delimited table", "csv", _table(".csv")),
    Reader("JSON table", "json", _table(".json")),
    Reader("JSON lines", "json", _table(".jsonl")),
    Reader("settings", "settings", _settings),
    Reader("token", "tokens", _address),
)
TARGETS: tuple[Target, ...] = (
    Target("hub", attack_hub),
    Target("dialer", attack_dialer),
    *(reader.target() for reader in READERS),
    Target("bundle", attack_bundle),
    Target("stored value", _stored_value),
    Target("packed value", _packed_value),
)
