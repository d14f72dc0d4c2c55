"""Where a table's bytes come from: a file, packed with gzip or not, or one member of a ZIP archive."""

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from crdt_sync.errors import InvalidTable
from crdt_sync.exchange.file_kinds import HEAD_BYTES, is_archive, is_gzip, is_workbook

_TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".tab", ".psv", ".json", ".jsonl", ".ndjson", ".xlsx", ".vcf"})


class Source:
    """Bytes that can be read again from the start; `bytes_read` follows the latest reading."""

    def __init__(self, path: Path, member: str | None = None) -> None:
        """Raises `InvalidTable` when the file or the member is not there or not readable."""
        self._path = path
        self._stream: IO[bytes] | None = None
        self.bytes_read = 0
        with _readable(path):
            with path.open("rb") as stream:
                start = stream.read(HEAD_BYTES)
            self._packed = is_gzip(start)
            zipped = (
                path.suffix.casefold() == ".zip" or member is not None or (is_archive(start) and not _is_book(path))
            )
            self._member = _choose_member(path, member) if zipped else None
            self.bytes_total = self._size()
            with self.open() as unpacked:
                self.head = unpacked.read(HEAD_BYTES)
            self.is_blank = len(self.head) < HEAD_BYTES and not self.head.strip(b"\xef\xbb\xbf \t\r\n")
        inner = Path(self._member or (path.stem if self._packed and path.suffix.casefold() == ".gz" else path.name))
        self.name = inner.stem
        self.suffix = inner.suffix.casefold()

    def _size(self) -> int:
        if self._packed and self._member is None:
            with self._path.open("rb") as stream:
                stream.seek(-4, io.SEEK_END)
                return int.from_bytes(stream.read(4), "little")  # of what is inside, modulo 4 GiB
        if self._member is None:
            return self._path.stat().st_size
        with zipfile.ZipFile(self._path) as archive:
            return archive.getinfo(self._member).file_size

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """The bytes from the start; `bytes_read` follows this reading from now on."""
        with _readable(self._path):
            if self._member is None and self._packed:
                with gzip.open(self._path) as unpacked:
                    yield self._counted(unpacked)
            elif self._member is None:
                with self._path.open("rb", buffering=0) as raw:
                    yield self._counted(raw)
            else:
                with zipfile.ZipFile(self._path) as archive, archive.open(self._member) as member:
                    yield self._counted(member)

    def _counted(self, stream: IO[bytes] | io.FileIO | gzip.GzipFile) -> IO[bytes]:
        self.bytes_read = 0
        return io.BufferedReader(_Counting(stream, self), 1 << 16)

    def read_whole(self, bytes_max: int) -> bytes:
        """All bytes, refused with `InvalidTable` beyond `bytes_max`."""
        with self.open() as stream:
            content = stream.read(bytes_max + 1)
        if len(content) > bytes_max:
            raise InvalidTable(
                f"{self.name!r} is larger than {bytes_max:,} bytes, too large to be read as a whole",
                "Save it as CSV or as JSON lines: those are read row by row at any size.",
            )
        return content


class _Counting(io.RawIOBase):
    def __init__(self, stream: IO[bytes] | io.FileIO | gzip.GzipFile, source: Source) -> None:
        self._stream = stream
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._stream.read(len(buffer)) or b""
        buffer[: len(content)] = content
        self._source.bytes_read += len(content)
        return len(content)


def _is_book(path: Path) -> bool:
    with path.open("rb") as stream:
        return is_workbook(stream) or path.suffix.casefold() in {".xlsx", ".xlsm"}


def _choose_member(path: Path, wanted: str | None) -> str:
    with zipfile.ZipFile(path) as archive:
        tables = [
            info.filename
            for info in archive.infolist()
            if Path(info.filename).suffix.casefold() in _TABLE_SUFFIXES
            and not info.filename.startswith("__MACOSX/")
            and not Path(info.filename).name.startswith(".")
        ]
        matches = [name for name in archive.namelist() if wanted in {name, Path(name).name}] if wanted else tables
    if len(matches) == 1:
        return matches[0]
    listing = ", ".join(repr(name) for name in tables[:20]) or "none"
    if wanted and not matches:
        raise InvalidTable(f"{path.name!r} has no member {wanted!r}", f"Tables in it: {listing}.")
    raise InvalidTable(f"{path.name!r} holds {len(tables)} tables", f"Choose one with --member: {listing}.")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """The ways in which a file or an archive cannot be read, as `InvalidTable`."""
    try:
        yield
    except FileNotFoundError:
        raise InvalidTable(f"there is no file {str(path)!r}", "Check the path.") from None
    except IsADirectoryError:
        raise InvalidTable(f"{str(path)!r} is a folder", "Name one file in it.") from None
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise InvalidTable(f"{path.name!r} is not a readable ZIP archive: {error}", "Unpack it first.") from error
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InvalidTable(f"{path.name!r} cannot be unpacked: {error}", "Copy or pack it again.") from error
    except RuntimeError as error:
        if "password" not in str(error) and "encrypted" not in str(error):
            raise
        raise InvalidTable(f"{path.name!r} is encrypted", "Unpack it first.") from error
    except OSError as error:
        raise InvalidTable(f"{str(path)!r} cannot be read: {error.strerror}", "Check its permissions.") from error
