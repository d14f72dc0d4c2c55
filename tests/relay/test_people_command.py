"""What an operator types about a space's people, while no relay runs; the same through a running one is in `cli`."""

import json
import stat
import sys

import pytest

from crdt_relay.cli import main
from crdt_relay.control import NotRunning, ask
from crdt_sync.identity.invites import read_link
from crdt_sync.storage import LmdbStore
from tests.relay.people import POLICY
from tests.relay.test_settings import clean_surroundings

__all__ = ["clean_surroundings"]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys, clean_surroundings):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.toml").write_text(POLICY, encoding="utf-8")

    def run(*words):
        capsys.readouterr()
        code = main([*words, "--data", "relay"])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def begun(run):
    assert run("policy", "apply", "policy.toml")[0] == 0
    return run


def listed(out: str) -> list[dict]:
    return [json.loads(line) for line in out.splitlines()]


def test_the_first_policy_makes_the_key_for_its_owner_alone_and_says_what_changes(run, tmp_path):
    code, out, err = run("policy", "apply", "policy.toml")
    assert code == 0
    assert "Masked" not in err
    assert "user anna is new" in out
    assert "Version 1 of the policy is in force." in out
    assert "crdt-relay invite USER" in out
    assert stat.S_IMODE((tmp_path / "relay" / "space.key").stat().st_mode) == 0o600
    code, out, _ = run("policy", "apply", "policy.toml")
    assert code == 0
    assert "in force already" in out
    (tmp_path / "policy.toml").write_text(POLICY.replace("[user.ben]", "[user.carl]"), encoding="utf-8")
    code, out, err = run("policy", "apply", "policy.toml")
    assert "user carl is new\nuser ben is gone" in out
    assert "Version 2" in out


def test_a_wrong_policy_is_refused_with_its_lines_and_nothing_begins(run, tmp_path):
    (tmp_path / "policy.toml").write_text("[user.anna]\nrole = 'nobody'\n", encoding="utf-8")
    code, _, err = run("policy", "apply", "policy.toml")
    assert code == 2
    assert "line 2" in err
    assert not (tmp_path / "relay").exists()


@pytest.mark.parametrize("words", [("invite", "anna", "--address", "ws://r"), ("device", "list"), ("key", "show")])
def test_without_identities_the_next_step_is_told(run, tmp_path, words):
    LmdbStore.open(tmp_path / "relay", create=True).close()
    code, _, err = run(*words)
    assert code == 2
    assert "crdt-relay policy apply FILE" in err


def test_an_invite_is_a_link_and_a_picture(begun):
    code, out, _ = begun("invite", "anna", "--address", "ws://relay.example.org:8765")
    assert code == 0
    assert "█" in out
    link = read_link(out.partition("crdt-sync join '")[2].partition("'")[0])
    assert (link.address, link.certificate) == ("ws://relay.example.org:8765", b"")
    code, out, _ = begun("invite", "list", "--json")
    (invite,) = listed(out)
    assert (invite["user"], invite["standing"], invite["device"]) == ("anna", "open", None)
    assert begun("invite", "withdraw", invite["invite"])[0] == 0
    assert begun("invite", "list")[1] == "No invites.\n"
    assert "no invites begin" in begun("invite", "withdraw", invite["invite"])[2]


def test_an_invite_is_for_somebody_of_the_policy_and_names_an_address(begun):
    code, _, err = begun("invite", "ana", "--address", "ws://r")
    assert code == 2
    assert "Did you mean anna?" in err
    code, _, err = begun("invite", "anna")
    assert code == 2
    assert "--address" in err
    assert "no address" in begun("invite", "anna", "--address", "http://r")[2]


def test_without_the_library_for_pictures_there_is_the_link(begun, monkeypatch):
    monkeypatch.setitem(sys.modules, "segno", None)
    code, out, err = begun("invite", "anna", "--address", "ws://r")
    assert code == 0
    assert "█" not in out
    assert "CRDT-SYNC://JOIN#" in out
    assert "crdt-sync[qr]" in err


def test_users_are_shut_out_and_let_in(begun, tmp_path):
    assert begun("user", "disable", "anna")[1] == "anna is out, with 0 devices.\n"
    assert json.loads(begun("user", "disable", "anna", "--json")[1])["changed"] is False
    assert "names no user" in begun("user", "disable", "nobody")[2]
    (tmp_path / "policy.toml").write_text(POLICY.replace("[user.anna]", "[user.anna]\ndisabled = true"))
    begun("policy", "apply", "policy.toml")
    code, _, err = begun("user", "enable", "anna")
    assert code == 0
    assert "The policy lets anna do nothing all the same" in err


def test_keys_are_rotated_in_their_place_or_to_a_file_and_retired(begun, tmp_path):
    (first,) = json.loads(begun("key", "show", "--json")[1])["keys"]
    assert "no older key to retire" in begun("key", "retire")[2]
    keys = json.loads(begun("key", "rotate", "--json")[1])["keys"]
    assert keys[0] == first
    assert begun("key", "retire")[1].startswith(f"Retired: {first}.")
    assert json.loads(begun("key", "show", "--json")[1])["keys"] == keys[1:]
    code, out, _ = begun("key", "rotate", "--to", "mounted.key")
    assert code == 0
    assert "--key-file mounted.key" in out
    code, _, err = begun("key", "show")
    assert code == 3
    assert "newest one" in err
    assert begun("key", "show", "--key-file", "mounted.key")[0] == 0


def test_devices_that_nobody_knows_are_not_named(begun):
    assert begun("device", "list")[1] == "No device has joined.\n"
    code, _, err = begun("device", "revoke", "anna-phone")
    assert code == 2
    assert "crdt-relay device list" in err


def test_no_relay_was_asked(begun, tmp_path):
    with pytest.raises(NotRunning):
        ask(tmp_path / "relay", "status")
