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

from crdt_sync.runtime.hosting.meter import Observer

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
    ready: bool = True
    store_bytes_max: int = 0  # 0: no bound
    quotas_met: int = 0  # owners that met a limit today


class SpaceMetrics:
    """What one space counts; see `Meter`. Add to the plain numbers, and `observe` seconds."""

    def __init__(self, commit: Observer, integration: Observer, acknowledge: Observer) -> None:
        self.frames_received = 0
        self.frames_sent = 0
        self.bytes_received = 0
        self.bytes_sent = 0
        self.commit_seconds = commit
        self.integration_seconds = integration
        self.acknowledge_seconds = acknowledge
        self.read: Callable[[], Readings] = Readings

    def read_with(self, read: Callable[[], Readings]) -> None:
        """Have `read` called at every scrape."""
        self.read = read


class Metrics(Collector):
    """The relay's metrics, in a registry of their own; each tells of which space it is, but those of the process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self._histograms = (
            self._histogram("commit", "Time to make one group of updates durable."),
            self._histogram("integration", "Time to integrate one batch in the worker."),
            self._histogram("acknowledge", "Time from a push to its acknowledgement."),
        )
        self._spaces: dict[str, SpaceMetrics] = {}
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def of(self, space: str) -> SpaceMetrics:
        """Those of a space, which are shown from now on."""
        if space not in self._spaces:
            commit, integration, acknowledge = (each.labels(space) for each in self._histograms)
            self._spaces[space] = SpaceMetrics(commit, integration, acknowledge)
        return self._spaces[space]

    def forget(self, space: str) -> None:
        """Show those of a space no more."""
        if self._spaces.pop(space, None) is not None:
            for each in self._histograms:
                each.remove(space)

    def describe(self) -> Iterator[Metric]:
        """Nothing: names are known only when they are collected."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The metrics that are read now."""
        read = {name: metrics.read() for name, metrics in sorted(self._spaces.items())}
        gauges: dict[str, tuple[str, Callable[[Readings], float]]] = {
            "space_ready": ("Whether the space can serve: 1 or 0.", lambda each: each.ready),
            "sessions": ("Devices connected.", lambda each: each.sessions),
            "records": ("Records held.", lambda each: each.records),
            "feed_head": ("Newest position of the feed.", lambda each: each.feed_head),
            "store_bytes": ("Size of the data on disk.", lambda each: each.store_bytes),
            "store_bytes_max": ("Size beyond which nothing is stored; 0: none.", lambda each: each.store_bytes_max),
            "quotas_met": ("Devices, users and spaces that met a quota or rate today.", lambda each: each.quotas_met),
            "worker_limits_missing": ("Limits that the worker cannot set itself.", lambda each: each.unconfined),
        }
        for name, (text, value) in gauges.items():
            yield _filled(GaugeMetricFamily(_PREFIX + name, text, labels=["space"]), read, value)
        counters: dict[str, tuple[str, Callable[[Readings], float]]] = {
            "worker_deaths": ("Integration workers that died or were killed.", lambda each: each.worker_deaths),
            "poisoned_updates": ("Updates refused because they killed workers.", lambda each: each.poisoned),
            "unloadable_records": ("Stored records that no worker could load.", lambda each: each.unloadable),
        }
        for name, (text, value) in counters.items():
            yield _filled(CounterMetricFamily(_PREFIX + name, text, labels=["space"]), read, value)
        metrics = self._spaces
        updates = {name: each.updates for name, each in read.items()}
        yield _counters("updates", "Updates by verdict.", "code", updates)
        frames = {name: {"received": each.frames_received, "sent": each.frames_sent} for name, each in metrics.items()}
        yield _counters("frames", "Frames from and to devices.", "direction", frames)
        size = {name: {"received": each.bytes_received, "sent": each.bytes_sent} for name, each in metrics.items()}
        yield _counters("bytes", "Bytes of frames from and to devices.", "direction", size)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(f"{_PREFIX}{name}_seconds", text, ["space"], registry=self.registry, buckets=_SECONDS)


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


def _filled(
    family: GaugeMetricFamily | CounterMetricFamily, read: Mapping[str, Readings], value: Callable[[Readings], float]
) -> Metric:
    for space, readings in read.items():
        family.add_metric([space], value(readings))
    return family


def _counters(name: str, text: str, label: str, values: Mapping[str, Mapping[str, int]]) -> Metric:
    family = CounterMetricFamily(_PREFIX + name, text, labels=["space", label])
    for space in sorted(values):
        for key in sorted(values[space]):
            family.add_metric([space, key], values[space][key])
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
