"""How far somebody knows what a space said, and which keys lead them on."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.identity import rotation
from crdt_sync.identity.known import Known, read_known, read_statement, statement_text
from crdt_sync.identity.statement import sealed
from crdt_sync.identity.statements import Statements, Versions
from crdt_sync.limits import INTEGER_EXACT_MAX, KEYS_STATEMENTS_MAX
from tests.identity.cast import LAST_KEY, NEXT_KEY, NOW, SPACE, SPACE_KEY, reason

KID = SPACE_KEY.public.kid
versions = st.builds(Versions, *[st.integers(0, INTEGER_EXACT_MAX)] * 4)


@given(versions, st.binary(min_size=8, max_size=8))
def test_what_is_told_is_read(told: Versions, kid: bytes) -> None:
    assert read_known(str(Known(told, kid))) == Known(told, kid)


@given(st.text(max_size=60))
def test_any_text_is_read_as_the_one_that_it_is_or_as_nothing(text: str) -> None:
    found = read_known(text)
    assert found is None or str(found) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "1.2.3.4", f"1.2.3.{KID.hex()}", f"01.2.3.4.{KID.hex()}", f"-1.2.3.4.{KID.hex()}", None),
        *(f"1.2.3.4.{KID.hex().upper()}", f"{INTEGER_EXACT_MAX + 1}.0.0.0.{KID.hex()}"),
        *(f"1.2.3.4.{KID.hex()}\n", f"١.2.3.4.{KID.hex()}", f"1.2.3.4.5.{KID.hex()}"),
    ],
)
def test_what_is_another_form_is_nothing(text: str | None) -> None:
    assert read_known(text) is None


def test_nobody_knows_what_cannot_be() -> None:
    for wrong in (lambda: Known(Versions(-1), KID), lambda: Known(Versions(), b"short")):
        with pytest.raises(ValueError, match="nobody knows so far"):
            wrong()


@given(st.binary(max_size=600))
def test_a_statement_travels_as_text(raw: bytes) -> None:
    assert read_statement(statement_text(raw)) == raw


def changed(count: int) -> Statements:
    """A space that changed its key so often, back and forth between keys."""
    pairs = [SPACE_KEY, NEXT_KEY, LAST_KEY]
    begun = rotation.begun(SPACE, SPACE_KEY, NOW)
    statements = Statements(SPACE, SPACE_KEY.public, [begun])
    before = sealed(begun, SPACE).opened(SPACE_KEY.public)
    for number in range(count):
        old, new = pairs[number % 3], pairs[(number + 1) % 3]
        introduced = rotation.introduced(before, old, new, NOW)
        before = sealed(introduced[-1], SPACE).opened(new.public)
        retired = rotation.retired(before, new, old.public, (), NOW)
        before = sealed(retired[0], SPACE).opened(new.public)
        for raw in (*introduced, *retired):
            assert statements.take(raw)
    return statements


@pytest.mark.parametrize("known_changes", [0, 1, 2, 3])
def test_who_knows_an_older_key_is_led_to_the_newest(known_changes: int) -> None:
    newest = changed(3)
    behind = Statements(SPACE, SPACE_KEY.public, changed(known_changes).kept())
    for raw in newest.leading(behind.versions.keys, behind.keys.newest.kid, 64):
        assert behind.take(raw)
    assert behind.keys == newest.keys


@pytest.mark.parametrize("pair", [SPACE_KEY, NEXT_KEY, LAST_KEY])
def test_who_joined_with_any_key_is_led_to_the_newest(pair) -> None:
    newest = changed(2)
    joined = Statements(SPACE, pair.public)
    for raw in newest.leading(0, pair.public.kid, 64):
        assert reason(partial(joined.take, raw)) is None
    assert joined.keys.newest == newest.keys.newest == LAST_KEY.public


def test_few_are_told_at_once_and_lead_on_all_the_same() -> None:
    newest = changed(KEYS_STATEMENTS_MAX // 4)
    behind = Statements(SPACE, SPACE_KEY.public, newest.kept()[:1])
    for _ in range(KEYS_STATEMENTS_MAX):
        told = newest.leading(behind.versions.keys, behind.keys.newest.kid, 5)
        assert len(told) <= 5
        for raw in told:
            behind.take(raw)
    assert behind.keys == newest.keys


def test_who_knows_a_key_of_nobody_is_led_nowhere() -> None:
    assert changed(2).leading(0, bytes(8), 64) == []
