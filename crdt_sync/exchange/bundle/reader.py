"""Reads a bundle twice: first to check all of it, then to use it.

Nothing that a bundle holds may be used before `verify` has returned. What is read after that is checked against what
was verified, so that a stick that fails, or a file that is written to, in between changes nothing unseen.
"""

from collections.abc import Callable, Iterator
from typing import BinaryIO, TypeVar

from crdt_sync.errors import BundleLocked, InvalidBundle
from crdt_sync.exchange.bundle.chunk import Entry, unpack
from crdt_sync.exchange.bundle.envelope import Envelope, decode_envelope
from crdt_sync.exchange.bundle.frames import SEALED, FrameReader, Kind
from crdt_sync.exchange.bundle.header import End, Header, decode_end, decode_header
from crdt_sync.exchange.bundle.inside import Said, Signed, decode_said, message
from crdt_sync.exchange.bundle.protection import TAG_BYTES, Key
from crdt_sync.identity.keys import SIGNATURE_BYTES
from crdt_sync.limits import BUNDLE_CHUNKS_MAX

_Content = TypeVar("_Content")


class BundleReader:
    """One bundle in a stream that can be sought. Raises `InvalidBundle` and, for a wrong token, `BundleLocked`.

    `header` is there at once, `digest` (of the whole file) after `verify`. Without a `token`, a protected bundle has
    its checksums verified, and what it holds stays closed. A sealed one has an `envelope`, of which `open_envelope`
    gives the key, or raises; it has `said`, and `signed` after `verify`.
    """

    def __init__(
        self,
        stream: BinaryIO,
        name: str,
        token: str | None,
        open_envelope: Callable[[Envelope], bytes],
    ) -> None:
        self._frames = FrameReader(stream, name)
        self._name = name
        self.envelope: Envelope | None = None
        self.said: Said | None = None
        self.signed: Signed | None = None
        self._key: Key | None = None
        self._before = 0  # parts before the chunks that were encrypted with the same key
        if self._frames.version == SEALED:
            self.header = self._open(open_envelope)
        else:
            _, body = self._frames.read(Kind.HEADER)
            self.header = self._checked(lambda body: decode_header(body, self._frames.version), body)
            self._pinned = self._frames.place.checksum
            self._key = self._key_for(self.header, token)
        self._places = [self._frames.place]
        self.digest = b""

    def _open(self, open_envelope: Callable[[Envelope], bytes]) -> Header:
        _, body = self._frames.read(Kind.ENVELOPE)
        envelope = self.envelope = self._checked(decode_envelope, body)
        self._pinned = self._frames.place.checksum
        self._key = Key(self._checked(lambda _: open_envelope(envelope), b""))
        parts = []
        for number, kind in enumerate((Kind.HEADER, Kind.SAID)):
            _, body = self._frames.read(kind)
            parts.append(self._opened(kind, number, body))
        self._before = len(parts)
        self.said = self._checked(decode_said, parts[1])
        header = self._checked(lambda body: decode_header(body, SEALED), parts[0])
        if (header.space, header.bundle) != (envelope.space, envelope.bundle):
            raise self._frames.damaged("its envelope is that of another bundle")
        return header

    @property
    def closed(self) -> bool:
        """Whether what it holds cannot be read, for want of a token."""
        return self.header.protection is not None and self._key is None

    def check_open(self) -> None:
        """Raises `BundleLocked` where what it holds cannot be read, and what its header says is not proved."""
        if self.closed:
            raise self._locked("its token was not given")

    def verify(self, read: Callable[[int], object] | None = None) -> End:
        """Check everything; `read` hears how many bytes were read so far."""
        self._frames.place = self._places[0]
        places = self._places[:1]
        updates = size = 0
        while True:
            kind, body = self._frames.read(Kind.CHUNK, Kind.END)
            number = len(places) - 1
            if kind is Kind.END:
                break
            if number >= BUNDLE_CHUNKS_MAX:
                raise self._frames.damaged(f"it has more than {BUNDLE_CHUNKS_MAX} chunks")
            if not self.closed:
                entries = self._entries(number, body)
                updates += len(entries)
                size += sum(len(entry.update) for entry in entries)
            places.append(self._frames.place)
            if read is not None:
                read(self._frames.place.offset)
        end = self._end(number, body, places[-1].checksum)
        if end.chunks != number or (not self.closed and (end.updates, end.size) != (updates, size)):
            raise self._frames.damaged("its end does not match what it holds")
        self._frames.finish()
        self._places = places
        self.digest = self._frames.place.checksum
        return end

    def chunks(self, after: int = 0) -> Iterator[tuple[Entry, ...]]:
        """The chunks behind the first `after`, each checked again. Raises `BundleLocked` without the token."""
        self.check_open()
        for number in range(after, len(self._places) - 1):
            self._frames.place = self._places[number]
            try:
                _, body = self._frames.read(Kind.CHUNK)
            except InvalidBundle as error:
                raise self._changed(error.message) from error
            if self._frames.place != self._places[number + 1]:
                raise self._changed("it holds something else")
            yield self._entries(number, body)

    def _entries(self, number: int, body: bytes) -> tuple[Entry, ...]:
        if self._key is not None:
            body = self._opened(Kind.CHUNK, number, body)
        return self._checked(unpack, body)

    def _end(self, number: int, body: bytes, before: bytes) -> End:
        if self.envelope is not None:
            body = self._opened(Kind.END, number, body)
            body, signature = body[:-SIGNATURE_BYTES], body[-SIGNATURE_BYTES:]
            self.signed = Signed(message(before, body), signature)
        elif self.header.protection is not None:
            body, tag = body[:-TAG_BYTES], body[-TAG_BYTES:]
            if self._key is not None:
                self._opened(Kind.END, number, tag, body)
        return self._checked(decode_end, body)

    def _opened(self, kind: Kind, number: int, sealed: bytes, beside: bytes = b"") -> bytes:
        assert self._key is not None
        try:
            return self._key.open(self._pinned, kind, self._before + number, sealed, beside)
        except ValueError as error:
            raise self._frames.damaged(f"part {number + 1} {error}") from None

    def _checked(self, decode: Callable[[bytes], _Content], body: bytes) -> _Content:
        try:
            return decode(body)
        except ValueError as error:
            raise self._frames.damaged(f"it was written wrongly: {error}") from None

    def _key_for(self, header: Header, token: str | None) -> Key | None:
        protection = header.protection
        if protection is None or token is None:
            return None
        key = Key.of_token(token, protection.salt)
        if key.protection != protection:
            raise self._locked("this is another token than the one that it was made with")
        return key

    def _locked(self, reason: str) -> BundleLocked:
        return BundleLocked(
            f"{self._name} is protected by the token of its space: {reason}",
            "Give the token with --token-file, or that of your relay with 'crdt-sync relay URL --token-file FILE'.",
        )

    def _changed(self, reason: str) -> InvalidBundle:
        return InvalidBundle(
            f"{self._name} was sound a moment ago and is so no longer: {reason}",
            "Copy it to this device and apply it again: it goes on where it stopped.",
        )
