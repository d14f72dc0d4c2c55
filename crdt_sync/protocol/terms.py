"""What two partners agree on before they exchange anything: the space, and what both can do.

The dialer decides, as it is its records that could go to strangers:

| dialer | acceptor | a relay | a device, which proved the space's token |
|---|---|---|---|
| of this space | of this space | nothing changes | nothing changes |
| not joined | joined | the dialer joins | the dialer joins |
| not joined | not joined | both join the relay's | nothing changes |
| joined | not joined | the relay joins | the device joins |
| joined | joined another | the dialer moves, if it may; else the session ends | nothing changes |
"""

from collections.abc import Iterable
from dataclasses import dataclass

from crdt_sync.ids import Space
from crdt_sync.protocol.messages import Terms
from crdt_sync.protocol.versions import FEATURES


@dataclass(frozen=True, slots=True)
class Agreed:
    """What the terms led to: the dialer's space from now on, whether both were of it before, and the partner's log.

    `features` are those that both sides have.
    """

    space: Space
    known: bool
    log: bytes
    features: frozenset[str] = frozenset()


def agreed_space(ours: Space, theirs: Space, *, direct: bool, moves: bool) -> Space | None:
    """The dialer's space after it met an acceptor of `theirs`; None where the session must end. See the module."""
    if theirs.joined and not ours.joined:
        return theirs
    if ours.id == theirs.id or ours.joined != theirs.joined or direct:
        return ours
    if not ours.joined:
        return Space(theirs.id, joined=True)
    return theirs if moves else None


def terms_of(space: Space, log: bytes) -> Terms:
    """What this side tells."""
    return Terms(space.id, space.joined, log, tuple(sorted(FEATURES)))


def shared_features(theirs: Iterable[str]) -> frozenset[str]:
    """What both sides named."""
    return FEATURES.intersection(theirs)
