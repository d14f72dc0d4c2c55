"""Looks at each frame as it leaves a relay, or a device that listens: whoever gets it may hold all that it tells.

What is allowed is worked out by the model of `crdt_bench.grants.oracle`, from what the one who tells has on its disk
and goes by. Beside what frames name, the names that people write are looked for in their bytes: each is written once.
"""

import re
from collections.abc import Callable, Iterable

from crdt_bench.grants.oracle import NotAllowed, Oracle, decoded
from crdt_bench.grants.policies import SCHEMA
from crdt_bench.simulator.disk import Disk
from crdt_bench.simulator.failure import Failure
from crdt_sync.identity.statements import Statements
from crdt_sync.policy.in_force import InForce
from crdt_sync.principal import Principal
from crdt_sync.protocol.hub import Deliver, Hub, HubEffect
from crdt_sync.protocol.messages import Ack
from crdt_sync.storage.values import Batch

MARK = re.compile(rb"n\d+~")
"""A name that somebody writes."""


class Watch:
    """See the module. `failed` hears of the first thing that is not allowed."""

    def __init__(self, failed: Callable[[Failure], None]) -> None:
        self._failed = failed
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

    def over(
        self, hub: Hub, disk: Disk, in_force: Callable[[], InForce | None], statements: Callable[[], Statements]
    ) -> None:
        """Look at all that this one tells."""
        oracle, principals = self._oracles.setdefault(disk.replica, Oracle(SCHEMA)), dict[int, Principal]()
        self._looks[disk.replica] = lambda: (policy := in_force()) and oracle.look(disk, policy)
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
            policy, user = in_force(), principal.user
            assert policy is not None, "there is one from the beginning"
            allowed = oracle.look(disk, policy).get(user, set())
            if principal.device in statements().revocations.devices:
                allowed = set()
            own = self._own.get(user, set())
            try:
                oracle.check(frame, user, allowed, own)
            except NotAllowed as told:
                self._failed(Failure("forbidden", str(told)))
                return
            self._look_for_marks(frame, user, allowed)

        hub.drain = drain  # type: ignore[method-assign]

    def _look_for_marks(self, frame: bytes, user: str, allowed: set[str]) -> None:
        found = MARK.findall(frame)
        if not found:
            return
        if isinstance(decoded(frame), Ack):
            self._failed(Failure("reason", f"a verdict tells {user} of {found}"))
        hidden = [mark for mark in found if self.marked.get(mark) not in allowed]
        if hidden:
            self._failed(Failure("forbidden", f"{user} is sent {hidden}, which stand in what it may not hold"))
