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
from pathlib import Path
from typing import Any

from crdt_sync.exchange.atomic import atomic_file
from crdt_sync.limits import EXPORTS_BYTES_MAX, EXPORTS_KEPT_MAX, EXPORTS_OF_NAME_MAX

_SUFFIX = ".export.gz"


Note = Callable[[str, Mapping[str, object]], object]
"""Takes down what one row says of its record."""


@dataclass(slots=True)
class Export:
    """One export: of what `source`, when (microseconds since 1970), and what it said, as JSON text by record."""

    source: str
    stamp: int
    _said: dict[str, str] = field(default_factory=dict)

    def said(self, record: str) -> Mapping[str, Any] | None:
        """What it said of a record."""
        text = self._said.get(record)
        return None if text is None else json.loads(text)


class Exports:
    """The exports that are remembered in `folder`, which is made at the first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def writing(self, source: str, stamp: int) -> Iterator[Note]:
        """Remember one export, if the block ends well; the oldest ones make room. Raises `TableNotWritten`."""
        with suppress(FileExistsError):
            self._folder.mkdir(mode=0o700)
        digest = hashlib.blake2b(source.encode(), digest_size=8).hexdigest()
        with (
            atomic_file(self._folder / f"{stamp:020}-{digest}{_SUFFIX}") as stream,
            gzip.GzipFile("", "wb", 1, stream, mtime=0) as packed,
        ):
            packed.write(_line({"source": source, "stamp": stamp}))
            yield lambda record, said: packed.write(_line([record, json.dumps(said, ensure_ascii=False)]))
        self._make_room()

    def of_collection(self, collection: str) -> list[Export]:
        """All exports with records of a collection, the newest first. What cannot be read counts as not there."""
        found = []
        for path in reversed(self._files()):
            with suppress(OSError, EOFError, zlib.error, ValueError, TypeError, KeyError):
                found.append(_read(path, f"{collection}/"))
        return [export for export in found if export is not None]

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


def _read(path: Path, prefix: str) -> Export | None:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        header = json.loads(next(lines, ""))
        export = Export(str(header["source"]), int(header["stamp"]))
        for line in lines:
            record, said = json.loads(line)
            if not record.startswith(prefix):
                return None
            export._said[record] = said
    return export


def _line(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass") + b"\n"
