"""What an operator sees: metrics and structured logs.

Metric names and labels are an interface: dashboards and alerts rest on them. Counters that others keep as plain
numbers are read when somebody looks (`Metrics.read_with`), so the hot path pays nothing for them.
"""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TextIO

import structlog
from prometheus_client import CollectorRegistry, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from structlog.typing import EventDict, Processor, WrappedLogger

_PREFIX: Final = "crdt_relay_"
# A commit takes 0.2 to 8 ms on a healthy disk, an integration up to its budget, an acknowledgement both.
_SECONDS: Final = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0, 2.0, 5.0)
_SECRETS: Final = frozenset({"token", "authorization", "tls_key", "password"})


@dataclass(frozen=True, slots=True)
class Readings:
    """Numbers that are read at the moment of a scrape."""

    sessions: int = 0
    records: int = 0
    feed_head: int = 0
    store_bytes: int = 0
    worker_deaths: int = 0
    poisoned: int = 0
    unloadable: int = 0
    unconfined: int = 0  # limits that the worker lacks on this machine
    updates: Mapping[str, int] = field(default_factory=dict)  # by verdict: accepted or the refusal's code


class Metrics(Collector):
    """The relay's metrics, in a registry of their own.

    `frames_received`, `frames_sent`, `bytes_received` and `bytes_sent` are plain numbers: add to them.
    `commit_seconds`, `integration_seconds` and `acknowledge_seconds` are histograms: `observe` seconds.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self.frames_received = 0
        self.frames_sent = 0
        self.bytes_received = 0
        self.bytes_sent = 0
        self.commit_seconds = self._histogram("commit", "Time to make one group of updates durable.")
        self.integration_seconds = self._histogram("integration", "Time to integrate one batch in the worker.")
        self.acknowledge_seconds = self._histogram("acknowledge", "Time from a push to its acknowledgement.")
        self._read: Callable[[], Readings] = Readings
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def read_with(self, read: Callable[[], Readings]) -> None:
        """Have `read` called at every scrape."""
        self._read = read

    def describe(self) -> Iterator[Metric]:
        """Nothing: names are known only when they are collected."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The metrics that are read now."""
        readings = self._read()
        yield _gauge("sessions", "Devices connected.", readings.sessions)
        yield _gauge("records", "Records held.", readings.records)
        yield _gauge("feed_head", "Newest position of the feed.", readings.feed_head)
        yield _gauge("store_bytes", "Size of the data on disk.", readings.store_bytes)
        yield _counter("worker_deaths", "Integration workers that died or were killed.", readings.worker_deaths)
        yield _counter("poisoned_updates", "Updates refused because they killed workers.", readings.poisoned)
        yield _gauge("worker_limits_missing", "Limits that the worker cannot set itself.", readings.unconfined)
        yield _counter("unloadable_records", "Stored records that no worker could load.", readings.unloadable)
        yield _counters("updates", "Updates by verdict.", "code", readings.updates)
        frames = {"received": self.frames_received, "sent": self.frames_sent}
        yield _counters("frames", "Frames from and to devices.", "direction", frames)
        size = {"received": self.bytes_received, "sent": self.bytes_sent}
        yield _counters("bytes", "Bytes of frames from and to devices.", "direction", size)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(f"{_PREFIX}{name}_seconds", text, registry=self.registry, buckets=_SECONDS)


def configure_logging(
    form: Literal["console", "json"] = "console", level: str = "info", stream: TextIO | None = None
) -> None:
    """Send our log lines, and those of libraries, to `stream` (standard error), one event a line.

    Text that came from elsewhere is escaped, so that nobody writes log lines or terminal codes for us; values
    under names such as `token` are replaced.
    """
    stream = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _hide_secrets,
    ]
    # Tracebacks show no local variables: those hold customers' data and secrets.
    traceback = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    last: list[Processor] = (
        [structlog.processors.ExceptionRenderer(traceback), structlog.processors.JSONRenderer(sort_keys=True)]
        if form == "json"
        else [
            _escape,
            structlog.dev.ConsoleRenderer(
                colors=stream.isatty(), sort_keys=True, exception_formatter=structlog.dev.plain_traceback
            ),
        ]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(_PREFIX + name, text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(_PREFIX + name, text, value=value)


def _counters(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(_PREFIX + name, text, labels=[label])
    for key in sorted(values):
        family.add_metric([key], values[key])
    return family


def _hide_secrets(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    for name in _SECRETS.intersection(event):
        event[name] = "**********"
    return event


def _escape(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Escape the event's own text; the console renderer does so with the other values."""
    text = str(event["event"])
    if not text.isprintable():
        event["event"] = "".join(
            character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
        )
    return event
