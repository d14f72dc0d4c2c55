"""Every write and sync that a store makes to its data file, as strace saw them, in order."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_CALLS = "openat,lseek,write,writev,pwrite64,pwritev,ftruncate,truncate,fdatasync,fsync,msync"
_LINE = re.compile(r"^(?:\d+ +)?(\w+)\((.*)\) += (-?\w+)")
_BYTES = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_SECONDS_MAX = 120


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes written at an offset; `durable`: the file was opened so that the call returns when they are on disk."""

    offset: int
    data: bytes
    durable: bool


@dataclass(frozen=True, slots=True)
class Resize:
    """The file was given this length."""

    length: int


@dataclass(frozen=True, slots=True)
class Sync:
    """All that was written before is on disk."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The writer was told that its next step is durable."""


Event = Write | Resize | Sync | Acknowledged


def missing() -> str:
    """Why nothing can be recorded here, or nothing."""
    return "" if shutil.which("strace") else "strace is not installed"


def record(directory: Path, seed: int, steps: int, *, sync: bool = True) -> list[Event]:
    """Run the writer in `directory` and return what it did to its data file."""
    store, log = directory / "store", directory / "calls"
    subprocess.run(
        [
            *("strace", "-f", "-y", "-xx", "-s", str(1 << 24), "-e", f"trace={_CALLS}", "-o", str(log)),
            *(sys.executable, "-m", "crdt_bench.campaign.power_writer", str(store), str(seed), str(steps)),
            *(() if sync else ("--no-sync",)),
        ],
        check=True,
        timeout=_SECONDS_MAX,
        stdout=subprocess.DEVNULL,
        cwd=Path(__file__).parents[3],
    )
    with log.open(encoding="ascii") as lines:
        return list(_events(lines, store / "data.mdb"))


def _events(lines: Iterator[str], data: Path) -> Iterator[Event]:
    path = "".join(f"\\x{byte:02x}" for byte in str(data.resolve()).encode())
    positions: dict[str, int] = {}
    durable: set[str] = set()
    for line in lines:
        matched = _LINE.match(line)
        if matched is None or matched[3].startswith("-"):
            continue
        call, arguments, result = matched[1], matched[2], matched[3]
        if call == "write" and arguments.startswith("1<"):
            yield Acknowledged()
            continue
        if f"{path}" not in line:
            continue
        if call in {"openat", "truncate"}:
            if call == "truncate":
                yield Resize(int(arguments.rpartition(",")[2]))
            else:
                positions[result.partition("<")[0]] = 0
                (durable.add if "SYNC" in arguments else durable.discard)(result.partition("<")[0])
            continue
        handle = arguments.partition("<")[0]
        if call == "lseek":
            positions[handle] = int(result, 0)
        elif call == "ftruncate":
            yield Resize(int(arguments.rpartition(",")[2]))
        elif call in {"fdatasync", "fsync", "msync"}:
            yield Sync()
        else:
            written = b"".join(bytes.fromhex(part.replace("\\x", "")) for part in _BYTES.findall(arguments))
            length = int(result, 0)
            offset = int(arguments.rpartition(",")[2], 0) if call.startswith("p") else positions[handle]
            if not call.startswith("p"):
                positions[handle] = offset + length
            yield Write(offset, written[:length], handle in durable)
