"""Room for frames of all connections: nobody's are read beyond it, everybody's are in the end, and who dawdles ends."""

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from crdt_sync import limits
from crdt_sync.limits import FRAME_BYTES_MAX
from crdt_sync.runtime.transports.room import Room

_BYTES = FRAME_BYTES_MAX


class Clock:
    """What of a loop is needed: the clock and timers."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> object:
        self.timers.append((when, callback))
        return callback

    def run_until(self, now: float) -> None:
        while due := [timer for timer in self.timers if timer[0] <= now]:
            self.timers.remove(due[0])
            self.now = max(self.now, due[0][0])
            due[0][1]()
        self.now = now


class Device:
    def __init__(self, room: Room) -> None:
        self._room = room
        self.size = 0
        self.reads = False
        self.here = True

    def begin(self, size: int) -> bool:
        self.size, self.reads = size, self._room.take(self, size) == size
        return self.reads

    def room_given(self, size: int) -> None:
        assert not self.reads
        self.reads = True

    def give_way(self) -> None:
        self.here = self.reads = False

    def end(self) -> None:
        self._room.came(self)
        self.reads = False
        self._room.give_back(self, self.size)


def devices(count: int) -> tuple[Clock, Room, list[Device]]:
    clock = Clock()
    room = Room(clock, _BYTES)
    return clock, room, [Device(room) for _ in range(count)]


def test_frames_are_read_while_there_is_room_for_all_of_them():
    _, room, (first, second, third) = devices(3)
    assert first.begin(_BYTES // 2)
    assert second.begin(_BYTES // 2)
    assert not third.begin(1)
    assert room.held == _BYTES
    first.end()
    assert third.reads


def test_small_frames_go_ahead_of_large_ones():
    _, _, (first, large, small) = devices(3)
    assert first.begin(_BYTES - 10)
    assert not large.begin(_BYTES)
    assert small.begin(10)
    small.end()
    first.end()
    assert large.reads


def test_a_large_frame_has_its_turn_however_many_small_ones_come():
    _, _, (first, large, *others) = devices(102)
    assert first.begin(_BYTES - 1)
    assert not large.begin(_BYTES)
    for small in others:
        small.begin(_BYTES // 10)
    first.end()
    for small in others:
        if large.reads:
            break
        if small.reads:
            small.end()
    assert large.reads
    assert not others[-1].reads


def test_who_takes_too_long_for_a_frame_ends_while_others_wait():
    clock, room, (dawdler, other) = devices(2)
    assert dawdler.begin(_BYTES)
    clock.run_until(10 * limits.ROOM_S)
    assert dawdler.here
    assert not other.begin(_BYTES)
    clock.run_until(10 * limits.ROOM_S + 1)
    assert not dawdler.here
    assert other.reads
    assert room.held == _BYTES


def test_whose_frame_waits_for_us_is_not_too_slow():
    clock, room, (first, other) = devices(2)
    assert first.begin(_BYTES)
    room.came(first)
    assert not other.begin(_BYTES)
    clock.run_until(10 * limits.ROOM_S)
    assert first.here
    assert not other.reads


def test_a_frame_that_waits_for_room_itself_is_not_too_slow():
    clock, room, (slow, first, second, other) = devices(4)
    assert slow.begin(_BYTES // 4)
    assert first.begin(_BYTES // 2)
    room.came(first)
    assert second.begin(_BYTES // 4)
    assert not room.take(slow, _BYTES // 4)
    slow.reads = False
    assert not other.begin(_BYTES)
    clock.run_until(limits.ROOM_HELD_S + 1)
    assert slow.here
    assert slow.reads  # the room of `second`, which was too slow
    assert not second.here
    clock.run_until(limits.ROOM_HELD_S + limits.ROOM_S - 1)
    first.end()
    assert not slow.here
    assert other.reads


def test_who_has_much_for_long_gives_way_to_who_needs_little():
    clock, room, (large, medium, *others) = devices(4)
    assert large.begin(_BYTES // 2)
    assert medium.begin(_BYTES // 2)
    clock.run_until(0.5)
    room.give_back(medium, _BYTES // 4)
    room.keep(medium, _BYTES // 2)
    for other in others:
        assert not other.begin(limits.FRAME_BYTES_TARGET)
    clock.run_until(1.0)
    assert not large.here
    assert medium.here
    assert all(other.reads for other in others)


def test_who_needs_much_waits_longer_for_those_that_have_much():
    clock, _, (first, other) = devices(2)
    assert first.begin(_BYTES)
    assert not other.begin(_BYTES)
    clock.run_until(limits.ROOM_HELD_S)
    assert first.here
    clock.run_until(limits.ROOM_HELD_S + 1)
    assert not first.here


def test_what_comes_slowly_has_room_for_what_came_and_nobody_waits_for_it():
    _, room, (large, *drippers) = devices(20)
    for dripper in drippers:
        assert room.take(dripper, _BYTES, 10) == 10
        assert room.take(dripper, _BYTES - 10, 10) == 10
    assert large.begin(_BYTES // 2)
    assert room.held == 20 * len(drippers) + _BYTES // 2


def test_beyond_half_there_is_room_for_all_that_is_missing_or_none():
    _, room, (half, first, second) = devices(3)
    assert half.begin(_BYTES // 2)
    assert room.take(first, 1000, 10) == 1000
    assert room.take(second, _BYTES // 2, 10) == 0
    room.give_back(half, 1000)
    assert second.reads
    assert room.held == _BYTES


def test_a_part_is_given_whoever_waits_for_more():
    _, room, (first, large, other) = devices(3)
    assert first.begin(_BYTES // 4)
    assert not large.begin(_BYTES)
    assert room.take(other, _BYTES // 2, 10) == 10


def test_of_those_who_all_wait_for_more_the_oldest_gives_way():
    clock, room, (first, second) = devices(2)
    for device in (first, second):
        assert device.begin(_BYTES // 2)
        clock.run_until(clock.now + 1)
    for device in (first, second):
        assert not room.take(device, 1)
        device.reads = False
    clock.run_until(10 * limits.ROOM_S)
    assert not first.here
    assert second.here
    assert second.reads
    assert room.held == _BYTES // 2 + 1


def test_who_waits_for_more_while_a_whole_frame_waits_for_us_stays():
    clock, room, (first, second, third) = devices(3)
    assert first.begin(_BYTES // 2)
    room.came(first)
    assert second.begin(_BYTES // 2)
    assert not room.take(second, 1)
    assert not third.begin(1)
    clock.run_until(10 * limits.ROOM_S)
    assert second.here
    second.reads = False
    first.end()
    assert second.reads
    assert third.reads


def test_who_gave_back_everything_makes_nobody_wait():
    clock, room, (first, second, third) = devices(3)
    assert first.begin(1)
    room.give_back(first, 1)
    assert second.begin(_BYTES)
    room.came(second)
    assert not third.begin(1)
    clock.run_until(10 * limits.ROOM_S)
    assert first.here


def test_who_begins_while_others_wait_is_not_given_longer():
    clock, room, (taken, large, small) = devices(3)
    assert taken.begin(_BYTES // 2)
    room.came(taken)
    assert not large.begin(_BYTES)
    assert small.begin(1)
    clock.run_until(limits.ROOM_S)
    assert not small.here


def test_what_is_kept_longer_is_counted_once():
    clock, room, (keeper, first, second) = devices(3)
    for _ in range(3):
        room.keep(keeper, _BYTES)
    assert not first.begin(_BYTES // 2)
    for _ in range(_BYTES // 1000):
        room.keep(keeper, _BYTES)
    assert not second.begin(_BYTES // 4)
    room.keep(keeper, _BYTES // 2)
    assert room.held == _BYTES * 3 // 4
    assert second.reads
    assert not first.reads
    room.leave(keeper)
    assert first.reads
    assert clock.now == 0.0


def test_who_leaves_gives_everything_back_and_waits_no_longer():
    _, room, (first, second, third) = devices(3)
    assert first.begin(_BYTES)
    assert not second.begin(_BYTES // 2)
    assert not third.begin(_BYTES)
    room.leave(second)
    room.leave(first)
    assert not second.reads
    assert third.reads
    room.leave(third)
    assert room.held == 0


def test_a_frame_that_was_cut_off_needs_no_room():
    _, room, (first, second, third) = devices(3)
    assert first.begin(_BYTES)
    assert not second.begin(_BYTES)
    assert not third.begin(_BYTES)
    room.abandon(second)
    room.abandon(first)
    assert not second.reads
    assert third.reads


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["begin", "end", "leave"]), st.integers(1, _BYTES))))
def test_nothing_is_held_beyond_the_bound_and_everybody_is_read_in_the_end(
    steps: list[tuple[int, str, int]],
) -> None:
    _, room, known = devices(6)
    for number, what, size in steps:
        device = known[number]
        if what == "begin" and not device.size:
            device.begin(size)
        elif what == "end" and device.reads:
            device.end()
            device.size = 0
        elif what == "leave":
            room.leave(device)
            device.size, device.reads = 0, False
        assert room.held == sum(each.size for each in known if each.reads) <= _BYTES
    for _ in known:
        for device in [each for each in known if each.reads]:
            device.end()
            device.size = 0
    assert not any(device.size for device in known)
    assert room.held == 0
