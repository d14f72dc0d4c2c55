"""What a disk may hold after the power failed: the writes that were synced, and any part of those that were not."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from crdt_bench.campaign.power_recording import Event, Resize, Said, Sync, Write

SECTOR_BYTES = 512  # what a disk writes whole or not at all


@dataclass(frozen=True, slots=True)
class Image:
    """The content of the data file, and what was said before the power failed."""

    content: bytes
    said: tuple[str, ...]
    cut_at: int  # the event during which the power failed
    survival: str  # how the writes that were not synced fared


def cut(events: Sequence[Event], position: int, rng: random.Random) -> Image:
    """The power fails during event `position`: a call under way may have had any part of its effect."""
    disk = bytearray()
    pending: list[Write | Resize] = []
    said: list[str] = []
    for event in events[: position + 1]:
        match event:
            case Said(words) if event is not events[position]:
                said.append(words)
            case Sync():
                if event is not events[position]:
                    _apply_all(disk, pending)
                    pending = []
            case Write(durable=True) if event is not events[position]:
                _put(disk, event.offset, event.data)
            case Write() | Resize():
                pending.append(event)
    survival = rng.choice(("none", "all", "pages", "sectors", "sectors", "one lost", "one kept"))
    _survive(disk, pending, survival, rng)
    return Image(bytes(disk), tuple(said), position, survival)


def _survive(disk: bytearray, pending: list[Write | Resize], survival: str, rng: random.Random) -> None:
    chosen = rng.randrange(len(pending)) if pending else 0
    kept = rng.choice((0.1, 0.5, 0.9))
    pieces: list[Write | Resize] = []
    for number, event in enumerate(pending):
        match survival:
            case "all":
                pieces.append(event)
            case "pages":
                pieces += [piece for piece in _pieces(event, 8 * SECTOR_BYTES) if rng.random() < kept]
            case "sectors":
                pieces += [piece for piece in _pieces(event, SECTOR_BYTES) if rng.random() < kept]
            case "one lost":
                pieces += [event] if number != chosen else []
            case "one kept":
                pieces += [event] if number == chosen else []
    _apply_all(disk, pieces)


def _pieces(event: Write | Resize, size: int) -> list[Write | Resize]:
    """A write as the aligned blocks that reach the disk independently."""
    if isinstance(event, Resize):
        return [event]
    pieces: list[Write | Resize] = []
    start, end = event.offset, event.offset + len(event.data)
    while start < end:
        stop = min(end, (start // size + 1) * size)
        pieces.append(Write(start, event.data[start - event.offset : stop - event.offset], event.durable))
        start = stop
    return pieces


def _apply_all(disk: bytearray, events: Sequence[Write | Resize]) -> None:
    for event in events:
        if isinstance(event, Write):
            _put(disk, event.offset, event.data)
        elif event.length < len(disk):
            del disk[event.length :]
        else:
            disk.extend(bytes(event.length - len(disk)))


def _put(disk: bytearray, offset: int, data: bytes) -> None:
    if offset > len(disk):
        disk.extend(bytes(offset - len(disk)))
    disk[offset : offset + len(data)] = data
