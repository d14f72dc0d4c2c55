"""What it costs the gate to judge a long note, beside the processor time that it may take."""

import gzip
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pycrdt

from crdt_bench.data import shared_data
from crdt_bench.notes import ROOT, note, replayed
from crdt_bench.results import Measurement, Outcome, Skipped, Target
from crdt_sync import limits
from crdt_sync.records import Document, Integrator
from crdt_sync.runtime.worker.budget import Budget

NAME = "notes"
_RECORD = "customers/note"
_TRACE = "text_automerge-paper.json.gz"
_MARGIN_MIN = 3.0  # times as much as is used; the second try has several times more


@dataclass(frozen=True, slots=True)
class Sizes:
    """Edits of the notes that are made up, and how many of the recorded ones are replayed."""

    edits: tuple[int, ...] = (6_000, 14_000, 27_000, 52_000)
    dearest: int = 120_000
    trace: int = 259_778
    rounds: int = 3


SMALL = Sizes(edits=(500,), dearest=500, trace=500, rounds=1)


def run(sizes: Sizes) -> list[Outcome]:
    """Each note is judged whole, as a wiped relay would, and an edit of it where it has to be loaded first."""
    outcomes: list[Outcome] = []
    for edits in sizes.edits:
        outcomes += _judged(f"{edits:,} edits by 3 writers", note(edits), sizes.rounds)
    dearest = note(sizes.dearest, id_bits=7, characters_max=1)
    outcomes += _judged(f"{sizes.dearest:,} edits of one character, shortest ids", dearest, sizes.rounds)
    folder = shared_data()
    if folder is None or not (folder / "traces" / _TRACE).is_file():
        outcomes.append(Skipped(NAME, f"{_TRACE} is not here; set CRDT_SYNC_DATA to the folder with the shared data"))
        return outcomes
    outcomes += _judged(f"{sizes.trace:,} recorded edits", _replayed(folder, sizes.trace), sizes.rounds)
    return outcomes


def _judged(name: str, made: bytes, rounds: int) -> Iterator[Outcome]:
    whole = Document.load([made]).diff()
    edit = _edited(whole)
    taken: list[float] = []
    loaded: list[float] = []
    for _ in range(rounds):
        taken.append(_processor_s(lambda: _judge((), whole)))
        loaded.append(_processor_s(lambda: _judge((whole,), edit)))
    size = len(whole)
    yield Measurement(NAME, f"{name}: size", "KiB", (size / limits.KIB,))
    yield Measurement(NAME, f"{name}: judged whole", "s of processor", tuple(taken))
    yield Measurement(NAME, f"{name}: loaded, and one edit judged", "s of processor", tuple(loaded))
    allowed = Budget([size]).step_us(None) / 1e6
    margins = tuple(allowed / max(pair) for pair in zip(taken, loaded, strict=True))
    yield Measurement(NAME, f"{name}: allowed over used", "", margins, Target("at least", _MARGIN_MIN))


def _judge(stored: tuple[bytes, ...], update: bytes) -> None:
    (verdict,) = Integrator(1).integrate(_RECORD, stored, (update,), None, checked=True, snapshot=False).verdicts
    if verdict.code != "accepted":
        raise AssertionError(f"an honest edit was refused: {verdict.reason}")


def _processor_s(work: Callable[[], None]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _edited(whole: bytes) -> bytes:
    document: pycrdt.Doc[Any] = pycrdt.Doc()
    document.apply_update(whole)
    before = document.get_state()
    text = document.get(ROOT, type=pycrdt.Text)
    text.insert(len(str(text)) // 2, "x")
    return document.get_update(before)


def _replayed(folder: Path, edits: int) -> bytes:
    with gzip.open(folder / "traces" / _TRACE, "rt", encoding="utf-8") as file:
        transactions = json.load(file)["txns"][:edits]
    return replayed(patch for transaction in transactions for patch in transaction["patches"])
