"""Writes a bundle, chunk by chunk, in bounded memory."""

from typing import BinaryIO, NamedTuple

from crdt_sync.errors import BundleNotWritten
from crdt_sync.exchange.bundle.chunk import Entry, pack
from crdt_sync.exchange.bundle.envelope import Envelope
from crdt_sync.exchange.bundle.frames import SEALED, FrameWriter, Kind
from crdt_sync.exchange.bundle.header import End, Header
from crdt_sync.exchange.bundle.inside import Said, message
from crdt_sync.exchange.bundle.protection import Key
from crdt_sync.identity.keys import KeyPair
from crdt_sync.limits import BUNDLE_CHUNK_BYTES_TARGET, BUNDLE_CHUNK_RECORDS_MAX, BUNDLE_CHUNKS_MAX


class Seal(NamedTuple):
    """What makes a bundle a sealed one: for whom it is, what else stands in it, and the key that signs."""

    envelope: Envelope
    said: Said
    pair: KeyPair


class BundleWriter:
    """Give it every update, then `finish`. With a `key`, whose protection the header names, chunks are encrypted, and
    with a `seal` the header, too.
    """

    def __init__(self, stream: BinaryIO, header: Header, key: Key | None, seal: Seal | None = None) -> None:
        self._frames = FrameWriter(stream, header.version if seal is None else SEALED)
        self._key = key
        self._seal = seal
        self._before = 0  # parts before the chunks that were encrypted with the same key
        if seal is None or key is None:
            self._frames.write(Kind.HEADER, header.encode())
            self._pinned = self._frames.checksum
        else:
            self._frames.write(Kind.ENVELOPE, seal.envelope.encode())
            self._pinned = self._frames.checksum
            for kind, content in ((Kind.HEADER, header.encode()), (Kind.SAID, seal.said.encode())):
                self._frames.write(kind, key.seal(self._pinned, kind, self._before, content))
                self._before += 1
        self._entries: list[Entry] = []
        self._size = 0
        self._chunks = 0
        self._updates = 0
        self._bytes = 0

    def add(self, record: str, update: bytes) -> None:
        """Append one update of a record. Raises `BundleNotWritten` where there are too many."""
        if self._size + len(update) > BUNDLE_CHUNK_BYTES_TARGET or len(self._entries) >= BUNDLE_CHUNK_RECORDS_MAX:
            self._flush()
        self._entries.append(Entry(record, update))
        self._size += len(update) + len(record)
        self._updates += 1
        self._bytes += len(update)

    def part(self) -> None:
        """What follows is judged by what was added until now: it comes in another chunk."""
        self._flush()

    def finish(self) -> End:
        """Write the rest and the end."""
        self._flush()
        end = End(self._chunks, self._updates, self._bytes)
        body, number = end.encode(), self._before + self._chunks
        if self._key and self._seal is not None:
            signed = body + self._seal.pair.sign(message(self._frames.checksum, body))
            self._frames.write(Kind.END, self._key.seal(self._pinned, Kind.END, number, signed))
        else:
            tag = self._key.seal(self._pinned, Kind.END, number, b"", body) if self._key else b""
            self._frames.write(Kind.END, body + tag)
        return end

    def _flush(self) -> None:
        if not self._entries:
            return
        if self._chunks >= BUNDLE_CHUNKS_MAX:
            raise BundleNotWritten(
                f"there is more to write than the {BUNDLE_CHUNKS_MAX} chunks of a bundle hold",
                "Sync over a network, or make the bundle for a partner that has a part of it.",
            )
        packed = pack(self._entries)
        if self._key:
            packed = self._key.seal(self._pinned, Kind.CHUNK, self._before + self._chunks, packed)
        self._frames.write(Kind.CHUNK, packed)
        self._chunks += 1
        self._entries = []
        self._size = 0
