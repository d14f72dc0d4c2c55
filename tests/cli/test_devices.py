"""Devices without a relay, as people use them: two commands in processes of their own, and names for the other."""

import json
from dataclasses import replace
from typing import cast

import pytest

from crdt_sync import Replica
from crdt_sync.cli import devices, listening_lock, partners
from crdt_sync.errors import InvalidSettings, StoreForbidden, Unreachable, UsageError
from crdt_sync.runtime.discovery import Nearby
from crdt_sync.runtime.proving import Proven
from tests.cli.conftest import Lasting

TOKEN = "a-token-for-the-tests"


class Listening(Lasting):
    """A device that listens."""

    def __init__(self, store):
        super().__init__("listen", "--host", "127.0.0.1", "--port", "0", "--store", store)
        self.address = self.until(state="listening")["listening"].removeprefix("wss://")


@pytest.fixture
def stores(run, tmp_path):
    for name in ("anna", "ben"):
        assert run("init", name, "--store", tmp_path / name).code == 0
        assert run("token", "--token", TOKEN, "--store", tmp_path / name).code == 0
    return tmp_path / "anna", tmp_path / "ben"


@pytest.fixture
def listening(stores):
    listener = Listening(stores[0])
    yield listener
    listener.kill()


def test_two_devices_sync_verify_and_take_commands_meanwhile(run, stores, listening):
    anna, ben = stores
    assert run("set", "customers", "name=Müller", "--store", anna).code == 0  # through the listener
    assert run("set", "customers", "name=Schmidt", "--store", ben).code == 0
    synced = run("sync", listening.address, "--json", "--store", ben)
    assert (synced.code, synced.object["received"], synced.object["pushed"]) == (0, 1, 1)
    verified = run("verify", listening.address, "--deep", "--json", "--store", ben)
    assert (verified.code, verified.object["equal"]) == (0, True)
    code, states, err = listening.end()
    assert (code, states[-1]["state"], err) == (0, "ended", "")
    assert {state["state"] for state in states} <= {"listening", "ended"}  # it never gave the store away
    shown = [view["fields"]["name"] for view in run("list", "--json", "--store", anna).objects]
    assert sorted(shown) == ["Müller", "Schmidt"]


def test_a_second_listener_for_a_store_is_refused_and_the_first_goes_on(run, stores, listening):
    refused = run("listen", "--host", "127.0.0.1", "--port", "18765", "--json", "--store", stores[0])
    error = json.loads(refused.err)
    assert (refused.code, error["error"]) == (2, "invalid_settings")
    assert "--port 0" in error["message"]
    assert "--port" in error["hint"]
    code, states, _ = listening.end()
    assert code == 0
    assert [state["state"] for state in states] == ["ended"]  # it never gave the store away


def test_a_port_that_another_store_listens_on_is_refused(run, stores, listening):
    port = listening.address.rpartition(":")[2]
    refused = run("listen", "--host", "127.0.0.1", "--port", port, "--json", "--store", stores[1])
    error = json.loads(refused.err)
    assert (refused.code, error["error"]) == (2, "invalid_settings")
    assert f"127.0.0.1:{port}" in error["message"]
    assert "--port" in error["hint"]


def test_who_listened_leaves_the_store_free_to_listen_again(stores):
    second = listening_lock.listening_alone(stores[0], 1)
    with listening_lock.listening_alone(stores[0], 8765), pytest.raises(InvalidSettings, match="--port 8765"), second:
        pytest.fail("two listen")
    with listening_lock.listening_alone(stores[0], 9), pytest.raises(InvalidSettings, match="--port 9"):
        listening_lock.listening_alone(stores[0], 1).__enter__()


def test_where_no_store_is_nothing_is_written_to_listen(run, tmp_path):
    (tmp_path / "other").mkdir()
    missing = run("listen", "--token", TOKEN, "--json", "--store", tmp_path / "other")
    assert json.loads(missing.err)["error"] == "store_missing"
    assert not list((tmp_path / "other").iterdir())


def test_a_device_with_another_token_is_told_so_and_exit_code_4(run, stores, listening):
    result = run("sync", listening.address, "--token", "another-token-entirely", "--json", "--store", stores[1])
    assert (result.code, json.loads(result.err)["error"]) == (4, "unauthorized")


