"""What an attacker does, as data: steps that are repeated for as long as the siege lasts."""

import random
from dataclasses import dataclass

from crdt_bench.campaign.siege.frames import KINDS, LARGE
from crdt_sync.limits import FRAME_BYTES_MAX

_BURST_MAX = 400  # frames of one step and session
_LARGE_BURST_MAX = 4


@dataclass(frozen=True, slots=True)
class Open:
    """More connections at once. `greeted` ones are members with a device of their own; the others say no hello, and
    nothing at all unless they are `upgraded` to websockets.
    """

    count: int
    greeted: bool = True
    follow: bool = False
    reading: bool = True
    upgraded: bool = False


@dataclass(frozen=True, slots=True)
class Send:
    """Frames of one kind on every open connection, as fast as they are taken; see `frames.KINDS`."""

    kind: str
    copies: int = 1


@dataclass(frozen=True, slots=True)
class Begin:
    """The beginning of a frame of the largest size on every open connection, so many bytes; no more of it comes."""

    size: int


@dataclass(frozen=True, slots=True)
class Knock:
    """Pings of the transport itself on every open connection, which no session hears."""

    copies: int


@dataclass(frozen=True, slots=True)
class Crumble:
    """So many fragments of one byte, of a message that never ends, on every open connection; nothing else is sent."""

    count: int


@dataclass(frozen=True, slots=True)
class Wait:
    """So many seconds in which nothing is done."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Close:
    """Every open connection ends, without a goodbye."""


Step = Open | Send | Begin | Knock | Crumble | Wait | Close


@dataclass(frozen=True, slots=True)
class Attack:
    """A named program. `metrics`: its connections go to the port of the metrics."""

    name: str
    steps: tuple[Step, ...]
    metrics: bool = False


def drawn(seed: int) -> Attack:
    """An attack of the grammar: any frames, in any number, by any number of sessions."""
    rng = random.Random(seed)
    steps: list[Step] = [_open(rng)]
    for _ in range(rng.randrange(1, 6)):
        draw = rng.random()
        if draw < 0.7:
            kind = rng.choice(sorted(KINDS))
            most = _LARGE_BURST_MAX if kind in LARGE else _BURST_MAX
            steps.append(Send(kind, rng.choice((1, 1, rng.randrange(1, most + 1)))))
        elif draw < 0.78:
            steps.append(Wait(rng.choice((0.01, 0.1, 1.0))))
        elif draw < 0.82:
            steps.append(Begin(rng.randrange(1, FRAME_BYTES_MAX)))
        elif draw < 0.84:
            steps.append(Knock(rng.randrange(1, _BURST_MAX)))
        elif draw < 0.9:
            steps.append(_open(rng))
        else:
            steps += [Close(), _open(rng)]
    if rng.random() < 0.7:
        steps.append(Close())
    return Attack(f"drawn {seed}", tuple(steps))


def _open(rng: random.Random) -> Open:
    count = rng.choice((1, 1, 2, 8, rng.randrange(1, 64)))
    return Open(count, greeted=rng.random() < 0.85, follow=rng.random() < 0.4, reading=rng.random() < 0.8)
