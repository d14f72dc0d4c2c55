"""The comparison with the plain set difference sees what goes wrong: each of these mutants is caught."""

import pytest

from crdt_sync.errors import ProtocolViolation
from crdt_sync.limits import RECONCILE_FRAME_BYTES_MIN
from crdt_sync.protocol.reconcile import Index, answering, blocks, fingerprint, index, reading
from crdt_sync.protocol.reconcile.fingerprint import leaves
from crdt_sync.protocol.reconcile.messages import Reply, Split
from tests.protocol.reconcile.runs import check, records

ALL = records(900)
CHANGED = [(record, b"c" * 16) if number % 90 == 0 else (record, digest) for number, (record, digest) in enumerate(ALL)]
LACKING = [entry for number, entry in enumerate(ALL) if number % 90]
CASES = ((ALL, CHANGED), (ALL, LACKING), (LACKING, ALL), (CHANGED, LACKING), (ALL, ALL[:-1]), (ALL[:-1], ALL))


def found():
    """Whether any of the cases fails."""
    for ours, theirs in CASES:
        try:
            check(ours, theirs)
        except (AssertionError, ProtocolViolation, ValueError):
            return True
    return False


def test_without_a_bug_nothing_is_found():
    assert not found()


def test_a_fingerprint_that_ignores_the_count(monkeypatch):
    # Only a record that adds nothing to the sum shows it; somebody may have searched for such records.
    heavy = leaves
    monkeypatch.setattr(
        blocks,
        "leaves",
        lambda entries: [0 if entry[1] == b"0" * 16 else heavy([entry])[0] for entry in entries],
    )
    ours, theirs = ALL, [*ALL, ("customers/zzz", b"0" * 16)]
    check(ours, theirs)
    honest = fingerprint.fingerprint
    for module in (reading, answering):
        monkeypatch.setattr(module, "fingerprint", lambda _, total: honest(0, total))
    with pytest.raises(AssertionError):
        check(ours, theirs)


def test_a_fingerprint_that_ignores_the_sum(monkeypatch):
    honest = fingerprint.fingerprint
    for module in (reading, answering):
        monkeypatch.setattr(module, "fingerprint", lambda count, _: honest(count, 0))
    assert found()


def test_a_view_that_forgets_its_last_record(monkeypatch):
    below = index.Pinned._below

    def mutant(self, bound):
        return below(self, self._last[-1][:-1] if bound is None and self._last else bound)

    monkeypatch.setattr(index.Pinned, "_below", mutant)
    assert found()


def test_a_last_range_that_ends_too_early(monkeypatch):
    split = answering._split

    def mutant(run, after, through, parts):
        answer, asked = split(run, after, through, parts)
        if through is None:  # the last part is told as empty, and equal
            answer = Split(answer.bounds, (*answer.prints[:-1], type(answer.prints[0])(0, b"")))
        return answer, asked

    monkeypatch.setattr(answering, "_split", mutant)
    assert found()


def test_an_end_that_is_not_part_of_its_range(monkeypatch):
    monkeypatch.setattr(answering, "_WHOLE_RECORDS", 1)  # lists are cut where the frame ends: at a record
    everything_changed = [(record, b"c" * 16) for record, _ in ALL]
    check(ALL, everything_changed, RECONCILE_FRAME_BYTES_MIN)
    items = index.Pinned.items

    def mutant(self, after, through, limit):
        return [item for item in items(self, after, through, limit) if item[0] != through]

    monkeypatch.setattr(index.Pinned, "items", mutant)
    with pytest.raises((AssertionError, ProtocolViolation)):
        check(ALL, everything_changed, RECONCILE_FRAME_BYTES_MIN)


def test_sums_that_are_not_kept_current():
    entries = dict(ALL) | dict(CHANGED[90:91])
    expected = Index(sorted(entries.items())).pin().aggregate("", ALL[100][0])
    changing = Index(ALL)
    changing.put(*CHANGED[90])
    assert changing.pin().aggregate("", ALL[100][0]) == expected
    stale = Index(ALL)
    block = stale._blocks[0]
    block.sum(0)
    sums = block.sums
    stale.put(*CHANGED[90])
    stale.pin()
    block.sums = sums
    assert stale.pin().aggregate("", ALL[100][0]) != expected


def test_a_pinned_view_that_changes_follow(monkeypatch):
    monkeypatch.setattr(index.Index, "_own", lambda self, number: self._blocks[number])
    changing = Index(ALL)
    pinned = changing.pin()
    changing.put(*CHANGED[90])
    changing.pin()
    assert pinned.items("", None, 900) != ALL


@pytest.mark.parametrize("part", ["held", "lacking"])
def test_a_reply_that_keeps_something_back(part, monkeypatch):
    told = answering._Composing._told

    def mutant(self, ours, records_told, through):
        kept = [record for record in records_told if (record in ours) == (part == "lacking")]
        return told(self, ours, kept, through if kept else None)

    monkeypatch.setattr(answering._Composing, "_told", mutant)
    assert found()


def test_a_reader_that_overlooks_what_is_lacking(monkeypatch):
    reply = reading._Reading._reply

    def mutant(self, asked, answer):
        reply(self, asked, Reply(answer.through, answer.held, ()))

    monkeypatch.setattr(reading._Reading, "_reply", mutant)
    assert found()