def test_beside_others_a_partner_that_fails_is_told_and_the_others_are_served(run, stores, listening):
    result = run("sync", "127.0.0.1:9", listening.address, "--json", "--store", stores[1])
    assert result.code == 4
    assert json.loads(result.err.splitlines()[0])["error"] == "unreachable"
    assert result.object["relay"].endswith(listening.address)


def test_a_failure_that_cannot_be_noted_is_told_and_the_others_are_served(run, stores, listening, monkeypatch):
    def full(path, text):
        raise StoreForbidden(f"{path} cannot be written: no space left on device")

    monkeypatch.setattr(partners, "write", full)
    result = run("sync", "127.0.0.1:9", listening.address, "--json", "--store", stores[1])
    assert json.loads(result.err.splitlines()[0])["error"] == "unreachable"
    assert result.object["relay"].endswith(listening.address)
    alone = run("sync", "127.0.0.1:9", "--json", "--store", stores[1])
    assert (alone.code, json.loads(alone.err)["error"]) == (4, "unreachable")


@pytest.mark.parametrize("command", [["listen"], ["sync", "127.0.0.1:9"], ["sync", "--nearby"]])
def test_without_a_token_nobody_listens_or_calls(run, tmp_path, command):
    assert run("init", "carl", "--store", tmp_path / "carl").code == 0
    result = run(*command, "--json", "--store", tmp_path / "carl")
    error = json.loads(result.err)
    assert (result.code, error["error"]) == (2, "usage")
    assert f"crdt-sync --store {tmp_path / 'carl'} token" in error["hint"]


def test_a_token_is_made_kept_and_shown_only_when_asked(run, tmp_path):
    store = tmp_path / "carl"
    run("init", "carl", "--store", store)
    assert run("token", "--json", "--store", store).object == {"kept": False}
    made = run("token", "--new", "--json", "--store", store).object["token"]
    assert len(made) >= 32
    assert (store / "token").stat().st_mode & 0o077 == 0
    assert run("token", "--json", "--store", store).object == {"kept": True}
    assert run("token", "--show", "--json", "--store", store).object == {"token": made}
    assert run("token", "--token", "short", "--json", "--store", store).code == 2
    assert run("token", "--show", "--json", "--store", store).object == {"token": made}


def test_known_partners_are_listed_without_looking_around(run, stores, listening):
    _, ben = stores
    assert run("peers", "--seconds", 0, "--json", "--store", ben).objects == []
    run("sync", listening.address, "--store", ben)
    (peer,) = run("peers", "--seconds", 0, "--json", "--store", ben).objects
    assert peer["url"].endswith(listening.address)
    assert (peer["near"], peer["last_seen"] is not None) == (False, True)
    assert run("sync", peer["replica"][:8], "--json", "--store", ben).code == 0


class _NoPartners:
    id = bytes(16)
    membership = None

    def partners(self):
        return ()


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("10.0.0.7", "wss://10.0.0.7:8767"),
        ("10.0.0.7:9000", "wss://10.0.0.7:9000"),
        ("till.shop.example", "wss://till.shop.example:8767"),
        ("till:9000", "wss://till:9000"),
        ("[fe80::1]:9000", "wss://[fe80::1]:9000"),
        ("wss://till", "wss://till"),
        ("anna-phone", "wss://10.0.0.9:8767"),
        ("0a0a0a", "wss://10.0.0.9:8767"),
    ],
)
def test_devices_are_named_by_address_name_or_id(monkeypatch, given, url):
    near = Nearby("anna-phone", b"\x0a" * 16, bytes(8), "10.0.0.9", 8767)
    monkeypatch.setattr(devices, "look_around", lambda *_: [near])
    found = devices.resolved(cast(Replica, _NoPartners()), given, TOKEN)
    assert (found.address.url, found.address.direct, found.address.token) == (url, True, TOKEN)


def _proven(*near):
    """As these prove who they are, and no others."""

    async def proven(addresses, _):
        answers = {device.url: device.replica for device in near}
        return [Proven(each, answers[each.url], None) for each in addresses if each.url in answers]

    return proven


