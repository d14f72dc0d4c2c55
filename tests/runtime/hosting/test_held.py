"""Which sessions are read on when there is room again."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from crdt_sync.limits import TAKEN_FRAME_BYTES
from crdt_sync.runtime.hosting.held import HeldSessions

SHORT = TAKEN_FRAME_BYTES


class Host:
    """Rules as the test says them. A frame is read where there is `room` for it, and takes none."""

    def __init__(self) -> None:
        self.room = 0
        self.by_itself: set[int] = set()
        self.slow: set[int] = set()
        self.pushed: set[int] = set()
        self.looked_at = 0
        self.held = HeldSessions(self)
        self.freed: list[int] = []

    def may_read(self, session: int, size: int) -> bool:
        self.looked_at += 1
        slow = self.waits_for_slow(session, size)
        return session not in self.by_itself and not slow and self.room >= size

    def held_by_itself(self, session: int) -> bool:
        return session in self.by_itself

    def waits_for_slow(self, session: int, size: int) -> bool:
        return size > SHORT and session in self.slow

    def has_pushed(self, session: int) -> bool:
        return session in self.pushed

    def hold(self, *sessions: int, size: int = SHORT + 1) -> None:
        for session in sessions:
            self.held.hold(session, size).add_done_callback(partial(self._note, session))

    def _note(self, session: int, _: object) -> None:
        self.freed.append(session)

    async def release(self, room: int) -> list[int]:
        """Who is read on now that there is so much room."""
        self.room, self.freed = room * (SHORT + 1), []
        self.held.release()
        await asyncio.sleep(0)
        return self.freed


def on_a_loop(scenario: Callable[[Host], Awaitable[None]]) -> None:
    async def run() -> None:
        await scenario(Host())

    asyncio.run(run())


def test_who_came_first_is_read_on_first_and_a_few_at_a_time() -> None:
    async def scenario(host: Host) -> None:
        host.hold(*range(10))
        assert await host.release(0) == []
        assert await host.release(1) == [0, 1, 2, 3]
        assert await host.release(1) == [4, 5, 6, 7]
        assert await host.release(1) == [8, 9]
        assert await host.release(1) == []

    on_a_loop(scenario)


def test_who_has_nothing_under_way_comes_before_who_has() -> None:
    async def scenario(host: Host) -> None:
        host.pushed = {1, 2}
        host.hold(1, 2, 3, 4)
        host.pushed.discard(2)
        host.held.answered(2)
        assert await host.release(1) == [3, 4, 2, 1]

    on_a_loop(scenario)


def test_who_waits_for_the_slow_worker_takes_nobodys_turn_and_has_its_own_once_there_is_room() -> None:
    async def scenario(host: Host) -> None:
        host.slow = {1, 2, 4}
        host.hold(1, 2, 3)
        assert await host.release(1) == [3]
        host.hold(4, 5)
        host.held.answered(2)
        assert await host.release(1) == [5]
        host.slow = set()
        assert await host.release(1) == [1, 2, 4]

    on_a_loop(scenario)


def test_a_short_frame_waits_for_common_room_alone_and_not_behind_a_large_one_of_the_slow_lane() -> None:
    async def scenario(host: Host) -> None:
        host.slow = {1, 2}
        host.hold(1)
        host.hold(2, size=SHORT)
        assert await host.release(0) == []
        assert await host.release(1) == [2]

    on_a_loop(scenario)


def test_a_short_frame_for_which_there_is_room_does_not_wait_behind_a_large_one_for_which_there_is_none() -> None:
    async def scenario(host: Host) -> None:
        host.hold(1, size=2 * SHORT)
        host.hold(2, 3, size=SHORT)
        assert await host.release(1) == [2, 3]
        assert await host.release(2) == [1]

    on_a_loop(scenario)


def test_who_goes_by_the_slow_lane_no_more_waits_behind_nobody_who_does() -> None:
    async def scenario(host: Host) -> None:
        host.slow = set(range(20))
        host.hold(*range(20))
        assert await host.release(1) == []
        host.slow -= {13, 17}
        freed = [session for _ in range(5) for session in await host.release(1)]
        assert freed == [13, 17]
        host.slow.clear()
        assert await host.release(1) == [0, 1, 2, 3], "the others in the order in which they came"

    on_a_loop(scenario)


def test_who_is_held_by_what_it_asked_for_itself_takes_nobodys_turn_and_has_its_own_later() -> None:
    async def scenario(host: Host) -> None:
        host.by_itself = {1, 2}
        host.hold(1)
        host.by_itself.discard(2)
        host.hold(2)
        host.by_itself.add(2)
        host.hold(3)
        assert await host.release(1) == [3]
        host.by_itself.clear()
        assert await host.release(1) == []
        host.held.answered(1)
        host.held.answered(2)
        assert await host.release(1) == [1, 2]

    on_a_loop(scenario)


def test_who_has_left_waits_no_more() -> None:
    async def scenario(host: Host) -> None:
        host.hold(1, 2)
        host.held.leave(1)
        assert 1 not in host.held
        assert 2 in host.held
        assert await host.release(1) == [1, 2]

    on_a_loop(scenario)


def test_hundreds_that_are_held_cost_nothing_while_there_is_no_room() -> None:
    async def scenario(host: Host) -> None:
        host.hold(*range(500))
        for _ in range(100):
            await host.release(0)
        assert host.looked_at == 100

    on_a_loop(scenario)
