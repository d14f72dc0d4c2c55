"""Metrics, probes and logs, as an operator's tools read them."""

import asyncio
import io
import json
import logging
import signal
from collections.abc import Awaitable, Callable, Iterator

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from crdt_relay import side_door
from crdt_relay.observability import Metrics, Readings, configure_logging
from crdt_relay.side_door import SideDoor, application
from crdt_sync.errors import InvalidSettings

from .devices import PATIENCE_S

Get = Callable[[str], Awaitable[tuple[int, str]]]


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def with_server(
    metrics: Metrics, unready: Callable[[], str | None], scenario: Callable[[Get], Awaitable[None]]
) -> None:
    async def tried() -> str | None:
        return unready()

    async def run() -> None:
        server = await SideDoor.start("127.0.0.1", 0, application(metrics, tried))

        async def get(path: str) -> tuple[int, str]:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n".encode())
            head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
            writer.close()
            return int(head.split()[1]), body

        try:
            await scenario(get)
        finally:
            await server.stop()

    asyncio.run(run())


async def ready() -> None:
    """No reason."""


def samples(text: str) -> dict[str, float]:
    """`name{label=value}` of each sample, as a Prometheus server would parse it."""
    return {
        sample.name + ("{" + ",".join(sample.labels.values()) + "}" if sample.labels else ""): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_scrape_shows_what_was_counted_and_what_is_read_at_that_moment() -> None:
    metrics = Metrics()
    space = metrics.of("default")
    readings = [Readings(sessions=2, records=7, feed_head=9, store_bytes=4096, updates={"accepted": 5, "gap": 1})]
    space.read_with(lambda: readings[-1])
    space.frames_received += 3
    space.bytes_sent += 100
    space.commit_seconds.observe(0.003)

    async def scenario(get: Get) -> None:
        status, text = await get("/metrics")
        found = samples(text)
        assert status == 200
        assert found["crdt_relay_sessions{default}"] == 2
        assert found["crdt_relay_records{default}"] == 7
        assert found["crdt_relay_feed_head{default}"] == 9
        assert found["crdt_relay_store_bytes{default}"] == 4096
        assert found["crdt_relay_updates_total{accepted,default}"] == 5
        assert found["crdt_relay_updates_total{gap,default}"] == 1
        assert found["crdt_relay_frames_total{received,default}"] == 3
        assert found["crdt_relay_bytes_total{sent,default}"] == 100
        assert found["crdt_relay_commit_seconds_bucket{0.002,default}"] == 0
        assert found["crdt_relay_commit_seconds_bucket{0.004,default}"] == 1
        assert found["crdt_relay_acknowledge_seconds_count{default}"] == 0
        readings.append(Readings(sessions=0, worker_deaths=1, poisoned=1, unloadable=1, unconfined=2))
        found = samples((await get("/metrics"))[1])
        assert found["crdt_relay_sessions{default}"] == 0
        assert found["crdt_relay_worker_deaths_total{default}"] == 1
        assert found["crdt_relay_poisoned_updates_total{default}"] == 1
        assert found["crdt_relay_unloadable_records_total{default}"] == 1
        assert found["crdt_relay_worker_limits_missing{default}"] == 2

    with_server(metrics, lambda: None, scenario)


def test_health_is_independent_of_readiness() -> None:
    reason: list[str | None] = ["the disk is full"]

    async def scenario(get: Get) -> None:
        assert await get("/healthz") == (200, '{"status":"ok"}')
        assert await get("/readyz") == (503, '{"status":"not ready","reason":"the disk is full"}')
        reason[0] = None
        assert await get("/readyz") == (200, '{"status":"ready"}')
        assert (await get("/elsewhere"))[0] == 404

    with_server(Metrics(), lambda: reason[0], scenario)


def test_connections_that_ask_for_nothing_keep_nobody_from_asking() -> None:
    """Those that said nothing, half a request, or a whole one once."""
    said = (b"", b"GET /metrics HTTP/1.1\r\nHost: ", b"GET /healthz HTTP/1.1\r\nHost: relay\r\n\r\n")

    async def run() -> None:
        server = await SideDoor.start("127.0.0.1", 0, application(Metrics(), ready))
        idle = []
        for number in range(100):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(said[number % len(said)])
            idle.append((reader, writer))
        for path in ("/healthz", "/readyz", "/metrics"):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n".encode())
            assert (await reader.readline()).split()[1] == b"200"
            writer.close()
        assert not await idle[0][0].read(), "the oldest has given way"
        for _, writer in idle:
            writer.close()
        await server.stop()

    asyncio.run(run())


def test_a_connection_that_asks_for_nothing_or_too_slowly_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_door, "_REQUEST_S", 0.05)

    async def run() -> None:
        server = await SideDoor.start("127.0.0.1", 0, application(Metrics(), ready))
        once = b"GET /healthz HTTP/1.1\r\nHost: relay\r\n\r\n"
        for said in (b"", b"GET /metrics HTTP/1.1\r\nHost: ", once, once + b"GET /healthz HTTP/1.1\r\nHo"):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(said)
            try:
                async with asyncio.timeout(PATIENCE_S):
                    answer = await reader.read()
            except ConnectionError:
                answer = b""
            assert answer.startswith(b"HTTP/1.1 200" if once in said else b"")
            writer.close()
        await server.stop()

    asyncio.run(run())


