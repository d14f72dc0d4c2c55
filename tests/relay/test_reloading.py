"""SIGHUP: token, certificate and logging are taken over, nobody is disconnected, and wrong settings change nothing."""

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from crdt_relay.cli import main
from crdt_sync.protocol.messages import VerdictCode

from .devices import PATIENCE_S, Device, make_certificate, update

OLD, NEW = "the-old-token-of-all", "the-new-token-of-all"


class Served:
    """A relay in a process of its own, and the events that it logs. `starting` is given the process at once."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", starting: Callable[["subprocess.Popen[bytes]"], None]
    ) -> None:
        self.process = process
        starting(process)
        assert process.stdout is not None
        self.url = json.loads(process.stdout.readline())["url"]

    def hup(self, event: str) -> dict[str, Any]:
        """Send SIGHUP, and return the line in which it says what came of it."""
        self.process.send_signal(signal.SIGHUP)
        return self.logged(event)

    def logged(self, event: str) -> dict[str, Any]:
        """Wait for the next line of that kind."""
        assert self.process.stderr is not None
        while True:
            line = json.loads(self.process.stderr.readline())
            if line["event"] == event:
                found: dict[str, Any] = line
                return found


@contextmanager
def served(
    data: Path, *options: object, starting: Callable[["subprocess.Popen[bytes]"], None] = lambda _: None
) -> Iterator[Served]:
    process = subprocess.Popen(
        [sys.executable, "-m", "crdt_relay", "serve", "--json", "--port", "0", "--no-metrics", "--log-format", "json",
         "--data", str(data), *(str(option) for option in options)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        yield Served(process, starting)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE_S)


def test_a_hangup_during_the_start_has_the_settings_read_once_more(tmp_path: Path) -> None:
    token, file = tmp_path / "token", tmp_path / "file"
    os.mkfifo(token, 0o600)
    file.write_text(OLD)
    file.chmod(0o600)

    def hup(process: "subprocess.Popen[bytes]") -> None:
        with token.open("w") as pipe:  # which waits until it is being read
            file.rename(token)
            process.send_signal(signal.SIGHUP)
            pipe.write(OLD)

    with served(tmp_path / "data", "--token-file", token, starting=hup) as relay:
        assert relay.logged("reloaded")["tokens"] == 1


async def refused(url: str, token: str) -> None:
    device = await Device.open(url)
    await device.hello(token=token)
    assert (await device.bye()).code == "unauthorized"


def test_both_tokens_are_valid_during_a_rotation_and_who_is_connected_stays(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(OLD + "\n")
    file.chmod(0o600)

    async def scenario(relay: Served) -> None:
        watching = await Device.join(relay.url, token=OLD)
        await refused(relay.url, NEW)
        file.write_text(f"{NEW}\n{OLD}\n")
        assert relay.hup("reloaded")["tokens"] == 2
        for token in (OLD, NEW):
            async with await Device.join(relay.url, token=token) as device:
                assert await device.store((f"customers/{token}", update(token))) == [VerdictCode.ACCEPTED]
        await refused(relay.url, "neither-of-the-two-tokens")
        file.write_text(NEW + "\n")
        assert relay.hup("reloaded")["tokens"] == 1
        await refused(relay.url, OLD)
        assert await watching.store(("customers/w", update("w"))) == [VerdictCode.ACCEPTED]
        await watching.close()

    with served(tmp_path / "data", "--token-file", file) as relay:
        asyncio.run(scenario(relay))


def test_wrong_settings_change_nothing_and_what_needs_a_start_is_named(tmp_path: Path) -> None:
    config = tmp_path / "relay.toml"
    config.write_text(f'token = "{OLD}"\n')

    async def scenario(relay: Served) -> None:
        config.write_text('token = "short"\n')
        assert "16" in relay.hup("not_reloaded")["error"]
        (await Device.join(relay.url, token=OLD)).websocket.transport.abort()
        config.write_text(f'token = "{NEW}"\nsessions_max = 5\nping_interval = 3\n')
        assert relay.hup("reloaded_in_part")["need_a_start"] == ["ping_interval", "sessions_max"]
        (await Device.join(relay.url, token=NEW)).websocket.transport.abort()

    with served(tmp_path / "data", "--config", config) as relay:
        asyncio.run(scenario(relay))


def test_a_token_that_is_no_longer_set_is_valid_until_the_next_start_and_counted(tmp_path: Path) -> None:
    config = tmp_path / "relay.toml"
    config.write_text(f'token = "{OLD}"\n')

    async def scenario(relay: Served) -> None:
        config.write_text("")
        late = relay.hup("reloaded_in_part")
        assert late["need_a_start"] == ["token"]
        assert "until the relay is started again" in late["hint"]
        assert relay.logged("reloaded")["tokens"] == 1
        await refused(relay.url, NEW)
        (await Device.join(relay.url, token=OLD)).websocket.transport.abort()

    with served(tmp_path / "data", "--config", config) as relay:
        asyncio.run(scenario(relay))


def test_a_renewed_certificate_is_shown_to_whoever_connects(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    certificate, key = make_certificate(tmp_path / "one")
    other, other_key = make_certificate(tmp_path / "two")

    def trusting(file: Path) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(file))

    async def scenario(relay: Served) -> None:
        url = relay.url.replace("127.0.0.1", "localhost")
        before = trusting(certificate)
        watching = await Device.join(url, ssl=before)
        renewed = trusting(other)
        certificate.write_bytes(other.read_bytes())
        assert relay.hup("not_reloaded")["hint"], "half of a pair"
        key.write_bytes(other_key.read_bytes())
        relay.hup("reloaded")
        async with await Device.join(url, ssl=renewed) as device:
            assert await device.store(("customers/a", update(1))) == [VerdictCode.ACCEPTED]
        with pytest.raises(ssl.SSLError):
            await Device.open(url, ssl=before)
        assert await watching.store(("customers/b", update(2))) == [VerdictCode.ACCEPTED]
        await watching.close()

    with served(tmp_path / "data", "--tls-certificate", certificate, "--tls-key", key) as relay:
        asyncio.run(scenario(relay))


def test_a_token_is_rotated_in_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "token"
    assert main(["token", str(file), "--rotate"]) == 2
    file.write_text(OLD + "\n")
    assert main(["token", str(file), "--rotate"]) == 0
    first, second = file.read_text().split()
    assert second == OLD
    assert first not in capsys.readouterr().out
    before = file.read_bytes()
    assert main(["token", str(file), "--rotate"]) == 2, "devices may still have the old one"
    assert file.read_bytes() == before
    assert "--drop-old" in capsys.readouterr().err
    assert main(["token", str(file), "--rotate", "--drop-old"]) == 0
    assert file.read_text().split()[1] == first
    assert main(["token", "--rotate"]) == 2
    assert main(["token", str(file), "--drop-old"]) == 2
    assert os.stat(file).st_mode & 0o077 == 0


def test_three_tokens_are_one_too_many(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "token"
    file.write_text(f"{NEW}\n{OLD}\n{OLD}x\n")
    assert main(["serve", "--token-file", str(file), "--show-config"]) == 2
    assert "3 lines" in capsys.readouterr().err
