"""What a space said, as its devices come to know it: never backwards, never from others, through changes of its key."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.identity import rotation
from crdt_sync.identity.age import as_of
from crdt_sync.identity.keys import KeyPair
from crdt_sync.identity.policy_text import PolicyText
from crdt_sync.identity.revocations import Revocations, Revoked
from crdt_sync.identity.statement import Body, Statement, sealed
from crdt_sync.identity.statements import Statements, Versions
from crdt_sync.limits import CONTRADICTIONS_KEPT_MAX, KEYS_EVER_MAX, KEYS_STATEMENTS_MAX, SPACE_KEYS_MAX
from tests.identity.cast import (
    DAY_US,
    FOREIGN_KEY,
    LAPTOP,
    LAST_KEY,
    NEXT_KEY,
    NOW,
    OTHER_SPACE,
    PHONE,
    SPACE,
    SPACE_KEY,
    flipped,
    keys,
    reason,
    said,
)

OUT = Revocations({PHONE.public.device: Revoked(NOW, False)})


def opened(raw: bytes, pair: KeyPair) -> Statement:
    return sealed(raw, SPACE).opened(pair.public)


BEGUN = rotation.begun(SPACE, SPACE_KEY, NOW)
INTRODUCED = rotation.introduced(opened(BEGUN, SPACE_KEY), SPACE_KEY, NEXT_KEY, NOW)


def retired(*others: bytes) -> list[bytes]:
    return rotation.retired(
        opened(INTRODUCED[1], NEXT_KEY),
        NEXT_KEY,
        SPACE_KEY.public,
        [opened(other, SPACE_KEY) for other in others],
        NOW,
    )


def device(*heard: bytes, anchor: KeyPair = SPACE_KEY) -> Statements:
    statements = Statements(SPACE, anchor.public)
    for raw in heard:
        assert statements.take(raw)
    return statements


def state(statements: Statements) -> tuple[object, ...]:
    return statements.keys, statements.policy, statements.revocations, statements.versions, statements.kept()


def test_nothing_is_known_at_first() -> None:
    statements = device()
    assert (statements.policy, statements.revocations, statements.versions) == (None, Revocations(), Versions())
    assert statements.keys == keys(SPACE_KEY)
    assert statements.age(NOW) is None


def test_the_newest_of_each_kind_counts_and_a_lower_one_is_passed_over() -> None:
    statements = device(said(PolicyText("one")), said(PolicyText("three"), version=3), said(OUT))
    assert not statements.take(said(PolicyText("two"), version=2))
    assert not statements.take(said(PolicyText("three"), version=3))
    assert not statements.take(said(PolicyText("one"), pair=FOREIGN_KEY))  # nobody looks at what is old
    assert (statements.policy, statements.revocations, statements.versions) == ("three", OUT, Versions(0, 3, 1))


@given(st.lists(st.tuples(st.integers(1, 6), st.booleans()), max_size=12))
def test_in_whatever_order_statements_come_the_same_ones_hold(order) -> None:
    statements, highest = device(), {True: 0, False: 0}
    for version, policy in order:
        body = PolicyText(f"version {version}") if policy else Revocations(users={f"user {version}": version})
        assert statements.take(said(body, version=version)) == (version > highest[policy])
        highest[policy] = max(highest[policy], version)
    assert statements.versions == Versions(0, highest[True], highest[False])
    assert statements.policy == (f"version {highest[True]}" if highest[True] else None)
    assert list(statements.revocations.users) == ([f"user {highest[False]}"] if highest[False] else [])
    assert state(Statements(SPACE, SPACE_KEY.public, statements.kept())) == state(statements)


def test_two_of_one_version_are_reported_and_the_first_one_holds() -> None:
    first, second = said(PolicyText("first")), said(PolicyText("second"))
    statements = device(first)
    for _ in range(2):
        assert reason(partial(statements.take, second)) == "statement_contradicted"
    assert statements.policy == "first"
    assert statements.contradictions == [(first, second)]
    assert reason(partial(statements.take, said(PolicyText("x"), pair=FOREIGN_KEY))) == "statement_unknown_key"
    assert reason(partial(statements.take, flipped(second, -8))) in {"statement_forged", "statement_malformed"}
    assert statements.contradictions == [(first, second)]


def test_evidence_is_bounded() -> None:
    statements = device(said(PolicyText("first")))
    for number in range(CONTRADICTIONS_KEPT_MAX + 1):
        assert reason(partial(statements.take, said(PolicyText(f"{number}")))) == "statement_contradicted"
    assert len(statements.contradictions) == CONTRADICTIONS_KEPT_MAX


def test_others_say_nothing() -> None:
    statements = device(BEGUN)
    before = state(statements)
    assert reason(partial(statements.take, said(OUT, pair=FOREIGN_KEY))) == "statement_unknown_key"
    assert reason(partial(statements.take, said(keys(FOREIGN_KEY), FOREIGN_KEY, 2))) == "statement_unknown_key"
    assert reason(partial(statements.take, said(OUT, space=OTHER_SPACE))) == "statement_foreign_space"
    assert state(statements) == before


@given(st.integers(0, 1 << 14), st.sampled_from([said(OUT), said(PolicyText("policy")), *INTRODUCED]))
def test_with_any_bit_changed_nothing_is_taken(bit: int, raw: bytes) -> None:
    statements = device(BEGUN)
    before = state(statements)
    assert (reason(partial(statements.take, flipped(raw, bit))) or "").startswith("statement_")
    assert state(statements) == before


def test_keys_overlap_and_then_the_old_one_is_retired() -> None:
    policy, revocations = said(PolicyText("old")), said(OUT)
    statements = device(BEGUN, policy, revocations, *INTRODUCED)
    assert statements.keys == keys(SPACE_KEY, NEXT_KEY)
    assert statements.take(said(PolicyText("by the old key"), version=2))
    assert statements.take(said(PolicyText("by the new key"), NEXT_KEY, 3))
    for raw in retired(revocations):
        assert statements.take(raw)
    assert statements.keys == keys(NEXT_KEY)
    assert statements.versions == Versions(4, 3, 2)
    for late in (said(PolicyText("stolen"), version=9), said(Revocations(), version=9)):
        assert reason(partial(statements.take, late)) == "statement_unknown_key"
    assert statements.revocations == OUT


def test_only_the_newest_key_says_which_keys_hold() -> None:
    statements = device(BEGUN, *INTRODUCED)
    assert reason(partial(statements.take, said(keys(SPACE_KEY), SPACE_KEY, 4))) == "statement_unknown_key"
    assert statements.keys == keys(SPACE_KEY, NEXT_KEY)
    fork = said(keys(SPACE_KEY), SPACE_KEY, 3)
    assert reason(partial(statements.take, fork)) == "statement_contradicted"
    assert statements.contradictions == [(INTRODUCED[1], fork)]


def test_what_a_stolen_key_had_signed_goes_with_its_retirement_and_nobody_is_let_in_between() -> None:
    """The thief's version is higher than any of the space's."""
    policy, revocations = said(PolicyText("sound")), said(OUT)
    statements = device(BEGUN, policy, revocations, *INTRODUCED)
    assert statements.take(said(PolicyText("everything to everybody"), version=1_000))
    gone, policy_again, revocations_again = retired(policy, revocations)
    assert statements.take(gone)
    assert statements.revocations == OUT  # which stays in force, and is passed on no more
    assert statements.lacking(Versions()) == [BEGUN, *INTRODUCED, gone]
    assert statements.take(policy_again)
    assert statements.take(revocations_again)
    assert (statements.policy, statements.revocations, statements.versions) == ("sound", OUT, Versions(4, 2, 2))
    assert not statements.take(said(PolicyText("sound"), NEXT_KEY, 1))
    assert state(Statements(SPACE, SPACE_KEY.public, statements.kept())) == state(statements)


def test_what_is_in_force_by_a_retired_key_is_kept_when_it_is_read_again() -> None:
    statements = device(BEGUN, said(OUT), *INTRODUCED, retired()[0])
    again = Statements(SPACE, SPACE_KEY.public, statements.kept())
    assert again.revocations == OUT
    assert state(again) == state(statements)


def test_who_joined_with_the_new_key_follows_from_there() -> None:
    statements = device(anchor=NEXT_KEY)
    for old in (BEGUN, INTRODUCED[0]):
        assert reason(partial(statements.take, old)) == "statement_unknown_key"
    assert statements.take(INTRODUCED[1])
    assert statements.keys == keys(SPACE_KEY, NEXT_KEY)
    assert statements.take(said(OUT))


def test_who_was_away_is_led_from_the_old_key_to_the_newest() -> None:
    relay = device(BEGUN, *INTRODUCED, *retired())
    last = rotation.introduced(opened(relay.kept()[-1], NEXT_KEY), NEXT_KEY, LAST_KEY, NOW)
    for raw in (*last, said(PolicyText("new"), LAST_KEY), said(OUT, LAST_KEY)):
        assert relay.take(raw)
    away = device(BEGUN)
    assert reason(partial(away.take, said(OUT, LAST_KEY))) == "statement_unknown_key"
    lacks = relay.lacking(away.versions)
    for raw in lacks:
        assert away.take(raw)
    assert (away.keys, away.policy, away.revocations) == (relay.keys, "new", OUT)
    assert relay.lacking(away.versions) == []
    assert away.lacking(Versions(5, 1, 0)) == [last[1], said(OUT, LAST_KEY)]


def test_the_chain_of_keys_is_bounded_and_can_be_read_again() -> None:
    statements, pair, raw = device(BEGUN), SPACE_KEY, BEGUN
    for number in range(KEYS_STATEMENTS_MAX):
        new = KeyPair((1000 + number).to_bytes(32, "big"))
        both = rotation.introduced(opened(raw, pair), pair, new, NOW)
        (raw,) = rotation.retired(opened(both[1], new), new, pair.public, [], NOW)
        assert [statements.take(each) for each in (*both, raw)] == [True, True, True]
        pair = new
    assert len(statements.kept()) == KEYS_STATEMENTS_MAX
    assert statements.anchor != SPACE_KEY.public
    assert state(Statements(SPACE, statements.anchor, statements.kept())) == state(statements)


def test_keys_that_ever_held_are_remembered_up_to_a_bound() -> None:
    """Their word may be evidence; of those before, it is that of strangers."""
    statements, pair = device(said(PolicyText("first"))), SPACE_KEY
    for version in range(1, KEYS_EVER_MAX // SPACE_KEYS_MAX + 1):
        pairs = [KeyPair((5000 + version * 10 + number).to_bytes(32, "big")) for number in range(SPACE_KEYS_MAX)]
        assert reason(partial(statements.take, said(PolicyText("second")))) == "statement_contradicted"
        assert statements.take(said(keys(*pairs), pair, version))
        pair = pairs[-1]
    assert reason(partial(statements.take, said(PolicyText("third")))) == "statement_unknown_key"
    assert reason(partial(statements.take, said(PolicyText("third"), pairs[0], version=1))) is None
    assert statements.policy == "third"


def test_a_stolen_key_can_be_replaced_at_once() -> None:
    statements = device(BEGUN)
    assert statements.take(said(keys(NEXT_KEY), SPACE_KEY, 2))
    assert statements.take(said(keys(NEXT_KEY), NEXT_KEY, 3))
    assert reason(partial(statements.take, said(keys(SPACE_KEY), SPACE_KEY, 4))) == "statement_unknown_key"


def test_how_old_it_is_what_is_known() -> None:
    statements = device(said(OUT, issued=NOW - 3 * DAY_US))
    assert statements.age(NOW) == 3 * DAY_US
    assert statements.age(NOW - 9 * DAY_US) == 0  # a clock that is wrong
    statements.confirm(NOW - 3_600_000_000)
    assert statements.age(NOW) == 3_600_000_000
    statements.confirm(NOW - DAY_US)
    assert statements.age(NOW) == 3_600_000_000


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (None, "never heard of"),
        (59_999_999, "as of just now"),
        (60_000_000, "as of 1 minute ago"),
        (7_300_000_000, "as of 2 hours ago"),
        (3 * DAY_US + 5, "as of 3 days ago"),
    ],
)
def test_the_age_in_words(age: int | None, words: str) -> None:
    assert as_of(age) == words


def test_rotation_needs_the_keys() -> None:
    with pytest.raises(TypeError):
        rotation.introduced(opened(said(OUT), SPACE_KEY), SPACE_KEY, NEXT_KEY, NOW)


SAID_BY_THIEVES: list[Body] = [PolicyText("everything to everybody"), Revocations()]


@st.composite
def histories(draw: st.DrawFn) -> tuple[Statements, list[bytes]]:
    """A space that changes its key up to three times, and thieves of the keys that it had, who say what they like."""
    relay, pair, heard = device(BEGUN), SPACE_KEY, [BEGUN]

    def tell(raws: list[bytes]) -> None:
        for raw in raws:
            assert relay.take(raw)
        heard.extend(raws)

    def next_policy() -> bytes:
        version = relay.versions.policy + 1
        return said(PolicyText(f"policy {version}"), pair, version)

    tell([next_policy(), said(OUT, pair)])
    for new in draw(st.sampled_from([(NEXT_KEY,), (NEXT_KEY, LAST_KEY), (NEXT_KEY, LAST_KEY, LAPTOP)])):
        old, before = pair, opened(heard_keys(relay)[-1], pair)
        tell(rotation.introduced(before, old, new, NOW))
        pair = new
        if draw(st.booleans()):
            tell([next_policy()])
        holds = [sealed(raw, SPACE) for raw in relay.kept() if sealed(raw, SPACE).kind != "keys"]
        others = [each.opened(old.public if each.kid == old.public.kid else new.public) for each in holds]
        tell(rotation.retired(opened(heard_keys(relay)[-1], new), new, old.public, others, NOW))
        for version in draw(st.lists(st.integers(1, 9), max_size=3)):
            body = draw(st.sampled_from(SAID_BY_THIEVES))
            heard.append(said(body, old, version))
    return relay, heard


def heard_keys(statements: Statements) -> list[bytes]:
    return [raw for raw in statements.kept() if sealed(raw, SPACE).kind == "keys"]


@given(histories(), st.randoms(use_true_random=False))
def test_whoever_hears_all_of_it_in_whatever_order_knows_what_holds(history, rng) -> None:
    """Thieves who speak before the retirement is heard of are believed until then, and no longer."""
    relay, heard = history
    statements = device()
    for _ in range(len(heard)):
        rng.shuffle(heard)
        before = statements.versions, statements.kept()
        for raw in heard:
            reason(partial(statements.take, raw))
        if (statements.versions, statements.kept()) == before:
            break
    assert (statements.keys, statements.policy, statements.revocations, statements.versions) == (
        relay.keys,
        relay.policy,
        relay.revocations,
        relay.versions,
    )
    assert statements.revocations == OUT
