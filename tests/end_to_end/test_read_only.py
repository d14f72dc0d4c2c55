"""A principal that may only read is served everything, and what it pushes is refused, kept by it and shown."""

import asyncio
import itertools

import pytest

import crdt_relay.door
from crdt_bench.minimal import host as minimal_host
from crdt_bench.minimal import line
from crdt_sync import Address, bundled_schema, sync, sync_once
from crdt_sync.protocol.messages import Hello
from crdt_sync.protocol.principal import Principal
from crdt_sync.runtime import listening

TOKEN = "a-token-of-the-space"
HOSTS = (crdt_relay.door, listening, minimal_host)


@pytest.fixture
def writer(device):
    return device("writer", bundled_schema("customers"))


@pytest.fixture
def reader(device, monkeypatch):
    made = device("reader", bundled_schema("customers"))

    def principal(hello: Hello) -> Principal:
        return Principal(hello.replica, grant="read" if hello.replica == made.id else "everything")

    for host in HOSTS:
        monkeypatch.setattr(host, "everybody", principal)
    return made


def add(replica, name):
    with replica.edit("customers") as customer:
        customer["name"] = name
    return customer.record


def check(reader, writer, theirs, own):
    assert reader.get(theirs)["name"] == "theirs"
    assert [view.record for view in writer.list()] == [theirs]
    standing = reader.record_status(own)
    assert (standing.state, "may read, and not write" in standing.reason) == ("refused", True)
    assert reader.get(own)["name"] == "own"


def test_through_a_relay(reader, writer, own_relay):
    theirs, own = add(writer, "theirs"), add(reader, "own")
    assert sync(writer, own_relay).refused == 0
    assert sync(reader, own_relay).refused == 1
    sync(writer, own_relay)
    check(reader, writer, theirs, own)


def test_between_devices(reader, writer):
    theirs, own = add(writer, "theirs"), add(reader, "own")

    async def scenario():
        async with listening.listening(writer, "127.0.0.1", 0, TOKEN, None) as listener:
            return await sync_once(reader, Address(listener.url, TOKEN, direct=True))

    assert asyncio.run(scenario()).refused == 1
    check(reader, writer, theirs, own)


def test_between_hosts_of_the_core(reader, writer):
    theirs, own = add(writer, "theirs"), add(reader, "own")
    times = itertools.count(1_900_000_000_000_000, 1000)
    for _ in range(3):
        assert line.meet(reader, writer, next(times))
    check(reader, writer, theirs, own)
