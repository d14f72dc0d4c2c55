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
5. A queue may be beside another one, as those of the spaces that one process hosts: they share the passes, and the
   queue that has used least since the waiting began is next, by the same rules, however many wait in each.
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


class _Line:
    """Those that wait, by what they have used; each with the queue that it is of."""

    def __init__(self) -> None:
        self.waiting: list[tuple[float, int, Flow, FairQueue]] = []
        self._asked = 0
        self._contention = 0
        self._least_s = 0.0  # what those that were served had used at most, before that

    def add(self, flow: Flow, queue: "FairQueue") -> None:
        """One more waits."""
        if flow.contention != self._contention:
            flow.contention, flow.used_s = self._contention, 0.0
        flow.used_s = max(flow.used_s, self._least_s - _CREDIT_S)
        flow.queued = True
        self._asked += 1
        heapq.heappush(self.waiting, (flow.used_s, self._asked, flow, queue))

    def take(self) -> "tuple[Flow, FairQueue]":
        """Whoever is next, who waits no more."""
        used_s, _, flow, queue = heapq.heappop(self.waiting)
        self._least_s = max(self._least_s, used_s)
        flow.queued = False
        return flow, queue

    def empty(self) -> None:
        """Nobody waits: what was used until now is nobody's fault."""
        self._contention += 1
        self._least_s = 0.0


class _Passes:
    """The passes of one loop, which the queues that are beside each other share."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        self.loop = loop
        self.clock = clock
        self.spent_s = 0.0  # in this one
        self.passing = False  # it has an end that is scheduled
        self.queues = _Line()

    def begin(self) -> None:
        """See to it that the pass ends."""
        if not self.passing:
            self.passing = True
            self.loop.call_soon(self._ended)

    def _ended(self) -> None:
        self.spent_s = 0.0
        self.passing = bool(self.queues.waiting)
        if not self.passing:
            return
        self.loop.call_soon(self._ended)
        try:
            while self.queues.waiting and self.spent_s < _PASS_S:
                turn, queue = self.queues.take()
                queue.serve_next(turn)
        finally:
            if not self.queues.waiting:
                self.queues.empty()


class FairQueue:
    """See the module. `beside`: the queue whose passes it shares."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Clock = time.perf_counter,
        beside: "FairQueue | None" = None,
    ) -> None:
        self._loop = loop
        self._passes: _Passes = _Passes(loop, clock) if beside is None else beside._passes
        self._turn = Flow()  # of this queue, among those beside it
        self._flows = _Line()
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
        passes = self._passes
        if passes.queues.waiting or passes.spent_s >= _AT_ONCE_S:
            return False
        passes.begin()
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

    def serve_next(self, turn: Flow) -> None:
        """It is the turn of this queue, which is that flow among those beside it: run one step."""
        flow, _ = self._flows.take()
        try:
            took_s = self._run(*flow.steps.popleft())
            flow.used_s += took_s
            turn.used_s += took_s
        finally:
            if flow.steps and not flow.queued:
                self._queue(flow)
            elif not self._flows.waiting:
                self._flows.empty()
            elif not turn.queued:
                self._passes.queues.add(turn, self)

    def _queue(self, flow: Flow) -> None:
        self._flows.add(flow, self)
        if not self._turn.queued:
            self._passes.queues.add(self._turn, self)
        self._passes.begin()

    def _run(self, step: Callable[[], None], counted_s: float) -> float:
        passes = self._passes
        begun = passes.clock()
        step()
        took = max(counted_s, passes.clock() - begun)
        passes.spent_s += took
        return took
