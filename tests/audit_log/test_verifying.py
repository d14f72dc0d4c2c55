"""Every kind of tampering with every kind of entry is found, with its place; what only a checkpoint finds, by that."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.audit_log import verifying
from crdt_sync.audit_log.chain import LINK_FIRST, body_of, chained, link_of, seal_of
from crdt_sync.audit_log.checkpoint import checkpoint
from crdt_sync.audit_log.entry import Act, Entry, decode, encode
from crdt_sync.audit_log.verifying import Verification
from crdt_sync.identity.keys import KeyPair
from tests.audit_log.logs import AT, ONE_OF_EACH, SPACE, rows

KEY, THIEF = KeyPair(b"k" * 32), KeyPair(b"t" * 32)
LOG = rows(ONE_OF_EACH)
LAST = len(LOG)


def flaws(log, against=None, trusted=KEY.public, space=SPACE):
    verification = Verification(against)
    for number, value in log:
        verification.take(number, value)
    return [(flaw.number, flaw.problem) for flaw in verification.finish(space, trusted)]


def signed(log, key=KEY, at=None):
    number, value = log[-1] if at is None else log[at - 1]
    return checkpoint(SPACE, number, seal_of(value), AT, key)


def forged(number, value, entry):
    """Another entry in its place, with a seal that is right."""
    ((_, made),) = chained(number - 1, link_of(value), [encode(entry)])
    return made


def test_a_whole_log_has_no_flaws():
    assert flaws(LOG) == []
    assert flaws(LOG, signed(LOG)) == []
    assert flaws(LOG, signed(LOG, at=3)) == []
    assert flaws([]) == []


@pytest.mark.parametrize("number", range(1, LAST + 1))
def test_a_changed_entry_of_any_kind_is_found(number):
    for position in (0, 40, 70, -1):
        log = list(LOG)
        value = bytearray(log[number - 1][1])
        value[position] ^= 1
        log[number - 1] = (number, bytes(value))
        assert (number, "does not match its seal: it was changed after it was written") in flaws(log)


@pytest.mark.parametrize("number", range(1, LAST))
def test_a_replaced_entry_of_any_kind_with_a_right_seal_is_found_at_the_next(number):
    log = list(LOG)
    log[number - 1] = (
        number,
        forged(number, log[number - 1][1], ONE_OF_EACH[number - 1]._replace(user="somebody else")),
    )
    assert flaws(log) == [(number + 1, f"is not linked to entry {number}: one of the two was replaced")]


def test_a_replaced_last_entry_is_found_against_a_checkpoint_alone():
    log = [*LOG[:-1], (LAST, forged(LAST, LOG[-1][1], ONE_OF_EACH[-1]._replace(user="somebody else")))]
    assert flaws(log) == []
    problem = "is not the entry of the checkpoint: the log was written anew up to here"
    assert flaws(log, signed(LOG)) == [(LAST, problem)]


@pytest.mark.parametrize("number", range(2, LAST))
def test_a_removed_entry_is_found_where_it_was(number):
    log = LOG[: number - 1] + LOG[number:]
    assert flaws(log) == [(number + 1, f"entries {number} to {number} before it are missing")]


def test_a_removed_beginning_is_found():
    problem = "entries 1 to 2 before it are missing, and no note says that they were cut"
    assert flaws(LOG[2:]) == [(3, problem)]


@pytest.mark.parametrize("number", range(1, LAST))
def test_swapped_entries_are_found(number):
    log = list(LOG)
    (_, one), (_, other) = log[number - 1], log[number]
    log[number - 1], log[number] = (number, other), (number + 1, one)
    assert {number, number + 1} <= {where for where, _ in flaws(log)}


def test_a_moved_entry_whose_numbers_were_closed_up_is_found():
    log = [(number, value) for number, (_, value) in enumerate(LOG[:3] + LOG[4:], 1)]
    assert (4, "is not linked to entry 3: one of the two was replaced") in flaws(log)


def test_an_end_that_was_cut_off_is_found_against_a_checkpoint_alone():
    assert flaws(LOG[:4]) == []
    problem = f"the log ends here, and had {LAST} entries at the checkpoint: its end is missing"
    assert flaws(LOG[:4], signed(LOG)) == [(4, problem)]


def test_a_log_that_was_written_anew_is_found_against_a_checkpoint_alone():
    other = rows([entry._replace(user="somebody else") for entry in ONE_OF_EACH])
    assert flaws(other) == []
    assert [number for number, _ in flaws(other, signed(LOG, at=5))] == [5]


@pytest.mark.parametrize(
    ("against", "space", "problem"),
    [
        (signed(LOG, THIEF), SPACE, "the checkpoint is not signed by the space's key"),
        (signed(LOG, None), SPACE, "the checkpoint is not signed by the space's key"),
        (signed(LOG)._replace(at=AT + 1), SPACE, "the checkpoint is not signed by the space's key"),
        (signed(LOG), b"o" * 16, "the checkpoint is of another space"),
    ],
)
def test_a_checkpoint_that_proves_nothing_is_told(against, space, problem):
    assert flaws(LOG, against, space=space) == [(LAST, problem)]


def test_without_the_key_of_the_space_a_checkpoint_has_to_be_signed_by_somebody():
    assert flaws(LOG, signed(LOG, THIEF), trusted=None) == []
    assert len(flaws(LOG, signed(LOG, None), trusted=None)) == 1
    assert len(flaws(LOG, signed(LOG)._replace(number=LAST - 1), trusted=None)) == 2


def test_what_is_no_entry_is_found():
    log = list(chained(0, LINK_FIRST, [b"", b"12345678\x01"]))
    assert flaws(log) == [(1, "cannot be read"), (2, "cannot be read")]


# --- cuts ----------------------------------------------------------------------------------------------------


def with_cut(upto, key=KEY):
    note = Entry(AT, Act.CUT, times=upto, about=signed(LOG, key, at=upto).text)
    last, value = LOG[-1]
    return [*LOG, *chained(last, seal_of(value), [encode(note)])]


def test_a_cut_with_a_note_is_no_flaw_and_is_told():
    log = with_cut(4)
    assert flaws(log[4:]) == []
    verification = Verification()
    for row in log[4:]:
        verification.take(*row)
    verification.finish(SPACE)
    assert verification.cut is not None
    assert (verification.cut.number, verification.cut.kid) == (4, KEY.public.kid.hex())


def test_a_cut_that_was_interrupted_is_no_flaw():
    log = with_cut(4)
    for begun in range(1, 5):
        assert flaws(log[begun:]) == []


def test_more_is_missing_than_the_note_says():
    problem = "entries 1 to 5 before it are missing, and no note says that they were cut"
    assert flaws(with_cut(4)[5:]) == [(6, problem)]


@pytest.mark.parametrize("key", [None, THIEF])
def test_a_note_that_the_space_did_not_sign_is_told(key):
    log = with_cut(4, key)[4:]
    assert flaws(log) == [(5, "entries 1 to 4 were cut, and the space's key did not sign that")]
    assert flaws(log, trusted=None) == []


def test_a_note_of_another_log_is_none():
    note = Entry(AT, Act.CUT, about=checkpoint(SPACE, 4, b"x" * 32, AT, KEY).text)
    log = [*LOG[4:], *chained(LAST, seal_of(LOG[-1][1]), [encode(note)])]
    assert flaws(log) == [(5, "entries 1 to 4 before it are missing, and no note says that they were cut")]


def test_what_a_checkpoint_knows_may_have_been_cut_since():
    assert flaws(with_cut(4)[4:], signed(LOG, at=2)) == []


@pytest.mark.parametrize("key", [None, THIEF])
def test_a_log_that_was_written_anew_behind_a_cut_that_never_was_does_not_fit_a_checkpoint(key):
    """Who can write to the disk begins behind the entry that the checkpoint knows, and says that the rest was cut."""
    note = Entry(AT, Act.CUT, times=LAST, about=checkpoint(SPACE, LAST, b"x" * 32, AT, key).text)
    log = chained(LAST, b"x" * 32, [encode(note), *map(encode, ONE_OF_EACH[:3])])
    ((place, problem),) = flaws(log, signed(LOG), trusted=None)
    assert place == LAST + 1
    assert problem.startswith("the entry of the checkpoint was cut, and another key signed that, or none")
    assert flaws(log, signed(LOG)) != []
    assert flaws(with_cut(4)[4:], signed(LOG, at=2), trusted=None) == []


# --- in general, and the checker -------------------------------------------------------------------------------


@given(st.data())
def test_any_change_before_a_checkpoint_is_found(data):
    """Rows are dropped, repeated under another number, swapped or replaced at random."""
    log = list(LOG)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(log) - 1))
        match data.draw(st.sampled_from(["drop", "swap", "replace", "renumber"])):
            case "drop" if len(log) > 1:
                del log[at]
            case "swap":
                to = data.draw(st.integers(0, len(log) - 1))
                log[at], log[to] = (log[at][0], log[to][1]), (log[to][0], log[at][1])
            case "replace":
                number, value = log[at]
                entry = decode(body_of(value))
                log[at] = (number, forged(number, value, entry._replace(at=entry.at + 1)))
            case "renumber":
                log = [(number, value) for number, (_, value) in enumerate(log, 1)]
    assert bool(flaws(log, signed(LOG))) == (log != LOG)


BUGS = {
    "seals are not checked": ("is_sealed", lambda *_: True, lambda: test_a_changed_entry_of_any_kind_is_found(2)),
    "links are not followed": (
        "link_of", lambda value: LINK_FIRST if value is LOG[0][1] else b"",
        test_a_whole_log_has_no_flaws,
    ),
    "what a note says is believed": (
        "read_checkpoint", lambda text: signed(LOG, at=4),
        test_a_note_of_another_log_is_none,
    ),
    "the entry of a checkpoint is any": (
        "seal_of", lambda value: seal_of(LOG[-1][1]),
        test_a_replaced_last_entry_is_found_against_a_checkpoint_alone,
    ),
}  # fmt: skip


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_noticed(bug, monkeypatch):
    name, wrong, check = BUGS[bug]
    monkeypatch.setattr(verifying, name, wrong)
    with pytest.raises(AssertionError):
        check()
