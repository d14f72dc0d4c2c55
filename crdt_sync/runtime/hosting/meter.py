"""What an engine and its links count, for whoever wants to show it."""

from dataclasses import dataclass, field
from typing import Protocol


class Observer(Protocol):
    """Takes one measurement after the other; a Prometheus histogram is one."""

    def observe(self, amount: float) -> None:
        """Take one: seconds."""


class Meter(Protocol):
    """Plain numbers, which the links add to, and what takes durations."""

    frames_received: int
    frames_sent: int
    bytes_received: int
    bytes_sent: int

    @property
    def commit_seconds(self) -> Observer:
        """Time to make one group of updates durable."""

    @property
    def integration_seconds(self) -> Observer:
        """Time to integrate one batch in the worker."""

    @property
    def acknowledge_seconds(self) -> Observer:
        """Time from a push to its acknowledgement."""


class Unobserved:
    """An observer that keeps nothing."""

    def observe(self, amount: float) -> None:
        """See `Observer`."""


@dataclass(slots=True)
class Counts:
    """The meter of an engine that nobody watches: frames and bytes only."""

    frames_received: int = 0
    frames_sent: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0
    commit_seconds: Unobserved = field(default_factory=Unobserved)
    integration_seconds: Unobserved = field(default_factory=Unobserved)
    acknowledge_seconds: Unobserved = field(default_factory=Unobserved)
