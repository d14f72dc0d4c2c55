"""What exports wrote, kept beside the store, so that an import of the edited file finds out which cells were edited.

Each export is one file of gzipped JSON lines: a header, then for each record what the table says of its fields, in the
form in which a record remembers its sources. It stays on this device, and is never needed: without it, a cell that
differs from what is here may be an edit in the table or an edit here, and both are shown.
"""

import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from crdt_sync.exchange.atomic import atomic_file
from crdt_sync.limits import EXPORTS_BYTES_MAX, EXPORTS_KEPT_MAX, EXPORTS_OF_NAME_MAX, EXPORTS_READ_BYTES_MAX, STAMP_MAX
from crdt_sync.storage.encryption.cipher import Cipher

_SUFFIX = ".export.gz"


Note = Callable[[str, Mapping[str, object]], object]
"""Takes down what one row says of its record."""


@dataclass(frozen=True, slots=True)
class Export:
    """One export: record to what it said of it as JSON text, in the order of its rows; `stamp` is when that was."""

    source: str
    texts: Mapping[str, str]
    stamp: int = STAMP_MAX

    def said(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Each record, and what was said of its fields."""
        return ((record, json.loads(text)) for record, text in self.texts.items())


@dataclass(slots=True)
class Remembered:
    """What exports said of the records of one collection, as JSON text: what is equal in several of a name, once.

    `exports` are those of the source that is imported first, the newest before the others.
    """

    exports: list[Export] = field(default_factory=list)
    _said: dict[str, list[tuple[int, str, str]]] = field(default_factory=dict)

    def said(self, record: str) -> Iterator[tuple[int, str, Mapping[str, Any]]]:
        """Stamp (microseconds since 1970) and source of each export that knows a record, and what it said of it."""
        for stamp, source, text in self._said.get(record, ()):
            yield stamp, source, json.loads(text)

    def add(self, source: str, stamp: int, said: Mapping[str, str]) -> None:
        """Take in an export that is older than those of its source which are here already."""
        self.exports.append(Export(source, said, stamp))
        for record, text in said.items():
            known = self._said.setdefault(record, [])
            if all((other, before) != (source, text) for _, other, before in known):
                known.append((stamp, source, text))


class Exports:
    """The exports that are remembered in `folder`, which is made at the first.

    `cipher` is that of an encrypted store: what is remembered is sealed with it, each file as a whole.
    """

    def __init__(self, folder: Path, cipher: Cipher | None = None) -> None:
        self._folder = folder
        self._cipher = cipher

    @contextmanager
    def writing(self, source: str, stamp: int) -> Iterator[Note]:
        """Remember one export, if the block ends well; the oldest ones make room. Raises `TableNotWritten`.

        Of several of one name and stamp, as where a clock stands still, each has its own.
        """
        with suppress(FileExistsError):
            self._folder.mkdir(mode=0o700)
        while (path := self._folder / f"{stamp:020}-{self._digest(source)}{_SUFFIX}").exists():
            stamp += 1
        with atomic_file(path) as stream:
            sealed = None if self._cipher is None else BytesIO()
            with gzip.GzipFile("", "wb", 1, sealed or stream, mtime=0) as packed:
                packed.write(_line({"source": source, "stamp": stamp}))
                yield lambda record, said: packed.write(_line([record, json.dumps(said, ensure_ascii=False)]))
            if self._cipher is not None and sealed is not None:
                stream.write(self._cipher.seal(_place(path), sealed.getvalue()))
        self._make_room()

    def of_collection(self, collection: str, source: str) -> Remembered:
        """The exports with records of a collection, for an import of `source`. What cannot be read is not there.

        They are unpacked one at a time: those of that source first, then the newest, up to `EXPORTS_READ_BYTES_MAX`.
        """
        remembered = Remembered()
        room = EXPORTS_READ_BYTES_MAX
        own = f"-{self._digest(source)}{_SUFFIX}"
        newest = self._files()[::-1]
        for path in sorted(newest, key=lambda path: not path.name.endswith(own)):
            with suppress(OSError, EOFError, zlib.error, ValueError, TypeError, KeyError):
                name, stamp, said = _read(self._packed(path), f"{collection}/", room)
                remembered.add(name, stamp, said)
                room -= sum(map(len, said.values()))
        return remembered

    def _packed(self, path: Path) -> bytes:
        """What was packed of one export. Raises `OSError`, and `ValueError` where it cannot be opened."""
        packed = path.read_bytes()
        opened = packed if self._cipher is None else self._cipher.open(_place(path), packed)
        if opened is None:
            raise ValueError("it is not of this store, or damaged")
        return opened

    def _digest(self, source: str) -> str:
        """16 characters that stand for a source in names of files; in an encrypted store nobody else can tell which."""
        if self._cipher is not None:
            return self._cipher.group(source.encode()).hex()
        return hashlib.blake2b(source.encode(), digest_size=8).hexdigest()

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob(f"*{_SUFFIX}"))

    def _make_room(self) -> None:
        bytes_kept = 0
        of_name: dict[str, int] = {}
        for kept, path in enumerate(reversed(self._files()), 1):
            name = path.name.partition("-")[2]
            bytes_kept += path.stat().st_size
            of_name[name] = of_name.get(name, 0) + 1
            if kept > EXPORTS_KEPT_MAX or of_name[name] > EXPORTS_OF_NAME_MAX or bytes_kept > EXPORTS_BYTES_MAX:
                path.unlink(missing_ok=True)


def _place(path: Path) -> bytes:
    return b"export\0" + path.name.encode()


def _read(packed: bytes, prefix: str, room: int) -> tuple[str, int, dict[str, str]]:
    """Source, stamp and what was said, by record; nothing of other collections. Raises `ValueError` without room."""
    said: dict[str, str] = {}
    with gzip.open(BytesIO(packed), "rt", encoding="utf-8") as lines:
        header = json.loads(next(lines, ""))
        for line in lines:
            record, text = json.loads(line)
            if not record.startswith(prefix):
                break
            room -= len(text)
            if room < 0:
                raise ValueError("no room is left")
            said[record] = text
    return str(header["source"]), int(header["stamp"]), said


def _line(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass") + b"\n"
