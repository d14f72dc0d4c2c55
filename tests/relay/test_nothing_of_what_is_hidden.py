"""Of records that a user may not hold nothing is found on the user's device: not on the wire, not on its disk."""

import asyncio
import json
import secrets
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from crdt_sync import Address, Replica, create_bundle
from crdt_sync.records import parse_schema
from crdt_sync.runtime.client import sync_once
from crdt_sync.runtime.conversation import Conversation
from tests.policies import keeps_schemas
from tests.relay.devices import PATIENCE_S
from tests.relay.people import join, talk

SCHEMA = parse_schema(
    'collection = "people"\nversion = 1\n[fields.name]\n[fields.notes]\nkind = "text"\n'
    "[fields.region]\nfilter = true\n",
    "a test",
)

POLICY = """
[[role.lead.grant]]
collection = "people"
read = ["*"]
write = ["*"]
operations = ["create", "edit"]

[[role.sales.grant]]
collection = "people"
where = "region in user.regions"
read = ["*"]
write = ["*"]
operations = ["create", "edit", "bundle"]

[user.chen]
role = "lead"

[user.anna]
role = "sales"
attributes = { regions = ["North"] }

[user.ben]
role = "sales"
attributes = { regions = ["South"] }
""" + keeps_schemas("lead")


class Tap:
    """Passes on what a device and its relay say, and keeps what the relay says."""

    def __init__(self, port: int) -> None:
        self._relay = port
        self.said = bytearray()
        self.port = 0

    async def start(self) -> asyncio.Server:
        server = await asyncio.start_server(self._met, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._relay)
        with suppress(ConnectionError):
            await asyncio.gather(self._pass(reader, back, None), self._pass(there, writer, self.said))

    @staticmethod
    async def _pass(source: asyncio.StreamReader, sink: asyncio.StreamWriter, kept: bytearray | None) -> None:
        while data := await source.read(1 << 16):
            if kept is not None:
                kept += data
            sink.write(data)
            await sink.drain()
        sink.close()


def relay_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "crdt_relay", *arguments]


@contextmanager
def serving(data: Path, log: Path) -> Iterator[dict[str, Any]]:
    """A relay in a process of its own; what it says of itself."""
    with log.open("wb") as errors:
        command = relay_command("serve", "--data", str(data), "--port", "0", "--metrics-port", "0", "--json")
        relay = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
        assert relay.stdout is not None
        try:
            yield json.loads(relay.stdout.readline())
        finally:
            relay.send_signal(signal.SIGTERM)
            relay.wait(PATIENCE_S)
            relay.stdout.close()


def device(path: Path, name: str) -> Replica:
    return Replica.create(path / name, name, [SCHEMA], share=False)


def written(replica: Replica, region: str, mark: str, record: str = "people") -> str:
    with replica.edit(record) as person:
        person.update({"region": region, "name": f"name {mark}", "notes": f"note {mark}"})
    return str(person.record)


def files_with(folder: Path, marks: list[str]) -> list[tuple[str, str]]:
    return [
        (str(path.relative_to(folder)), mark)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        for mark in marks
        if mark.encode() in path.read_bytes()
    ]


def test_nothing_of_hidden_records_is_found_on_the_wire_on_the_disk_in_bundles_logs_and_metrics(tmp_path: Path) -> None:
    data, log, policy = tmp_path / "relay", tmp_path / "relay.log", tmp_path / "policy.toml"
    policy.write_text(POLICY, "utf-8")
    made = [secrets.token_hex(8) for _ in range(5)]
    hidden, moved, later, refused, shown = made

    async def scenario(url: str, metrics: str) -> None:
        port = int(url.rpartition(":")[2])
        taps = {name: Tap(port) for name in ("anna", "ben", "chen")}
        servers = [await tap.start() for tap in taps.values()]
        devices = {name: device(tmp_path / "devices", name) for name in taps}
        urls = {name: f"ws://127.0.0.1:{tap.port}" for name, tap in taps.items()}
        for name, replica in devices.items():
            done = subprocess.run(
                relay_command("invite", name, "--data", str(data), "--address", urls[name], "--json"),
                capture_output=True,
                check=True,
            )
            await join(replica, json.loads(done.stdout)["link"])
        anna, ben, chen = devices["anna"], devices["ben"], devices["chen"]
        chen.add_schema(SCHEMA)
        secret = written(chen, "South", hidden)
        to_and_fro = written(chen, "North", shown)
        for name in ("chen", "anna", "ben"):
            await sync_once(devices[name], Address(urls[name]))
        assert [str(each["name"]) for each in anna.list()] == [f"name {shown}"]
        written(chen, "South", moved, to_and_fro)
        written(ben, "South", later, secret)
        for name in ("chen", "ben", "anna", "chen"):
            await sync_once(devices[name], Address(urls[name]))
        assert list(anna.list()) == []
        assert anna.status().unsent == ()
        written(chen, "South", refused)  # while anna's session is open, and asks for a receipt and an audit

        async def asks(talking: Conversation) -> None:
            await talking.settled()
            await sync_once(chen, Address(urls["chen"]))
            assert (await talking.receipt()).count == 1  # the schema
            await talking.audit(content=True)

        await talk(anna, urls["anna"], asks)
        await sync_once(ben, Address(urls["ben"]))
        created = create_bundle(anna, tmp_path / "anna.bundle", to="user:chen")
        assert created.end.updates == created.reserved  # the schema
        text = urllib.request.urlopen(f"{metrics}/metrics", timeout=PATIENCE_S).read()
        for server in servers:
            server.close()
        for replica in devices.values():
            replica.close()

        secrets_of_anna = [hidden, moved, later, refused]
        assert [mark for mark in secrets_of_anna if mark.encode() in taps["anna"].said] == []
        assert files_with(tmp_path / "devices" / "anna", secrets_of_anna) == []
        bundle = (tmp_path / "anna.bundle").read_bytes()
        assert [mark for mark in made if mark.encode() in bundle + text + log.read_bytes()] == []
        # The same search finds what somebody may hold.
        assert [mark for mark in (hidden, moved, refused) if mark.encode() not in taps["ben"].said] == []
        assert {mark for _, mark in files_with(tmp_path / "devices" / "ben", secrets_of_anna)} == set(secrets_of_anna)

    subprocess.run(relay_command("policy", "apply", str(policy), "--data", str(data)), capture_output=True, check=True)
    with serving(data, log) as relay:
        asyncio.run(scenario(relay["url"], relay["metrics_url"]))
