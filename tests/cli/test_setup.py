import itertools
import json
import stat
from contextlib import suppress

import pytest

from crdt_sync.cli import partners
from crdt_sync.errors import StoreForbidden
from crdt_sync.runtime import Address

SCHEMA = """
collection = "sites"
version = 1
[fields.name]
required = true
[fields.visits]
kind = "counter"
"""


def test_a_store_is_made_once(run, tmp_path):
    path = tmp_path / "new"
    first = run("init", "anna-phone", "--store", path, "--json")
    assert first.code == 0
    assert first.object["name"] == "anna-phone"
    assert first.object["collections"] == ["customers"]
    second = run("init", "anna-phone", "--store", path)
    assert second.code == 3
    assert "store_exists" in second.err


def test_the_store_is_in_the_users_data_directory_by_default(run, tmp_path):
    assert run("init").code == 0
    assert (tmp_path / "data" / "crdt-sync" / "data.mdb").exists()


def test_a_schema_file_takes_the_place_of_the_bundled_one(run, tmp_path):
    file = tmp_path / "sites.toml"
    file.write_text(SCHEMA)
    assert run("init", "--schema", file, "--store", tmp_path / "s", "--json").object["collections"] == ["sites"]


def test_a_token_is_kept_where_only_its_owner_reads_it(run, tmp_path):
    path = tmp_path / "s"
    assert run("init", "--store", path, "--relay", "ws://relay:1", "--token", "secret").code == 0
    assert stat.S_IMODE((path / partners.TOKEN_FILE).stat().st_mode) == 0o600
    assert partners.load(path) == Address("ws://relay:1", "secret")
    shown = run("relay", "--store", path)
    assert "secret" not in shown.out + shown.err
    assert "with a token" in shown.out


def test_a_token_can_come_from_a_file(run, tmp_path):
    (tmp_path / "t").write_text("secret\n")
    path = tmp_path / "s"
    assert run("init", "--store", path, "--relay", "wss://relay", "--token-file", tmp_path / "t").code == 0
    assert partners.load(path) == Address("wss://relay", "secret")


def test_a_stored_token_goes_to_the_stored_relay_only(tmp_path):
    partners.save(tmp_path, Address("ws://ours", "secret"))
    assert partners.chosen(tmp_path, None).token == "secret"
    assert partners.chosen(tmp_path, "ws://ours").token == "secret"
    assert partners.chosen(tmp_path, "ws://theirs").token == ""


@pytest.mark.parametrize("url", ["http://relay", "relay:8765", "ws://re\nlay"])
def test_a_wrong_address_makes_no_store(run, tmp_path, url):
    result = run("init", "--store", tmp_path / "s", "--relay", url)
    assert result.code == 2
    if not url.startswith("ws"):
        assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    "command",
    [
        ["relay"],
        ["sync", "--relay"],
        ["sync", "--watch", "--relay"],
        ["sync", "--token", "x" * 16],
        ["sync"],
        ["verify"],
    ],
)
@pytest.mark.parametrize("url", ["ws://host:99999", "ws://ann:secret@host", "ws://ho st", "ws://", "ws://[::1"])
def test_what_is_no_address_is_refused_with_what_one_looks_like(run, store, command, url):
    result = run(*command, url, "--json")
    assert (result.code, json.loads(result.err)["error"]) == (2, "usage")
    assert "ws://host:8765" in json.loads(result.err)["hint"]


def test_a_kept_address_that_is_none_is_replaced(run, store):
    (store / partners.RELAY_FILE).write_text('url = "ws://host:99999"')
    assert run("sync").code == 2
    assert run("relay", "ws://one:1").code == 0
    assert partners.load(store) == Address("ws://one:1")


def test_another_relay_can_be_chosen_later(run, store):
    assert "No relay" in run("relay").out
    assert run("relay", "ws://one:1", "--token", "x").code == 0
    assert run("relay", "--token", "y").code == 0
    assert partners.load(store) == Address("ws://one:1", "y")


@pytest.mark.parametrize("damaged", ["url = [", f"url = {'1' * 5000}"])
def test_settings_that_were_damaged_are_named(run, store, damaged):
    (store / partners.RELAY_FILE).write_text(damaged)
    result = run("sync")
    assert result.code == 2
    assert "relay.toml" in result.err
    assert "crdt-sync relay" in result.err


@pytest.mark.parametrize("interval", ["0.5", "21", "nan", "inf", hex(10**5000)])
def test_a_kept_ping_interval_out_of_bounds_is_refused_with_the_bounds(run, store, interval):
    (store / partners.RELAY_FILE).write_text(f'url = "ws://one:1"\nping_interval = {interval}\n')
    result = run("sync", "--json")
    assert (result.code, json.loads(result.err)["error"]) == (2, "usage")
    assert "1 to 20 s" in json.loads(result.err)["message"]


