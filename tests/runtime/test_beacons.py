"""What a device tells the network: those of its space know it again, and to others it is noise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.runtime.beacons import LABEL_LENGTH, Lookout, Seen, beacon

SPACE, OTHER = b"s" * 16, b"o" * 16
ANNA, BEN, NEW = b"a" * 16, b"b" * 16, b"n" * 16
LOOKOUT = Lookout(SPACE, [BEN, ANNA])


def test_a_device_that_is_listed_is_known_by_its_key_and_another_one_of_the_space_by_its_name() -> None:
    for device, seen in ((ANNA, ANNA), (BEN, BEN), (NEW, b"")):
        made = beacon(SPACE, device, "anna-phone")
        assert len(made.label) == LABEL_LENGTH <= 63
        assert LOOKOUT.is_of_space(made.label)
        assert LOOKOUT.seen(f"{made.label}-2._service.local.", made.name) == Seen(seen, "anna-phone")


def test_whoever_does_not_know_the_space_reads_nothing_and_makes_nothing() -> None:
    made = beacon(SPACE, ANNA, "anna-phone")
    stranger = Lookout(OTHER, [ANNA])
    assert not stranger.is_of_space(made.label)
    assert stranger.seen(made.label, made.name) is None
    for part in (b"anna", ANNA, ANNA.hex().encode(), SPACE):
        assert part not in made.name + made.label.encode()
        assert part not in bytes.fromhex(made.label)


def test_each_start_has_another_label() -> None:
    made = {beacon(SPACE, ANNA, "anna-phone").label[at : at + 16] for _ in range(20) for at in (0, 16, 32)}
    assert len(made) == 60


@pytest.mark.parametrize("at", [0, 15, 16, 31, 32, 47])
def test_no_part_of_a_label_can_be_changed(at: int) -> None:
    label = beacon(SPACE, ANNA, "anna-phone").label
    changed = label[:at] + ("0" if label[at] != "0" else "1") + label[at + 1 :]
    assert not LOOKOUT.is_of_space(changed)


def test_a_name_belongs_to_its_label() -> None:
    anna, ben = beacon(SPACE, ANNA, "anna-phone"), beacon(SPACE, BEN, "ben-till")
    assert LOOKOUT.seen(anna.label, ben.name) is None
    assert LOOKOUT.seen(anna.label, b"") is None


@given(st.text(max_size=80), st.binary(max_size=80))
def test_whatever_is_announced_is_read_as_nothing(label: str, name: bytes) -> None:
    assert LOOKOUT.seen(label, name) is None
