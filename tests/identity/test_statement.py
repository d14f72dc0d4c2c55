"""One statement: its bytes are one text, and whatever else comes is refused."""

from functools import partial
from itertools import product
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.identity.devices import Devices
from crdt_sync.identity.keys import PublicKey
from crdt_sync.identity.policy_text import PolicyText
from crdt_sync.identity.revocations import Revocations, Revoked
from crdt_sync.identity.space_keys import SpaceKeys
from crdt_sync.identity.statement import CONTEXT, Statement, sealed
from crdt_sync.identity.users import is_user
from crdt_sync.limits import (
    INTEGER_EXACT_MAX,
    POLICY_BYTES_MAX,
    REVOKED_DEVICES_MAX,
    REVOKED_USERS_MAX,
    SPACE_KEYS_MAX,
    STATEMENT_BYTES_MAX,
    USER_LENGTH_MAX,
)
from crdt_sync.strict_cbor import dumps
from tests.identity.cast import FOREIGN_KEY, NEXT_KEY, NOW, OTHER_SPACE, SPACE, SPACE_KEY, flipped, keys, reason, said

KID = SPACE_KEY.public.kid
NUMBERS = st.integers(0, INTEGER_EXACT_MAX)
USERS = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\u2028\u2029"),
    min_size=1,
    max_size=USER_LENGTH_MAX,
).filter(is_user)
REVOKED = st.builds(Revoked, NUMBERS, st.booleans(), st.booleans())
BODIES = st.one_of(
    st.builds(PolicyText, st.text(st.characters(exclude_categories=["Cs"]))),
    st.sampled_from([keys(SPACE_KEY), keys(SPACE_KEY, NEXT_KEY)]),
    st.builds(
        Revocations,
        st.dictionaries(
            st.binary(min_size=16, max_size=16), st.builds(Revoked, NUMBERS, st.booleans(), st.booleans()), max_size=5
        ),
        st.dictionaries(USERS, NUMBERS, max_size=5),
    ),
    st.builds(Devices, st.dictionaries(st.binary(min_size=32, max_size=32), USERS, max_size=5)),
)
STATEMENTS = st.builds(Statement, st.just(SPACE), st.integers(1, INTEGER_EXACT_MAX), NUMBERS, BODIES)


def opened(raw: bytes, key: PublicKey = SPACE_KEY.public, space: bytes = SPACE) -> Statement:
    return sealed(raw, space).opened(key)


def signed(payload: bytes) -> bytes:
    """A payload of any bytes, with a signature that holds."""
    return dumps((payload, SPACE_KEY.public.kid, SPACE_KEY.sign(CONTEXT + payload)))


@given(STATEMENTS)
def test_a_statement_is_read_as_it_was_made(statement: Statement) -> None:
    raw = statement.signed_by(SPACE_KEY)
    assert opened(raw) == statement
    assert sealed(raw, SPACE).version == statement.version
    assert sealed(raw, SPACE).kid == SPACE_KEY.public.kid


@given(STATEMENTS)
def test_its_bytes_are_what_others_call_canonical(statement: Statement) -> None:
    raw = statement.signed_by(SPACE_KEY)
    assert cbor2.dumps(cbor2.loads(raw), canonical=True) == raw
    assert cbor2.dumps(cbor2.loads(statement.payload), canonical=True) == statement.payload


@given(STATEMENTS, st.integers(0, 1 << 20))
def test_with_any_bit_changed_it_is_refused(statement: Statement, bit: int) -> None:
    assert reason(lambda: opened(flipped(statement.signed_by(SPACE_KEY), bit))) in {
        "statement_malformed",
        "statement_foreign_space",
        "statement_unknown_key",
        "statement_forged",
    }


def test_no_bit_of_one_can_be_changed() -> None:
    raw = said(PolicyText("[role]"))
    assert None not in {reason(partial(opened, flipped(raw, bit))) for bit in range(8 * len(raw))}


@given(st.binary(max_size=200))
def test_any_bytes_may_come(raw: bytes) -> None:
    assert reason(lambda: opened(raw)) == "statement_malformed"