def test_signals_stay_with_the_relay() -> None:
    async def run() -> None:
        expected = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
        server = await SideDoor.start("127.0.0.1", 0, application(Metrics(), ready))
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
        await reader.read()
        writer.close()
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == expected
        await server.stop()

    asyncio.run(run())


def test_a_taken_port_is_an_error_with_a_next_step() -> None:
    async def run() -> None:
        first = await SideDoor.start("127.0.0.1", 0, application(Metrics(), ready))
        reader, writer = await asyncio.open_connection("127.0.0.1", first.port)
        with pytest.raises(InvalidSettings, match=f"{first.port}.*in use") as refusal:
            await SideDoor.start("127.0.0.1", first.port, application(Metrics(), ready))
        assert "metrics_port" in refusal.value.hint
        writer.close()
        del reader
        await first.stop()

    asyncio.run(run())


def test_json_logs_are_one_object_a_line_with_level_time_and_fields() -> None:
    stream = io.StringIO()
    configure_logging("json", "info", stream)
    structlog.get_logger("relay").info("session_opened", session=7, agent="x\ny")
    structlog.get_logger("relay").debug("not_shown")
    logging.getLogger("uvicorn.error").warning("from a library")
    ours, library = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert (ours["event"], ours["level"], ours["session"], ours["agent"]) == ("session_opened", "info", 7, "x\ny")
    assert ours["timestamp"].endswith("Z")
    assert (library["event"], library["level"]) == ("from a library", "warning")


def test_console_logs_are_one_line_an_event_whatever_strangers_send() -> None:
    stream = io.StringIO()
    configure_logging("console", "debug", stream)
    structlog.get_logger("relay").debug("session_opened", agent="Müller\n2026-01-01 [info] forged \x1b[31m")
    logging.getLogger("websockets.server").error("failed:\n%s", "Müller\x1b[31m")
    ours, library = stream.getvalue().splitlines()
    assert "Müller\\n2026" in ours
    assert "failed:\\nMüller\\x1b" in library
    assert "\x1b" not in ours + library


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_is_logged_without_secrets_and_local_variables(form: str) -> None:
    stream = io.StringIO()
    local = "".join(["customers", "-", "name"])
    configure_logging("json" if form == "json" else "console", "info", stream)
    try:
        raise ValueError("wrong" if local else "")
    except ValueError:
        structlog.get_logger("relay").exception("task_failed", token=local)
    assert "**********" in stream.getvalue()
    assert local not in stream.getvalue()
    assert "ValueError" in stream.getvalue()
    assert "wrong" in stream.getvalue()