def test_schemas_are_shown_and_added(run, store, tmp_path):
    file = tmp_path / "sites.toml"
    file.write_text(SCHEMA)
    assert run("schema", "add", file).code == 0
    assert [each["collection"] for each in run("schema", "--json").objects] == ["customers", "sites"]
    assert run("schema", "show", "sites", "--json").object["fields"]["visits"]["kind"] == "counter"
    assert "Collection" in run("schema").out
    assert "phone" in run("schema", "show", "customers").out


def test_a_schema_printed_as_toml_can_be_added_again(run, store, tmp_path):
    file = tmp_path / "customers.toml"
    file.write_text(run("schema", "show", "--toml").out)
    assert run("schema", "add", file).code == 0


@pytest.mark.parametrize("text", ["collection = ", 'collection = "X"', SCHEMA.replace("counter", "nonsense")])
def test_a_wrong_schema_file_is_named_with_what_is_wrong(run, tmp_path, text):
    file = tmp_path / "wrong.toml"
    file.write_text(text)
    result = run("init", "--schema", file, "--store", tmp_path / "s", "--json")
    assert result.code == 2
    error = json.loads(result.err)
    assert error["error"] == "invalid_schema"
    assert "wrong.toml" in error["message"]
    assert error["hint"]
    assert not (tmp_path / "s").exists()


def test_a_token_that_another_relay_makes_go_is_spoken_of(run, store):
    assert run("token", "--token", "a-token-of-enough-length").code == 0
    result = run("relay", "ws://127.0.0.1:9")
    assert "is not sent to this relay" in result.err
    assert run("token", "--json").object == {"kept": False}
    assert "not sent" not in run("relay", "ws://127.0.0.1:10").err


def test_a_token_comes_back_with_its_address_and_goes_to_another_only_when_told(run, store):
    shown = ("token", "--show", "--json")
    assert run("relay", "ws://right:8765", "--token", "a-token-of-enough-length").code == 0
    for typo in ("ws://rihgt:8765", "ws://right:8756"):
        assert run("relay", typo, "--json").object["token"] is False
        assert run(*shown).object == {"token": ""}
    assert run("relay", "ws://right:8765", "--json").object["token"] is True
    assert run(*shown).object == {"token": "a-token-of-enough-length"}
    assert run("relay", "ws://moved:8765", "--keep-token").code == 0
    assert run(*shown).object == {"token": "a-token-of-enough-length"}
    run("relay", "ws://again:8765")
    assert run("relay", "--keep-token", "--json").object == {
        "relay": "ws://again:8765",
        "token": True,
        "ca": None,
        "transport": "auto",
    }
    assert run("relay", "ws://moved:8765", "--json").object["token"] is False


def test_whose_token_was_set_aside_is_said_as_it_was(run, store):
    run("token", "--token", "a-token-of-enough-length")
    told = run("relay", "ws://first:8765").err
    assert "is for calls between devices" in told
    assert "former" not in told
    run("relay", "ws://first:8765", "--token", "another-token-of-length")
    assert "is for ws://first:8765" in run("relay", "ws://second:8765").err


def test_a_token_that_is_not_there_cannot_be_kept(run, store):
    result = run("relay", "ws://right:8765", "--keep-token")
    assert (result.code, "no token is kept" in result.err) == (2, True)


@pytest.mark.parametrize("new_token", ["", "the-token-of-the-new"])
@pytest.mark.parametrize("old_token", ["", "the-token-of-the-old"])
def test_no_failed_write_puts_a_token_beside_an_address_that_it_is_not_for(tmp_path, monkeypatch, old_token, new_token):
    old, new = Address("ws://old", old_token), Address("ws://new", new_token)
    whole_write = partners.write
    for failing in itertools.count():
        store = tmp_path / str(failing)
        store.mkdir()
        partners.save(store, old)
        writes = itertools.count()

        def write(path, text, writes=writes, failing=failing):
            if next(writes) == failing:
                raise StoreForbidden(f"{path} cannot be written: no space left on device", "Make room.")
            whole_write(path, text)

        with monkeypatch.context() as patched, suppress(StoreForbidden):
            patched.setattr(partners, "write", write)
            partners.save(store, new)
        kept = partners.load(store)
        assert kept in (old, new, Address("ws://new", ""))
        if next(writes) <= failing:
            assert kept == new
            break
        back = partners.chosen(store, "ws://old")
        assert back is not None
        partners.save(store, back)
        assert partners.load(store) == old, "which comes back with its address"
    assert failing >= 3


def test_a_token_set_aside_is_for_its_owner_only(run, store):
    run("token", "--token", "a-token-of-enough-length")
    run("relay", "ws://right:8765")
    assert (store / "token.before").stat().st_mode & 0o077 == 0
    assert run("relay", "--keep-token", "--json").object["token"] is True


def test_a_bundled_schema_is_shown_without_a_store(run):
    assert "phone" in run("schema", "show", "customers").out
    assert run("schema", "show", "nothing").code == 3