ITEMS = st.recursive(
    st.one_of(
        st.integers(-2, INTEGER_EXACT_MAX + 2), st.binary(max_size=17), st.text(max_size=3), st.booleans(), st.none()
    ),
    lambda inner: st.lists(inner, max_size=4),
)


@given(st.sampled_from(["keys", "policy", "revocations"]), ITEMS, ITEMS, ITEMS)
def test_even_signed_by_the_space_what_is_no_statement_is_refused(kind: str, version, issued, body) -> None:
    raw = signed(dumps([kind, SPACE, version, issued, body]))
    why = reason(lambda: opened(raw))
    if why is None:
        assert opened(raw).signed_by(SPACE_KEY) == raw
    else:
        assert why in {"statement_malformed", "key_malformed"}


def test_who_else_signs_is_found_out() -> None:
    raw = said(PolicyText(""), pair=FOREIGN_KEY)
    forged = dumps((sealed(raw, SPACE).payload, SPACE_KEY.public.kid, sealed(raw, SPACE).signature))
    assert reason(lambda: opened(raw)) == "statement_unknown_key"
    assert reason(lambda: opened(forged)) == "statement_forged"
    assert reason(lambda: opened(raw, FOREIGN_KEY.public, OTHER_SPACE)) == "statement_foreign_space"
    assert reason(lambda: opened(raw, FOREIGN_KEY.public)) is None


def test_a_signature_of_something_else_is_none() -> None:
    payload = Statement(SPACE, 1, NOW, PolicyText("")).payload
    for signature in (SPACE_KEY.sign(payload), SPACE_KEY.sign(b"crdt-sync proof 2" + payload)):
        raw = dumps((payload, SPACE_KEY.public.kid, signature))
        assert reason(partial(opened, raw)) == "statement_forged"


@pytest.mark.parametrize(
    "raw",
    [
        dumps([1, 2, 3]),
        dumps(["", KID, bytes(64)]),
        dumps([b"", KID[1:], bytes(64)]),
        dumps([b"", KID, bytes(63)]),
        dumps([b"", KID, bytes(64)]),
        dumps([b"", KID]),
        dumps([b"", KID, bytes(64), 0]),
        dumps([[b""], KID, bytes(64)]),
        dumps({1: b""}),
        b"\x83" + b"\x58\x01a" + dumps(KID) + dumps(bytes(64)),  # a longer form of the payload's length
        said(PolicyText("")) + b"\0",
    ],
)
def test_bytes_that_only_resemble_a_statement_are_refused(raw: bytes) -> None:
    assert reason(lambda: opened(raw)) == "statement_malformed"


def row(device: int, since: int) -> bytes:
    """A device that is revoked."""
    return device.to_bytes(16, "big") + since.to_bytes(8, "big") + b"\x00"


@pytest.mark.parametrize(
    "payload",
    [
        b"\x85" + dumps("policy") + dumps(SPACE) + b"\x18\x01" + dumps(NOW) + dumps(""),  # a longer form of the version
        dumps(["policy", SPACE, 1, NOW, ""])[:-1] + b"\x78\x00",  # of the text's length
        dumps(["policy", SPACE, 1, NOW, ""]) + b"\x00",
        dumps(["policy", SPACE, 0, NOW, ""]),
        dumps(["policy", SPACE, INTEGER_EXACT_MAX + 1, NOW, ""]),
        dumps(["policy", SPACE, 1, INTEGER_EXACT_MAX + 1, ""]),
        dumps(["policy", SPACE, 1, -1, ""]),
        dumps(["policy", SPACE, 1, NOW, b""]),
        dumps(["rumour", SPACE, 1, NOW, ""]),
        dumps(["policy", SPACE, 1, NOW]),
        dumps(["policy", SPACE, 1, NOW, "", ""]),
        dumps(["revocations", SPACE, 1, NOW, [row(0, 1) + row(0, 2), []]]),  # twice
        dumps(["revocations", SPACE, 1, NOW, [row(1, 1) + row(0, 2), []]]),  # out of order
        dumps(["revocations", SPACE, 1, NOW, [row(0, 1)[:-1], []]]),
        dumps(["revocations", SPACE, 1, NOW, [row(0, 1)[:-1] + b"\x04", []]]),
        dumps(["revocations", SPACE, 1, NOW, [row(0, INTEGER_EXACT_MAX + 1), []]]),
        dumps(["revocations", SPACE, 1, NOW, [b"", [["anna", 1], ["anna", 2]]]]),
        dumps(["revocations", SPACE, 1, NOW, [b"", [["ben", 1], ["anna", 2]]]]),
        dumps(["revocations", SPACE, 1, NOW, [b"", ["an"]]]),
        dumps(["revocations", SPACE, 1, NOW, [b"", [["anna", True]]]]),
        dumps(["revocations", SPACE, 1, NOW, [b""]]),
        dumps(["revocations", SPACE, 1, NOW, [b"", [["", 1]]]]),
        dumps(["revocations", SPACE, 1, NOW, [b"", [["an\na", 1]]]]),
        dumps(["revocations", SPACE, 1, NOW, [b"", [["a" * (USER_LENGTH_MAX + 1), 1]]]]),
        dumps(["keys", SPACE, 1, NOW, []]),
        dumps(["keys", SPACE, 1, NOW, [SPACE_KEY.public.raw, SPACE_KEY.public.raw]]),
        dumps(["keys", SPACE, 1, NOW, [[[[]]]]]),
    ],
)
def test_a_payload_that_only_resembles_a_statement_is_refused(payload: bytes) -> None:
    assert reason(lambda: opened(signed(payload))) == "statement_malformed"


