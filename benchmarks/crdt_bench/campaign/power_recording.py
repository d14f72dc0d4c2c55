"""Every write and sync that programs make to a store's data file, and what they say, as strace saw them, in order.

One program writes the file at a time; a call of a thread that others interrupt counts from its end.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_CALLS = "openat,lseek,write,writev,pwrite64,pwritev,ftruncate,truncate,fdatasync,fsync,msync"
_LINE = re.compile(r"^(?:\d+ +)?(\w+)\((.*)\) += (-?\w+)")
_BEGUN = re.compile(r"^(\d+) +(.*) <unfinished \.\.\.>$")
_ENDED = re.compile(r"^(\d+) +<\.\.\. \w+ resumed>(.*)$")
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
class Said:
    """A program has said this on its standard output, or is about to."""

    words: str


Event = Write | Resize | Sync | Said


def missing() -> str:
    """Why nothing can be recorded here, or nothing."""
    return "" if shutil.which("strace") else "strace is not installed"


def record(directory: Path, module: str, *arguments: str) -> list[Event]:
    """Run `python -m module STORE *arguments`, with its store in `directory`, and return what became of its data file.

    Raises `CalledProcessError` where the program fails.
    """
    store, log = directory / "store", directory / "calls"
    subprocess.run(
        [
            *("strace", "-f", "--seccomp-bpf", "-y", "-xx", "-s", str(1 << 24), "-e", f"trace={_CALLS}"),
            *("-o", str(log), sys.executable, "-m", module, str(store), *arguments),
        ],
        check=True,
        timeout=_SECONDS_MAX,
        stdout=subprocess.DEVNULL,
        cwd=Path(__file__).parents[3],
    )
    with log.open(encoding="ascii") as lines:
        return list(_events(_whole(lines), store / "data.mdb"))


def _whole(lines: Iterator[str]) -> Iterator[str]:
    """Each call on a line of its own, where it ended; what is said, where it began: it may be heard from then on."""
    begun: dict[str, str] = {}
    for line in lines:
        if (found := _BEGUN.match(line)) is not None:
            if _says(call := found[2]):
                yield f"{call}) = 0"
            else:
                begun[found[1]] = call
        elif (found := _ENDED.match(line)) is not None:
            if found[1] in begun:
                yield begun.pop(found[1]) + found[2]
        else:
            yield line


def _says(call: str) -> bool:
    return call.startswith("write(1<")


def _events(lines: Iterator[str], data: Path) -> Iterator[Event]:
    path = "".join(f"\\x{byte:02x}" for byte in str(data.resolve()).encode())
    positions: dict[str, int] = {}
    durable: set[str] = set()
    for line in lines:
        matched = _LINE.match(line)
        if matched is None or matched[3].startswith("-"):
            continue
        call, arguments, result = matched[1], matched[2], matched[3]
        if _says(f"{call}({arguments}"):
            yield Said(_bytes(arguments).decode("utf-8").strip())
            continue
        if f"{path}" not in line:
            continue
        if call in {"openat", "truncate"}:
            if "O_RDONLY" in arguments:
                continue  # a reader's: its number is no writer's
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
            written = _bytes(arguments)
            length = int(result, 0)
            offset = int(arguments.rpartition(",")[2], 0) if call.startswith("p") else positions[handle]
            if not call.startswith("p"):
                positions[handle] = offset + length
            yield Write(offset, written[:length], handle in durable)


def _bytes(arguments: str) -> bytes:
    return b"".join(bytes.fromhex(part.replace("\\x", "")) for part in _BYTES.findall(arguments))
