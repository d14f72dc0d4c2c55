"""A real nginx between devices and the relay: as it comes, with what it can be set to, and as the manual says."""

import asyncio
import re
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from crdt_sync import Address, Replica, bundled_schema, keep_syncing_forever, sync_once
from crdt_sync.runtime.transports import ways
from tests.relay.devices import eventually, make_certificate, running

TOKEN = "a-token-that-nobody-guesses"
NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
MANUAL = Path(__file__).resolve().parents[2] / "docs" / "operating.md"
pytestmark = pytest.mark.skipif(NGINX is None, reason="needs the program nginx")

PLAIN = "server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{relay}; {more} }} }}"


@asynccontextmanager
async def nginx(folder: Path, servers: str) -> AsyncIterator[None]:
    folder.mkdir()
    paths = "".join(
        f"{name}_temp_path {folder / name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; master_process off; pid {folder / 'pid'}; error_log {folder / 'errors'};\n"
        f"events {{ worker_connections 64; }}\nhttp {{ access_log off;\n{paths}{servers}\n}}\n"
    )
    assert NGINX is not None
    process = subprocess.Popen([NGINX, "-e", str(folder / "errors"), "-p", str(folder), "-c", str(config)])
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


async def listens(port: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            await writer.wait_closed()
            return
    pytest.fail("nginx did not begin")


async def exchange(folder: Path, address: Address) -> None:
    """Two devices: one brings much, both stay, and edits go to and fro."""
    schema = bundled_schema("customers")
    with (
        Replica.create(folder / "ann", "ann", [schema]) as ann,
        Replica.create(folder / "bob", "bob", [schema]) as bob,
    ):
        with ann.edit("customers") as customer:
            customer["name"] = "Muster AG"
            customer.text("notes").insert(0, "0123456789" * 50_000)
        for device in (ann, bob):
            await sync_once(device, address)
        assert {len(view["notes"]) for view in bob.list() if "notes" in view} == {500_000}
        staying = [asyncio.create_task(keep_syncing_forever(each, address)) for each in (ann, bob)]
        for here, there in ((ann, bob), (bob, ann)):
            with here.edit("customers") as customer:
                customer["name"] = here.name
            await eventually(
                f"{here.name}'s edit is there",
                lambda here=here, there=there: here.name in {view["name"] for view in there.list()},
            )
        for task in staying:
            task.cancel()
        await asyncio.gather(*staying, return_exceptions=True)


@pytest.mark.parametrize(
    ("more", "polls"),
    [("", False), ("proxy_ignore_headers X-Accel-Buffering;", True), ("proxy_http_version 1.1;", False)],
    ids=["as it comes", "buffers in any case", "HTTP/1.1"],
)
def test_http_goes_through_nginx(tmp_path: Path, more: str, polls: bool) -> None:
    async def story() -> None:
        async with asyncio.timeout(60), running(tmp_path / "relay", token=TOKEN) as relay:
            port = free_port()
            async with nginx(tmp_path / "nginx", PLAIN.format(port=port, relay=relay.port, more=more)):
                await listens(port)
                address = Address(f"ws://127.0.0.1:{port}", TOKEN, memory=tmp_path / "transport.json")
                await exchange(tmp_path, address)
                way = ways.known(address)
                assert way is not None
                assert (way.transport, way.polls) == ("http", polls)

    asyncio.run(story())


def test_the_manual_lets_websockets_through(tmp_path: Path) -> None:
    """The example of the manual, with our port and certificate."""
    certificate, key = make_certificate(tmp_path)
    (example,) = re.findall(r"```nginx\n(.*?)```", MANUAL.read_text("utf-8"), re.DOTALL)

    async def story() -> None:
        async with asyncio.timeout(60), running(tmp_path / "relay", token=TOKEN) as relay:
            port = free_port()
            servers = (
                example.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
                .replace("/etc/nginx/fullchain.pem", str(certificate))
                .replace("/etc/nginx/privkey.pem", str(key))
                .replace("127.0.0.1:8765", f"127.0.0.1:{relay.port}")
            )
            async with nginx(tmp_path / "nginx", servers):
                await listens(port)
                memory = tmp_path / "transport.json"
                for transport, found in (("auto", "websocket"), ("http", None)):
                    folder = tmp_path / transport
                    address = Address(f"wss://localhost:{port}", TOKEN, certificate, transport=transport, memory=memory)
                    await exchange(folder, address)
                    way = ways.known(address)
                    if found is not None:
                        assert way is not None
                        assert way.transport == found

    asyncio.run(story())
