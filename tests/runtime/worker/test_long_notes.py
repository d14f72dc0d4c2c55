"""Long notes, made of tens of thousands of small edits, through the real worker: dear, honest, and never refused."""

from functools import cache
from typing import Any

import pycrdt
import pytest

from crdt_bench.notes import note
from crdt_sync import limits
from crdt_sync.records import Document
from crdt_sync.runtime.worker.pool import IntegrationPool
from crdt_sync.runtime.worker.values import Item

from .conftest import RunScenario, Shelf, codes

ANNA = "customers/anna"
BEN = "customers/ben"
EDITS = {"200 kB": 6_000, "500 kB": 14_000, "1 MB": 27_000, "2 MB": 52_000}


@cache
def long_note(edits: int) -> bytes:
    return Document.load([note(edits)]).diff()


def edited(stored: bytes, character: str) -> bytes:
    """The update of one more edit in the middle of a note."""
    document: pycrdt.Doc[Any] = pycrdt.Doc()
    document.apply_update(stored)
    before = document.get_state()
    text = document.get("t.notes", type=pycrdt.Text)
    text.insert(len(str(text)) // 2, character)
    return document.get_update(before)


@pytest.mark.parametrize("size", ["200 kB", "2 MB"])
def test_a_long_note_is_taken_whole_and_edited_once_it_is_loaded_again(run_scenario: RunScenario, size: str) -> None:
    whole = long_note(EDITS[size])
    assert len(whole) <= limits.RECORD_BYTES_MAX  # the largest is close to it

    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        shelf.updates[BEN] = [whole]
        items = [Item(ANNA, (whole,)), Item(BEN, (edited(whole, "x"), edited(whole, "y")), want_snapshot=True)]
        assert codes(await pool.integrate(items, None)) == [["accepted"], ["accepted"] * 2]
        assert (pool.kills, pool.poisoned) == (0, 0)

    run_scenario(scenario)


def test_a_note_that_takes_longer_than_it_may_is_accepted_the_second_time_alone_with_more(
    run_scenario: RunScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "INTEGRATION_US", 50_000)
    monkeypatch.setattr(limits, "INTEGRATION_US_PER_KIB", 0)
    monkeypatch.setattr(limits, "INTEGRATION_AGAIN_FACTOR", 1_000)
    whole = long_note(EDITS["500 kB"])

    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        shelf.updates[BEN] = [whole]
        items = [Item(ANNA, (whole,)), Item(BEN, (edited(whole, "x"),))]
        assert codes(await pool.integrate(items, None)) == [["accepted"], ["accepted"]]
        assert pool.kills >= 2
        assert (pool.poisoned, pool.unloadable) == (0, 0)

    run_scenario(scenario)


def test_this_would_see_a_budget_that_does_not_follow_the_bytes(
    run_scenario: RunScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "INTEGRATION_US", 50_000)
    monkeypatch.setattr(limits, "INTEGRATION_US_PER_KIB", 0)
    monkeypatch.setattr(limits, "INTEGRATION_AGAIN_FACTOR", 1)

    async def scenario(pool: IntegrationPool, shelf: Shelf) -> None:
        assert codes(await pool.integrate([Item(ANNA, (long_note(EDITS["500 kB"]),))], None)) == [["poison"]]

    run_scenario(scenario)
