"""A large record, a first push and one that is cut, over a link that carries little; here all is small, and faster."""

import asyncio

import pytest

from crdt_bench.campaign import slow_links
from crdt_bench.campaign.tally import Tally
from crdt_sync import limits
from crdt_sync.replica.partner import Partner

SMALL = slow_links.Sizes(text_bytes=10_000, records=800)
RATE = 80_000


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """As there is little in all, little may be under way: what a cut costs is small beside the rest."""
    for name in ("ANSWER_US_TARGET", "WINDOW_BYTES_FIRST", "WINDOW_BYTES_MIN"):
        monkeypatch.setattr(limits, name, getattr(limits, name) // 10)


def trial(name: str, transport: str = "websocket") -> Tally:
    tally = Tally("slow links", "trials", 0)
    asyncio.run(slow_links.tried(name, RATE, SMALL, tally, transport))
    return tally


@pytest.mark.parametrize(
    ("name", "transport"),
    [
        *((name, "websocket") for name in slow_links.CASES),
        ("record of 2 MiB down", "http"),
        ("first push, cut half-way", "http"),
    ],
)
def test_it_gets_through(name: str, transport: str) -> None:
    tally = trial(name, transport)
    assert (tally.ran, tally.findings) == (1, [])
    assert f"{name} at 80 kB/s" in tally.figures[0]


@pytest.mark.parametrize("name", ["record of 2 MiB up", "record of 2 MiB down"])
def test_a_patience_that_counts_whole_frames_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SILENCE_US_MAX", 100_000)
    monkeypatch.setattr(limits, "LINK_BYTES_PER_S_MIN", 100 * RATE)
    monkeypatch.setattr(limits, "BURST_US_MAX", 0)
    assert trial(name).findings


def test_what_is_sent_again_after_a_cut_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Partner, "acknowledge", lambda *_: [])
    assert any("is sent again" in finding for finding in trial("first push, cut half-way").findings)


def test_the_whole_is_each_case_at_each_rate() -> None:
    assert slow_links.COUNT == 12