def test_a_name_that_nobody_or_several_have_is_refused(monkeypatch):
    near = [Nearby("till", bytes([number]) * 16, bytes(8), "10.0.0.9", 8767 + number) for number in (1, 2, 3)]
    monkeypatch.setattr(devices, "look_around", lambda *_: near)
    monkeypatch.setattr("crdt_sync.runtime.proving.proven", _proven(*near[:2]))
    with pytest.raises(UsageError, match="2 devices"):
        devices.resolved(cast(Replica, _NoPartners()), "till", TOKEN)
    monkeypatch.setattr("crdt_sync.runtime.proving.proven", _proven())
    with pytest.raises(Unreachable, match="none of them proves"):
        devices.resolved(cast(Replica, _NoPartners()), "till", TOKEN)
    with pytest.raises(Unreachable, match="no device 'phone'"):
        devices.resolved(cast(Replica, _NoPartners()), "phone", TOKEN)


def test_whoever_takes_the_name_or_the_id_of_another_is_in_nobodys_way(monkeypatch):
    anna = Nearby("anna", b"\1" * 16, bytes(8), "10.0.0.9", 8767)
    fakes = [replace(anna, replica=bytes([number]) * 16, port=9000 + number) for number in range(2, 40)]
    copied = replace(anna, port=9999)
    monkeypatch.setattr(devices, "look_around", lambda *_: [*fakes, copied, anna])
    monkeypatch.setattr("crdt_sync.runtime.proving.proven", _proven(anna))
    assert devices.resolved(cast(Replica, _NoPartners()), "anna", TOKEN).address.url == anna.url
    another = replace(fakes[0], port=8800)
    monkeypatch.setattr(
        "crdt_sync.runtime.proving.proven", _proven(anna, replace(another, port=9999))
    )  # not who it says
    assert devices.resolved(cast(Replica, _NoPartners()), "anna", TOKEN).address.url == anna.url


def test_a_listening_device_knows_who_calls_and_what_waits_for_them(run, stores, listening):
    anna, ben = stores
    brought = run("set", "customers", "name=Schmidt", "--json", "--store", ben).object["record"]
    run("sync", listening.address, "--store", ben)
    record = run("set", "customers", "name=Müller", "--json", "--store", anna).object["record"]
    (caller,) = run("status", "--json", "--store", anna).object["callers"]
    assert (caller["name"], caller["waiting"]) == ("ben", 1)
    assert run("status", brought, "--json", "--store", anna).object["held_by"] == {"ben": "call"}
    assert run("status", record, "--json", "--store", anna).object["waits_for"] == {"ben": "call"}
    assert f"{record} waits for the next call of ben" in run("status", record, "--store", anna).out
    (waits,) = run("status", "--waiting", "--json", "--store", anna).objects
    assert (waits["record"], waits["partner"], waits["reason"]) == (record, "ben", "waits for the next call")
    shown = run("status", "--store", anna).out
    assert "Calls here" in shown
    assert "Nothing has been synced" not in shown
    listening.end()
    again = Listening(anna)  # at another address, after a restart
    assert run("sync", again.address, "--store", ben).code == 0
    again.end()
    assert run("status", "--json", "--store", anna).object["callers"][0]["waiting"] == 0
    assert run("status", record, "--json", "--store", anna).object["state"] == "stored"
    assert "Nothing waits" in run("status", "--waiting", "--store", anna).out
    (peer,) = run("peers", "--seconds", 0, "--json", "--store", anna).objects
    assert (peer["name"], peer["url"]) == ("ben", "")


def test_a_device_that_announced_itself_is_called_by_its_name_once_it_was_met(run, stores, listening, monkeypatch):
    anna, ben = stores
    replica = bytes.fromhex(run("status", "--json", "--store", anna).object["replica"])
    listening.end()
    again = Listening(anna)
    port = int(again.address.rpartition(":")[2])
    stranger = Nearby("anna-phone", b"\x0b" * 16, bytes(8), "127.0.0.1", port)
    monkeypatch.setattr(devices, "look_around", lambda *_: [stranger])
    assert run("sync", "anna-phone", "--store", ben).code == 0
    assert run("status", "--json", "--store", ben).object["partners"][0]["name"] == ""  # another one answered there
    near = Nearby("anna-phone", replica, bytes(8), "127.0.0.1", port)
    monkeypatch.setattr(devices, "look_around", lambda *_: [near])
    result = run("sync", "anna-phone", "--store", ben)
    assert result.out.startswith(f"In sync with anna-phone (wss://{again.address})")
    assert f"anna-phone (wss://{again.address})" in run("status", "--store", ben).out
    again.end()