def test_both_sides_of_each_limit() -> None:
    pairs = [type(SPACE_KEY)(bytes([20 + number]) * 32) for number in range(SPACE_KEYS_MAX + 1)]
    assert opened(said(keys(*pairs[:-1]))).body == keys(*pairs[:-1])
    assert reason(lambda: keys(*pairs)) == "statement_malformed"
    assert opened(said(PolicyText("x" * POLICY_BYTES_MAX))).body == PolicyText("x" * POLICY_BYTES_MAX)
    assert reason(lambda: PolicyText("é" * (POLICY_BYTES_MAX // 2) + "x")) == "statement_malformed"
    assert reason(lambda: PolicyText("\ud800")) == "statement_malformed"
    devices = {
        number.to_bytes(16, "big"): Revoked(INTEGER_EXACT_MAX, True) for number in range(REVOKED_DEVICES_MAX + 1)
    }
    users = {f"user {number}": INTEGER_EXACT_MAX for number in range(REVOKED_USERS_MAX + 1)}
    devices_most, users_most = dict(list(devices.items())[:-1]), dict(list(users.items())[:-1])
    most = Revocations(devices_most, users_most)
    raw = said(most)
    assert len(raw) < STATEMENT_BYTES_MAX
    assert opened(raw).body == most
    assert reason(lambda: Revocations(devices)) == "statement_malformed"
    assert reason(lambda: Revocations({}, users)) == "statement_malformed"
    assert reason(lambda: opened(bytes(STATEMENT_BYTES_MAX + 1))) == "statement_malformed"
    long = {("客" * 58 + f"{number:06}"): 1 for number in range(REVOKED_USERS_MAX)}
    assert reason(lambda: said(Revocations({}, long))) == "statement_malformed"  # larger than anybody takes


def test_each_revoked_device_has_its_orders() -> None:
    orders = {bytes([number]) * 16: Revoked(NOW, *each) for number, each in enumerate(product([False, True], repeat=2))}
    statement = said(Revocations(orders))
    assert opened(statement).body == Revocations(orders)
    packed: Any = Revocations(orders).packed()
    rows, users = packed
    assert [rows[at] for at in range(24, len(rows), 25)] == [0, 2, 1, 3]
    for unknown in (4, 128):
        assert (
            reason(partial(Revocations.read, (rows[:24] + bytes([unknown]) + rows[25:], users)))
            == "statement_malformed"
        )


def test_who_is_out() -> None:
    revocations = Revocations({bytes(16): Revoked(NOW, True)}, {"anna": NOW})
    assert reason(lambda: revocations.check(bytes(16), "ben")) == "device_revoked"
    assert reason(lambda: revocations.check(SPACE, "anna")) == "user_disabled"
    assert reason(lambda: revocations.check(SPACE, "ben")) is None
    assert isinstance(keys(SPACE_KEY), SpaceKeys)
