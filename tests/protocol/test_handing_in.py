"""What a device hands in that was shut out: frames of the usual size, and no more than anybody keeps."""

import pytest

from crdt_sync import limits
from crdt_sync.errors import ProtocolViolation
from crdt_sync.protocol import codec
from crdt_sync.protocol.entries import PushEntry
from crdt_sync.protocol.handing_in import HandedIn, pushes, welcome
from crdt_sync.protocol.messages import Push


def entries(count: int, size: int) -> list[PushEntry]:
    return [PushEntry(f"customers/{number:026}", bytes(size)) for number in range(count)]


@pytest.mark.parametrize(
    ("count", "size", "frames"),
    [(0, 1, 0), (1, 1, 1), (limits.PUSH_RECORDS_MAX, 1, 1), (limits.PUSH_RECORDS_MAX + 1, 1, 2), (5, 200_000, 5)],
)
def test_what_is_handed_in_goes_in_frames_of_the_usual_size(count: int, size: int, frames: int) -> None:
    sent = list(pushes(entries(count, size)))
    assert [push.number for push in sent] == list(range(1, frames + 1))
    assert [entry for push in sent for entry in push.entries] == entries(count, size)
    assert all(len(codec.encode(push)) < limits.FRAME_BYTES_MAX for push in sent)


def test_no_more_is_taken_than_may_be_handed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HANDED_IN_RECORDS_MAX", 4)
    monkeypatch.setattr(limits, "HANDED_IN_BYTES_MAX", 40)
    came = HandedIn()
    came.take(Push(1, tuple(entries(4, 10))))
    assert (came.entries, came.size) == (entries(4, 10), 40)
    with pytest.raises(ProtocolViolation, match="more is handed in"):
        HandedIn().take(Push(1, tuple(entries(5, 1))))
    with pytest.raises(ProtocolViolation, match="more is handed in"):
        HandedIn().take(Push(1, tuple(entries(1, 41))))


def test_the_welcome_of_who_hands_in_tells_nothing() -> None:
    told = welcome(bytes(16), 7)
    assert (told.head, told.behind, set(told.epoch)) == (0, None, {0})
