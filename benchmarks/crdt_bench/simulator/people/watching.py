"""Looks at each frame as it leaves a relay, or a device that listens: whoever gets it may hold all that it tells.

What is allowed is worked out by the model of `crdt_bench.grants.oracle`, from what the one who tells has on its disk
and goes by. Beside what frames name, the names that people write are looked for in their bytes: each is written once.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from crdt_bench.grants.oracle import NotAllowed, Oracle, decoded
from crdt_bench.simulator.disk import Disk
from crdt_bench.simulator.failure import Failure
from crdt_sync.identity.statements import Statements
from crdt_sync.policy.in_force import InForce
from crdt_sync.policy.reading import parse_policy
from crdt_sync.principal import Principal
from crdt_sync.protocol.hub import Deliver, Hub, HubEffect
from crdt_sync.protocol.messages import Ack, Message, Welcome
from crdt_sync.records import Schema
from crdt_sync.storage.values import Batch

MARK = re.compile(rb"[nb]\d+~")
"""A name that somebody writes, or the beginning of what nobody has whole who is to see it in part."""


class _Moment(NamedTuple):
    """What users may hold at a time, by the text of a policy."""

    at: int
    policy: str
    allowed: Mapping[str, set[str]]


@lru_cache(maxsize=256)
def _read(text: str) -> InForce:
    return InForce(1, parse_policy(text, "simulated"))


class Watch:
    """See the module. `failed` hears of the first thing that is not allowed.

    What was on its way to somebody when a record moved may be of before: who tells hears of a commit up to `late_us`
    after it. Of another policy it hears at once. Records are of this `schema`.
    """

    def __init__(self, failed: Callable[[Failure], None], now: Callable[[], int], late_us: int, schema: Schema) -> None:
        self._schema = schema
        self._failed = failed
        self._now = now
        self._late_us = late_us
        self._own: dict[str, set[str]] = {}  # by user, the records that its devices have named
        self.marked: dict[bytes, str] = {}  # by what is written, the record
        self.stored: set[bytes] = set()  # what was written and came to the relay's disk
        self.superseded: set[bytes] = set()
        self.written: dict[bytes, str] = {}  # by what was written, the device
        self._oracles: dict[bytes, Oracle] = {}  # by the replica that tells
        self._looks: dict[bytes, Callable[[], object]] = {}
        self.frames = 0

    def wrote(self, device: str, mark: bytes, seen: Iterable[bytes]) -> None:
        """Somebody has written a name in the place of what it saw."""
        self.written[mark] = device
        self.superseded.update(seen)

    def device_stored(self, user: str, batches: Iterable[Batch]) -> None:
        """A device of a user has stored this: it may name these records."""
        own = self._own.setdefault(user, set())
        for batch in batches:
            own.update(change.record for change in batch.changes)

    def relay_stored(self, batches: Iterable[Batch]) -> None:
        """The relay has stored this."""
        for batch in batches:
            for change in batch.changes:
                for update in (*change.updates, change.snapshot or b""):
                    self.stored.update(MARK.findall(update))

    def note(self, replica: bytes) -> None:
        """Something was stored there, or it goes by another policy."""
        if (look := self._looks.get(replica)) is not None:
            look()

    def over(self, hub: Hub, disk: Disk, statements: Callable[[], Statements]) -> None:
        """Look at all that this one tells, who has heard these statements."""

        def policy() -> str:
            text = statements().policy
            assert text is not None, "there is one from the beginning"
            return text

        oracle, principals = self._oracles.setdefault(disk.replica, Oracle(self._schema)), dict[int, Principal]()
        moments: deque[_Moment] = deque()

        def moment() -> _Moment:
            """What everybody may hold now."""
            text = policy()
            found = _Moment(self._now(), text, oracle.look(disk, _read(text)))
            moments.append(found)
            while moments[0].at < found.at - self._late_us:
                moments.popleft()
            return found

        self._looks[disk.replica] = moment
        drained = hub.drain

        def drain() -> list[HubEffect]:
            effects = drained()
            for effect in effects:
                if isinstance(effect, Deliver):
                    session = effect.session
                    if (acceptor := hub._sessions.get(session)) is not None and acceptor.principal is not None:
                        principals[session] = acceptor.principal
                    if session in principals:
                        look(effect.frame, principals[session])
            return effects

        def look(frame: bytes, principal: Principal) -> None:
            self.frames += 1
            user, now = principal.user, moment()
            allowed = set[str]().union(
                *(each.allowed.get(user, set()) for each in moments if each.policy == now.policy)
            )
            if principal.device in statements().revocations.devices:
                allowed = set()
            own = self._own.get(user, set())
            message = decoded(frame)
            if isinstance(message, Welcome) and message.behind is not None:
                self._failed(Failure("forbidden", f"{user} is told how much lies behind"))
            try:
                oracle.check(frame, user, allowed, own)
            except NotAllowed as told:
                self._failed(Failure("forbidden", str(told)))
                return
            self._look_for_marks(frame, user, allowed)

        hub.drain = drain  # type: ignore[method-assign]

    def _look_for_marks(self, frame: bytes, user: str, allowed: set[str]) -> None:
        if not MARK.search(frame):
            return
        message = decoded(frame)
        found = MARK.findall(_without_places(frame, message))
        if not found:
            return
        if isinstance(message, Ack):
            self._failed(Failure("reason", f"a verdict tells {user} of {found}"))
        hidden = [mark for mark in found if self.marked.get(mark) not in allowed]
        if hidden:
            self._failed(Failure("forbidden", f"{user} is sent {hidden}, which stand in what it may not hold"))


def _without_places(frame: bytes, message: Message) -> bytes:
    """A frame without the marks that stand for places in the log: their bytes may look like anything."""
    for name in ("cursor", "head"):
        place = getattr(message, name, None)
        frame = frame.replace(place, b"") if isinstance(place, bytes) else frame
    return frame
