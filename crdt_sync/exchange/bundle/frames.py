"""The outermost layer of a bundle: frames in a chain of checksums.

    file    magic, 16 bytes | version, 1 byte | header frame | chunk frames | end frame
    sealed  magic, 16 bytes | version, 1 byte | envelope | header frame | frame of what was said | chunks | end
    frame   kind, 1 byte | length of the body, 4 bytes, big-endian | body | checksum, 32 bytes

A checksum is the BLAKE2b-256 of the checksum before it (of magic and version, for the first), kind, length and body.
So each stands for everything before it, and that of the end frame for the whole file: a bit that flipped, a chunk that
is missing, doubled or of another bundle, and a file that was cut off or went on are found without a second digest.
"""

import hashlib
from enum import IntEnum
from typing import BinaryIO, NamedTuple

from crdt_sync.errors import InvalidBundle
from crdt_sync.limits import (
    BUNDLE_CHUNK_BYTES_MAX,
    BUNDLE_ENVELOPE_BYTES_MAX,
    BUNDLE_HEADER_BYTES_MAX,
    FRAME_BYTES_MAX,
    KIB,
)

MAGIC = b"crdt-sync bundle"
VERSIONS = (1, 2, 3)
"""2 where the header names a space, so that releases from before spaces refuse the bundle instead of mixing them; 3 is
sealed to devices.
"""
SEALED = 3
CHECKSUM_BYTES = 32
_HEAD_BYTES = 5
_END_BYTES_MAX = 128


class Kind(IntEnum):
    """What a frame holds."""

    HEADER = 1
    CHUNK = 2
    END = 3
    ENVELOPE = 4
    SAID = 5


_BYTES_MAX = {
    Kind.HEADER: BUNDLE_HEADER_BYTES_MAX,
    Kind.CHUNK: BUNDLE_CHUNK_BYTES_MAX + 8 * KIB,  # what cannot be packed grows a little
    Kind.END: _END_BYTES_MAX,
    Kind.ENVELOPE: BUNDLE_ENVELOPE_BYTES_MAX,
    Kind.SAID: FRAME_BYTES_MAX,
}


class Place(NamedTuple):
    """Where a frame begins in the file, and the checksum before it."""

    offset: int
    checksum: bytes


class FrameWriter:
    """Writes frames; `checksum` is that of the last one."""

    def __init__(self, stream: BinaryIO, version: int = VERSIONS[0]) -> None:
        self._stream = stream
        self.checksum = MAGIC + bytes([version])
        stream.write(self.checksum)

    def write(self, kind: Kind, body: bytes) -> None:
        """Append one frame."""
        if len(body) > _BYTES_MAX[kind]:
            raise ValueError(f"a frame of {len(body)} bytes")
        head = bytes([kind]) + len(body).to_bytes(4, "big")
        self.checksum = _checksum(self.checksum, head, body)
        self._stream.write(head + body + self.checksum)


class FrameReader:
    """Reads frames and checks each before its body is given away. Raises `InvalidBundle`.

    `place` is where the next frame begins; one that was passed before may be set again. `version` is the file's.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._name = name
        prelude = self._read(len(MAGIC) + 1)
        if not prelude.startswith(MAGIC):
            raise InvalidBundle(f"{name} is no bundle", "A bundle is made by 'crdt-sync bundle create'.")
        if len(prelude) == len(MAGIC):
            raise self.damaged("it ends before its format")
        self.version = prelude[-1]
        if self.version > VERSIONS[-1]:
            raise InvalidBundle(
                f"{name} has bundle format {self.version}; this program knows format {VERSIONS[-1]}",
                "Install the newer version of this program, then apply it again; or sync, which both versions can.",
            )
        if self.version not in VERSIONS:
            raise self.damaged(f"it has the unknown format {self.version}")
        self._place = Place(len(prelude), prelude)

    @property
    def place(self) -> Place:
        """Where the next frame begins."""
        return self._place

    @place.setter
    def place(self, place: Place) -> None:
        try:
            self._stream.seek(place.offset)
        except OSError as error:
            raise self._unreadable(error) from error
        self._place = place

    def read(self, *expected: Kind) -> tuple[Kind, bytes]:
        """The next frame, which must be of one of these kinds."""
        offset, before = self._place
        head = self._exactly(_HEAD_BYTES)
        length = int.from_bytes(head[1:], "big")
        if head[0] not in expected or length > _BYTES_MAX[Kind(head[0])]:
            raise self.damaged(f"what stands at byte {offset} cannot stand there")
        body = self._exactly(length)
        checksum = self._exactly(CHECKSUM_BYTES)
        if checksum != _checksum(before, head, body):
            raise self.damaged(f"the checksum of the {_HEAD_BYTES + length} bytes from byte {offset} on does not match")
        self._place = Place(offset + _HEAD_BYTES + length + CHECKSUM_BYTES, checksum)
        return Kind(head[0]), body

    def finish(self) -> None:
        """Check that nothing follows."""
        if self._read(1):
            raise self.damaged(f"something follows its end at byte {self._place.offset}")

    def damaged(self, reason: str) -> InvalidBundle:
        """The error for a file that is not as its writer left it."""
        return InvalidBundle(
            f"{self._name} is damaged and was refused as a whole: {reason}", "Copy or send the bundle again."
        )

    def _exactly(self, count: int) -> bytes:
        data = self._read(count)
        if len(data) < count:
            raise self.damaged(f"it ends too early, within the frame that begins at byte {self._place.offset}")
        return data

    def _read(self, count: int) -> bytes:
        try:
            return self._stream.read(count)
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> InvalidBundle:
        return InvalidBundle(
            f"{self._name} cannot be read: {error.strerror or error}", "Check the file and what it is stored on."
        )


def _checksum(before: bytes, head: bytes, body: bytes) -> bytes:
    digest = hashlib.blake2b(before, digest_size=CHECKSUM_BYTES, person=MAGIC)
    digest.update(head)
    digest.update(body)
    return digest.digest()
