"""Identities over TLS: proofs are bound to the certificate that the device sees, whoever ends the encryption."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from crdt_relay.server import Relay
from crdt_sync import Address
from crdt_sync.errors import IdentityRefused, RemoteError
from crdt_sync.runtime import certificate, sync_once
from tests.relay.devices import eventually, make_certificate, running
from tests.relay.people import device, join, names, sync, with_people

pytestmark = pytest.mark.usefixtures("local_workers")

TRANSPORTS = ["websocket", "http"]


@asynccontextmanager
async def ending_tls(relay: Relay, folder: Path) -> AsyncIterator[str]:
    """Something in front of a relay that has a certificate of its own; its address."""
    folder.mkdir(exist_ok=True)
    made, key = folder / "certificate.pem", folder / "key.pem"
    if not made.exists():
        make_certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    inside = ssl.create_default_context()
    inside.check_hostname, inside.verify_mode = False, ssl.CERT_NONE
    tasks: set[asyncio.Task[None]] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        secure = inside if relay.settings.tls_certificate else None
        to_relay, from_device = await asyncio.open_connection("127.0.0.1", relay.port, ssl=secure)
        for pair in ((reader, from_device), (to_relay, writer)):
            tasks.add(asyncio.create_task(carry(*pair)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    try:
        yield f"wss://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def link(relay: Relay, user: str, address: str, path: Path) -> str:
    """An invite that names a certificate which no authority vouches for."""
    return str(relay.people.invite(user, address, certificate.fingerprint(path))["link"])


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_certificate_that_signs_itself_is_enough_and_may_change(tmp_path, transport) -> None:
    async def story() -> None:
        made, key = make_certificate(tmp_path)
        tls: dict[str, Any] = {"tls_certificate": made, "tls_key": key}
        with device(tmp_path / "anna", "anna") as anna:
            async with with_people(tmp_path / "relay", **tls) as relay:
                await join(anna, link(relay, "anna", relay.url, made), transport=transport)
                with anna.edit("customers") as customer:
                    customer["name"] = "Müller GmbH"
                await sync(anna, relay.url, transport=transport)
                assert relay.store.count() >= 1
            (tmp_path / "new").mkdir()
            made, key = make_certificate(tmp_path / "new")
            async with running(tmp_path / "relay", tls_certificate=made, tls_key=key) as relay:
                await sync(anna, relay.url, transport=transport)

    asyncio.run(story())


def test_without_a_named_certificate_an_authority_has_to_vouch(tmp_path) -> None:
    async def story() -> None:
        made, key = make_certificate(tmp_path)
        async with with_people(tmp_path / "relay", tls_certificate=made, tls_key=key) as relay:
            with (
                device(tmp_path / "anna", "anna") as anna,
                pytest.raises(RemoteError, match="CERTIFICATE_VERIFY_FAILED"),
            ):
                await join(anna, str(relay.people.invite("anna", relay.url, b"")["link"]))

    asyncio.run(story())


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_who_stands_between_gets_nothing(tmp_path, transport) -> None:
    async def story() -> None:
        made, key = make_certificate(tmp_path)
        async with with_people(tmp_path / "relay", tls_certificate=made, tls_key=key) as relay:
            with device(tmp_path / "anna", "anna") as anna:
                await join(anna, link(relay, "anna", relay.url, made))
                async with ending_tls(relay, tmp_path / "between") as between:
                    with pytest.raises(IdentityRefused) as error:
                        await sync(anna, between, transport=transport)
                    assert error.value.reason == "proof_invalid"
                    with device(tmp_path / "ben", "ben") as ben, pytest.raises(IdentityRefused):
                        await join(ben, link(relay, "ben", between, made), transport=transport)

    asyncio.run(story())


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_proxy_that_ends_tls_is_known_to_the_relay_by_its_certificate(tmp_path, transport) -> None:
    async def story() -> None:
        (tmp_path / "proxy").mkdir()
        made, _ = make_certificate(tmp_path / "proxy")
        async with (
            with_people(tmp_path / "relay", proxy_certificate=made) as relay,
            ending_tls(relay, tmp_path / "proxy") as proxy,
        ):
            with device(tmp_path / "anna", "anna") as anna, device(tmp_path / "ben", "ben") as ben:
                await join(anna, link(relay, "anna", proxy, made), transport=transport)
                await join(ben, link(relay, "ben", proxy, made), transport=transport)
                with anna.edit("customers") as customer:
                    customer["name"] = "Müller GmbH"
                await sync(anna, proxy, transport=transport)
                await sync(ben, proxy, transport=transport)
                assert names(ben) == ["Müller GmbH"]

    asyncio.run(story())


def test_a_relay_reads_the_new_certificate_of_its_proxy(tmp_path) -> None:
    async def story() -> None:
        for name in ("old", "new"):
            (tmp_path / name).mkdir()
            make_certificate(tmp_path / name)
        old, new = (tmp_path / name / "certificate.pem" for name in ("old", "new"))
        async with with_people(tmp_path / "relay", proxy_certificate=old) as relay:
            with device(tmp_path / "anna", "anna") as anna:
                async with ending_tls(relay, tmp_path / "old") as proxy:
                    await join(anna, link(relay, "anna", proxy, old))
                async with ending_tls(relay, tmp_path / "new") as proxy:
                    with pytest.raises(IdentityRefused):
                        await sync(anna, proxy)
                    settings = relay.settings.model_copy(update={"proxy_certificate": new})
                    assert relay.reload(settings) == []
                    await sync(anna, proxy)

    asyncio.run(story())


def test_a_channel_over_http_goes_on_with_the_certificate_that_was_proved_alone(tmp_path) -> None:
    """Whoever lets the first connection through, and answers the next ones itself, is spoken to by nobody."""

    async def story() -> None:
        made, key = make_certificate(tmp_path)
        async with with_people(tmp_path / "relay", tls_certificate=made, tls_key=key) as relay:
            with device(tmp_path / "anna", "anna") as anna:
                await join(anna, link(relay, "anna", relay.url, made))
                async with ending_tls(relay, tmp_path / "between") as between:
                    count = 0
                    tasks: set[asyncio.Task[None]] = set()

                    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                        with suppress(OSError):
                            while data := await reader.read(65536):
                                writer.write(data)
                        writer.close()

                    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                        nonlocal count
                        count += 1
                        port = relay.port if count == 1 else int(between.rpartition(":")[2])
                        to, back = await asyncio.open_connection("127.0.0.1", port)
                        tasks.add(asyncio.create_task(carry(reader, back)))
                        tasks.add(asyncio.create_task(carry(to, writer)))

                    server = await asyncio.start_server(connected, "127.0.0.1", 0)
                    port = server.sockets[0].getsockname()[1]
                    heard = relay.engine.metrics.frames_sent
                    address = Address(f"wss://127.0.0.1:{port}", transport="http")
                    syncing = asyncio.create_task(sync_once(anna, address))
                    await eventually("it was tried again and again", lambda: count > 5 or syncing.done())
                    syncing.cancel()
                    with pytest.raises((RemoteError, asyncio.CancelledError)):
                        await syncing
                    assert count > 1
                    assert relay.engine.metrics.frames_sent - heard <= 4
                    server.close()
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(story())
