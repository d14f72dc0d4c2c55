"""Links of invites: as short as they can be, and whatever is not one says what to do."""

import re
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.errors import InvalidInvite
from crdt_sync.identity.invites import BEGINNING, Link, lookup, read_link
from crdt_sync.identity.keys import KeyPair
from crdt_sync.limits import INVITE_ADDRESS_LENGTH_MAX, INVITE_LINK_LENGTH_MAX
from tests.identity.cast import SPACE, SPACE_KEY, flipped

ADDRESS = "wss://sync.example.com:8765"
LINK = Link(ADDRESS, SPACE, SPACE_KEY.public, bytes(range(32)), bytes(range(16)))
ADDRESSES = st.from_regex(r"wss?://[!-~]{1,60}", fullmatch=True)
LINKS = st.builds(
    Link,
    ADDRESSES,
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=32, max_size=32).map(lambda seed: KeyPair(seed).public),
    st.sampled_from([b"", bytes(32), b"\xff" * 32]),
    st.binary(min_size=16, max_size=16),
)


def refusal(text: str) -> str | None:
    try:
        read_link(text)
    except InvalidInvite as error:
        return f"{error.message} {error.hint}"
    return None


@given(LINKS)
def test_a_link_is_read_as_it_was_written(link: Link) -> None:
    assert read_link(str(link)) == link
    assert read_link(str(link)).lookup == lookup(link.secret)


def test_a_link_is_capitals_and_digits_behind_its_beginning() -> None:
    assert re.fullmatch(r"CRDT-SYNC://JOIN#[A-Z2-7]+", str(LINK))
    assert len(str(LINK)) == 224
    assert LINK.secret.hex() not in LINK.lookup.hex()


@given(LINKS, st.lists(st.tuples(st.integers(0, 200), st.sampled_from([" ", "\n", "\r\n  ", "\u00a0"])), max_size=6))
def test_mails_may_break_it_and_people_write_it_small(link: Link, breaks: list[tuple[int, str]]) -> None:
    text = str(link)
    for position, gap in breaks:
        text = text[:position] + gap + text[position:]
    assert read_link(f"  {text.lower()}\n") == link


@given(LINKS, st.integers(0, 1 << 13))
def test_with_any_bit_changed_it_is_refused_or_the_same_link(link: Link, bit: int) -> None:
    """The same: letters may be small, and a space may be in between."""
    changed = flipped(str(link).encode(), bit).decode("latin-1")
    if refusal(changed) is None:
        assert read_link(changed) == link


def test_no_bit_of_one_can_be_changed() -> None:
    raw = str(LINK).encode()
    for bit in range(8 * len(raw)):
        changed = flipped(raw, bit).decode("latin-1")
        assert refusal(changed) is not None or changed.upper() == str(LINK)


@given(st.text(max_size=80) | st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", max_size=300).map(BEGINNING.__add__))
def test_any_text_may_be_pasted(text: str) -> None:
    assert refusal(text) is not None


@given(LINKS, st.data())
def test_a_link_that_is_cut_off_is_said_to_be(link: Link, data: st.DataObject) -> None:
    text = str(link)[: data.draw(st.integers(len(BEGINNING), len(str(link)) - 1))]
    assert "cut off or damaged" in (refusal(text) or "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no invite"),
        ("https://example.com", "no invite"),
        (str(LINK) + "=", "cut off or damaged"),
        (str(LINK) + "A", "cut off or damaged"),
        (str(LINK) + " " * INVITE_LINK_LENGTH_MAX, "too long"),
        (BEGINNING, "cut off or damaged"),
    ],
)
def test_each_mistake_has_a_clear_error(text: str, said: str) -> None:
    assert said in (refusal(text) or "")
    assert "Copy the whole link" in (refusal(text) or "")


def rewritten(change: int, value: bytes) -> str:
    """The link with other bytes and a checksum that fits."""
    import base64  # noqa: PLC0415
    import hashlib  # noqa: PLC0415

    raw = base64.b32decode(str(LINK).removeprefix(BEGINNING) + "=" * (-(len(str(LINK)) - len(BEGINNING)) % 8))[:-4]
    raw = raw[:change] + value + raw[change + len(value) :]
    payload = raw + hashlib.sha256(raw).digest()[:4]
    return BEGINNING + base64.b32encode(payload).decode().rstrip("=")


def test_links_that_somebody_made_otherwise() -> None:
    assert refusal(rewritten(1, SPACE)) is None
    assert "newer release" in (refusal(rewritten(0, b"\x02")) or "")
    assert refusal(rewritten(17, bytes(32))) is not None  # a key under which anybody can sign
    assert refusal(rewritten(65, b"\x05")) is not None  # a hash of five bytes
    assert refusal(rewritten(65, b"\xff")) is not None
    assert refusal(rewritten(98, b"http")) is not None
    assert refusal(rewritten(98, b"\xff")) is not None


def test_both_sides_of_the_length_of_an_address() -> None:
    longest = "wss://" + "a" * (INVITE_ADDRESS_LENGTH_MAX - 6)
    link = Link(longest, SPACE, SPACE_KEY.public, bytes(32), bytes(16))
    assert read_link(str(link)) == link
    assert 2 * len(str(link)) < INVITE_LINK_LENGTH_MAX
    for address in (longest + "a", "wss://", "http://a", "wss://a b", "wss://é", "wss://a\n", ""):
        with pytest.raises(InvalidInvite):
            Link(address, SPACE, SPACE_KEY.public, b"", bytes(16))
    for parts in ((SPACE[1:], b"", bytes(16)), (SPACE, bytes(31), bytes(16)), (SPACE, b"", bytes(15))):
        with pytest.raises(InvalidInvite):
            partial(Link, ADDRESS, parts[0], SPACE_KEY.public)(parts[1], parts[2])
