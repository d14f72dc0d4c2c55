"""Fair queueing on the event loop: what sessions cause is done in steps, and who asks for much delays itself alone.

Rules:

1. While little is asked for, a step runs at once. Once the steps of one pass of the loop have taken `_AT_ONCE_S`, the
   others wait, which are served for `_PASS_S` in each pass. Whoever has used least since the waiting began is next; who
   did not wait before is `_CREDIT_S` ahead of those who did. A device that sends a frame a second is served before
   those that flood, however many they are.
2. Between two passes the loop looks at its sockets and timers.
3. Each step runs once, those of one flow in the order in which they were asked for.
4. Whoever has not been let in yet is of one flow with all other strangers of its address. Of those who were, all
   sessions of one user, or of one device at one address, are of one flow.
"""

import asyncio
import heapq
import time
from collections import OrderedDict
from collections.abc import Callable
from weakref import WeakValueDictionary

from crdt_sync import limits
from crdt_sync.principal import Share
from crdt_sync.runtime.hosting.flow import Flow

Clock = Callable[[], float]
"""Seconds that pass while a step runs, from any beginning."""

_AT_ONCE_S = 0.002
_PASS_S = 0.0005  # a push is on the loop some ten times before it is answered, behind a pass each time
_CREDIT_S = 0.005  # so that it need not wait for all who have used as little
_STEP_S_MIN = 20e-6  # what a step counts at least: waking and reading for it


class FairQueue:
    """See the module."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock = time.perf_counter) -> None:
        self._loop = loop
        self._clock = clock
        self._spent_s = 0.0  # in this pass
        self._passing = False  # the pass has an end that is scheduled
        self._waiting: list[tuple[float, int, Flow]] = []
        self._asked = 0
        self._contention = 0
        self._least_s = 0.0  # what those that were served had used at most, before that
        self._strangers: OrderedDict[str, Flow] = OrderedDict()  # by address
        self._members: WeakValueDictionary[Share, Flow] = WeakValueDictionary()  # while sessions of theirs are here

    def stranger(self, address: str) -> Flow:
        """The flow of all from there that were not let in yet."""
        flow = self._strangers.get(address)
        if flow is None:
            if len(self._strangers) >= limits.STRANGERS_MAX:
                idle = next((each for each, known in self._strangers.items() if not known.steps), None)
                if idle is not None:  # else they are as many as strangers wait, who are counted
                    del self._strangers[idle]
            flow = self._strangers[address] = Flow()
        self._strangers.move_to_end(address)
        return flow

    def member(self, share: Share) -> Flow:
        """The flow of all sessions of that share. It lasts as long as one of them keeps it."""
        flow = self._members.get(share)
        if flow is None:
            flow = self._members[share] = Flow()
        return flow

    def ran(self, step: Callable[[], None], counted_s: float = _STEP_S_MIN) -> bool:
        """Run `step` now if nobody needs to wait; else False. It counts as `counted_s` at least."""
        if self._waiting or self._spent_s >= _AT_ONCE_S:
            return False
        if not self._passing:
            self._passing = True
            self._loop.call_soon(self._pass_ended)
        self._run(step, counted_s)
        return True

    def take(self, flow: Flow, step: Callable[[], None], counted_s: float = _STEP_S_MIN) -> None:
        """Run `step` now, or when its turn comes; then the loop's handler of exceptions hears what it raises.

        Where it begins what is done later, `counted_s` says how long that takes.
        """
        if not self.ran(step, counted_s):
            flow.steps.append((step, counted_s))
            if not flow.queued:
                self._queue(flow)

    async def wait(self, flow: Flow, step: Callable[[], None], counted_s: float = _STEP_S_MIN) -> None:
        """`take`, and return once `step` has run. What it raises, this raises."""
        done: asyncio.Future[None] = self._loop.create_future()

        def stepped() -> None:
            try:
                step()
            except Exception as error:
                if not done.done():
                    done.set_exception(error)
            else:
                if not done.done():
                    done.set_result(None)

        self.take(flow, stepped, counted_s)
        await done

    def _queue(self, flow: Flow) -> None:
        if flow.contention != self._contention:
            flow.contention, flow.used_s = self._contention, 0.0
        flow.used_s = max(flow.used_s, self._least_s - _CREDIT_S)
        flow.queued = True
        self._asked += 1
        heapq.heappush(self._waiting, (flow.used_s, self._asked, flow))
        if not self._passing:
            self._passing = True
            self._loop.call_soon(self._pass_ended)

    def _pass_ended(self) -> None:
        self._spent_s = 0.0
        self._passing = bool(self._waiting)
        if not self._passing:
            return
        self._loop.call_soon(self._pass_ended)
        try:
            while self._waiting and self._spent_s < _PASS_S:
                self._serve_next()
        finally:
            if not self._waiting:  # what was used while nobody had to wait is nobody's fault
                self._contention += 1
                self._least_s = 0.0

    def _serve_next(self) -> None:
        used_s, _, flow = heapq.heappop(self._waiting)
        self._least_s = max(self._least_s, used_s)
        flow.queued = False
        try:
            flow.used_s += self._run(*flow.steps.popleft())
        finally:
            if flow.steps and not flow.queued:
                self._queue(flow)

    def _run(self, step: Callable[[], None], counted_s: float) -> float:
        begun = self._clock()
        step()
        took = max(counted_s, self._clock() - begun)
        self._spent_s += took
        return took
