"""Devices that join a space by commands, and what people see; the relay is in this process."""

import asyncio
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crdt_relay.cli import main as relay_command
from crdt_relay.server import Relay
from crdt_relay.settings import Settings
from crdt_sync.membership.contact import SURE_US, Run
from tests.relay.people import POLICY


class Space:
    """A relay with identities on a thread of its own, and its operator."""

    def __init__(self, folder, capsys) -> None:
        self.data = folder / "relay"
        self.capsys = capsys
        (folder / "policy.toml").write_text(POLICY, encoding="utf-8")
        self._stop: asyncio.Event | None = None
        self._started = threading.Event()
        self.url = ""
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(),))
        self._thread.start()
        assert self._started.wait(60)
        self.operator("policy", "apply", str(folder / "policy.toml"))

    async def _serve(self) -> None:
        relay = await Relay.start(Settings(data=self.data, port=0, metrics=False), keep_spare=False)
        self._loop, self._stop, self.url = asyncio.get_running_loop(), asyncio.Event(), relay.url
        self._started.set()
        await self._stop.wait()
        await relay.stop()

    def operator(self, *words: str) -> str:
        self.capsys.readouterr()
        code = relay_command([*words, "--data", str(self.data)])
        printed = self.capsys.readouterr()
        assert code == 0, printed.err
        return printed.out

    def link(self, user: str = "anna") -> str:
        told = self.operator("invite", user)
        return told.partition("crdt-sync join '")[2].partition("'")[0]

    def stop(self) -> None:
        if not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()


@pytest.fixture
def space(tmp_path, capsys, monkeypatch) -> Iterator[Space]:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"CRDT_RELAY_{name.upper()}", raising=False)
    made = Space(tmp_path, capsys)
    yield made
    made.stop()


def test_a_device_joins_syncs_and_tells_who_it_is(run, space, tmp_path):
    store = tmp_path / "anna"
    joined = run("join", space.link(), "--name", "anna-phone", "--store", store)
    assert joined.code == 0, joined.err
    assert f"This device, 'anna-phone', is anna's now, in the space of {space.url}." in joined.out
    assert stat.S_IMODE((store / "device.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((store / "member").stat().st_mode) == 0o600
    assert run("sync", "--store", store).code == 0
    told = run("whoami", "--store", store, "--json").object
    assert (told["user"], told["role"], told["relay"], told["out"]) == ("anna", "sales", space.url, "")
    assert told["device"] in space.operator("device", "show", "anna-phone")
    shown = run("whoami", "--store", store)
    assert shown.out.startswith("anna, sales\ndevice ")
    assert "renewed by itself" in shown.out


def test_a_store_that_was_there_joins_with_all_that_it_holds(run, space, tmp_path):
    store = tmp_path / "old"
    run("init", "old-phone", "--store", store)
    run("set", "customers", "name=Müller GmbH", "--store", store)
    assert run("join", space.link(), "--store", store).code == 0
    assert run("sync", "--store", store).code == 0
    assert run("join", space.link("ben"), "--store", tmp_path / "ben").code == 0
    assert run("sync", "--store", tmp_path / "ben").code == 0
    assert "Müller GmbH" in run("list", "--store", tmp_path / "ben").out


def test_an_invite_that_another_device_opened_says_what_to_do(run, space, tmp_path):
    link = space.link()
    assert run("join", link, "--store", tmp_path / "one").code == 0
    second = run("join", link, "--store", tmp_path / "two")
    assert second.code == 4
    assert "another device opened this invite before" in second.err
    assert "tell who runs the space at once" in second.err
    assert run("join", link, "--store", tmp_path / "one").code == 0


@pytest.mark.parametrize("link", ["", "https://example.org", "CRDT-SYNC://JOIN#AAAA"])
def test_what_is_no_invite_makes_no_store(run, tmp_path, link):
    result = run("join", link, "--store", tmp_path / "one")
    assert result.code == 2
    assert "invite" in result.err
    assert not (tmp_path / "one").exists()


def test_an_invite_of_another_user_or_space_needs_another_store(run, space, tmp_path):
    store = tmp_path / "anna"
    assert run("join", space.link(), "--store", store).code == 0
    other = run("join", space.link("ben"), "--store", store)
    assert other.code == 4
    assert "the device is that of another user" in other.err
    assert run("sync", "--store", store).code == 0
    assert run("whoami", "--store", store, "--json").object["user"] == "anna"


def test_who_is_in_no_space_is_told_how_to_join(run, tmp_path):
    run("init", "--store", tmp_path / "one")
    result = run("whoami", "--store", tmp_path / "one")
    assert result.code == 2
    assert "crdt-sync join LINK" in result.err.replace(f" --store {tmp_path / 'one'}", "")


def test_a_device_with_a_shared_token_is_told_to_join(run, space, tmp_path):
    run("init", "--relay", space.url, "--token", "a-shared-token-of-old", "--store", tmp_path / "old")
    result = run("sync", "--store", tmp_path / "old")
    assert result.code == 4
    assert "crdt-sync join LINK" in result.err


def test_a_store_that_is_wiped_by_hand_keeps_no_key_of_its_device(run, space, tmp_path):
    store = tmp_path / "anna"
    assert run("join", space.link(), "--store", store).code == 0
    assert run("store", "wipe", "--yes", "--store", store).code == 0
    assert not store.exists()


def test_a_lost_device_is_wiped_and_says_so(run, space, tmp_path):
    store = tmp_path / "anna"
    run("init", "anna-phone", "--store", store)
    assert run("join", space.link(), "--store", store).code == 0
    assert run("set", "customers", "name=Müller GmbH", "--store", store).code == 0
    assert run("sync", "--store", store).code == 0
    assert run("export", tmp_path / "x.csv", "--store", store).code == 0
    assert "to be wiped" in space.operator("device", "revoke", "anna-phone", "--wipe")
    wiped = run("sync", "--store", store)
    assert wiped.code == 4
    assert "this device was wiped, as its space ordered" in wiped.err
    assert "the relay has noted that" in wiped.err
    assert "wiped 20" in space.operator("device", "show", "anna-phone")
    assert {path.name for path in store.iterdir()} <= {"lock", "sync-failed.json"}
    assert run("list", "--store", store).code == 3


class Clock:
    """The wall clock of devices, as it is and days later; machines run as long as they are told to."""

    def __init__(self, monkeypatch) -> None:
        self._days = 0
        self._ran = 0
        self._right: threading.Thread | None = None  # in which the clock is right
        real = time.time_ns

        def time_ns() -> int:
            return real() if threading.current_thread() is self._right else real() + self._days * 24 * 3600 * 10**9

        monkeypatch.setattr(time, "time_ns", time_ns)
        monkeypatch.setattr(Run, "now", lambda: Run(b"a", self._ran))

    def not_of(self, space: Space) -> None:
        """The relay's clock is right."""
        self._right = space._thread

    def hours_pass(self) -> None:
        self._ran += SURE_US

    def later(self, days: int) -> None:
        self._days += days


@pytest.fixture
def clock(monkeypatch) -> Clock:
    return Clock(monkeypatch)


SILENCE = "[devices]\nlock_after_days = 14\nwipe_after_days = 60\n"


def limited(run, space, tmp_path) -> Path:
    """Anna's device, in a space whose devices lock and wipe themselves; one edit was not sent."""
    store = tmp_path / "anna"
    (tmp_path / "strict.toml").write_text(SILENCE + POLICY, encoding="utf-8")
    assert "lock after 14 days" in space.operator("policy", "apply", str(tmp_path / "strict.toml"))
    run("init", "anna-phone", "--store", store)
    assert run("join", space.link(), "--store", store).code == 0
    assert run("set", "customers", "name=Müller GmbH", "--store", store).code == 0
    assert run("sync", "--store", store).code == 0
    assert run("set", "customers", "name=Weiß OHG", "--store", store).code == 0
    return store


def test_a_device_without_contact_locks_itself_and_its_relay_unlocks_it(run, space, tmp_path, clock):
    store = limited(run, space, tmp_path)
    clock.later(13)
    assert run("list", "--store", store).code == 0
    clock.later(1)
    for words in (["list"], ["set", "customers", "name=x"], ["export", tmp_path / "x.csv"], ["store", "encrypt"]):
        told = run(*words, "--store", store)
        assert told.code == 3, words
        assert "(device_locked)" in told.err
        assert "no contact with its space for 14 days" in told.err
        assert "sync': the relay unlocks it" in " ".join(told.err.split())
    clock.later(-14)
    assert "(device_locked)" in run("list", "--store", store).err
    clock.later(14)
    assert "1 sent" in run("sync", "--store", store).out
    listed = run("list", "--store", store).out
    assert "Müller GmbH" in listed
    assert "Weiß OHG" in listed


def test_a_locked_device_that_cannot_reach_its_relay_stays_locked(run, space, tmp_path, clock):
    store = limited(run, space, tmp_path)
    clock.later(20)
    space.stop()
    for command in ("sync", "up"):
        told = run(command, "--store", store)
        assert told.code == 3
        assert "(device_locked)" in told.err
        assert "cannot reach" in told.err
    assert (store / "data.mdb").exists()


def test_a_locked_device_that_is_out_is_told_so(run, space, tmp_path, clock):
    store = limited(run, space, tmp_path)
    clock.later(20)
    space.operator("device", "revoke", "anna-phone")
    told = run("sync", "--store", store)
    assert told.code == 4
    assert "was revoked" in told.err
    assert "(device_locked)" in run("list", "--store", store).err


def test_a_device_that_was_away_for_too_long_destroys_what_it_holds(run, space, tmp_path, clock):
    store = limited(run, space, tmp_path)
    clock.later(60)
    clock.hours_pass()
    space.stop()
    assert "(device_locked)" in run("list", "--store", store).err  # the clock may be wrong
    assert (store / "data.mdb").exists()
    clock.hours_pass()
    told = run("list", "--store", store)
    assert told.code == 3
    assert "(device_wiped)" in told.err
    assert "join with it" in told.err
    assert not store.exists() or not list(store.iterdir())
    assert "(store_missing)" in run("list", "--store", store).err


def test_a_device_that_reaches_its_relay_in_time_destroys_nothing(run, space, tmp_path, clock):
    store = limited(run, space, tmp_path)
    clock.later(400)
    clock.hours_pass()
    assert "(device_locked)" in run("list", "--store", store).err
    clock.hours_pass()
    assert run("list", "--store", store).code == 0
    assert "1 sent" in run("sync", "--store", store).out


def test_a_clock_that_was_ahead_for_a_moment_destroys_nothing(run, space, tmp_path, clock):
    store = limited(run, space, tmp_path)
    clock.later(61)
    assert "(device_locked)" in run("list", "--store", store).err
    clock.later(-61)
    clock.hours_pass()
    assert "(device_locked)" in run("list", "--store", store).err
    assert "1 sent" in run("sync", "--store", store).out
    clock.hours_pass()
    assert run("list", "--store", store).code == 0


def test_a_clock_that_is_years_ahead_at_a_contact_puts_the_lock_off_by_nothing(run, space, tmp_path, clock):
    store = limited(run, space, tmp_path)
    clock.not_of(space)
    clock.later(3000)
    assert "1 sent" in run("sync", "--store", store).out
    assert run("list", "--store", store).code == 0
    clock.later(-3000)
    assert run("list", "--store", store).code == 0
    clock.later(14)
    assert "(device_locked)" in run("list", "--store", store).err


def test_an_encrypted_store_that_locks_itself_forgets_its_key(run, space, tmp_path, clock, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "memory"))
    (tmp_path / "memory").mkdir(mode=0o700)
    store = limited(run, space, tmp_path)
    monkeypatch.setenv("CRDT_SYNC_NEW_PASSPHRASE", "correct horse")
    assert run("store", "encrypt", "--store", store).code == 0
    monkeypatch.setenv("CRDT_SYNC_PASSPHRASE", "correct horse")
    assert run("store", "unlock", "--store", store).code == 0
    monkeypatch.delenv("CRDT_SYNC_PASSPHRASE")
    assert run("list", "--store", store).code == 0
    clock.later(14)
    assert "(device_locked)" in run("list", "--store", store).err
    assert "(store_locked)" in run("sync", "--store", store).err
    assert "(store_locked)" in run("list", "--store", store).err
    monkeypatch.setenv("CRDT_SYNC_PASSPHRASE", "correct horse")
    assert "Weiß OHG" in run("list", "--store", store).out


def test_a_user_without_a_role_is_told_why_nothing_is_there(run, space, tmp_path):
    (tmp_path / "roleless.toml").write_text(f"{POLICY}\n[user.dora]\n", encoding="utf-8")
    space.operator("policy", "apply", str(tmp_path / "roleless.toml"))
    store = tmp_path / "dora"
    told = "The policy gives 'dora' no role: nothing can be seen or done. Ask who keeps the policy for one."
    for words in (("join", space.link("dora")), ("sync",), ("whoami",)):
        result = run(*words, "--store", store)
        assert result.code == 0
        assert told in " ".join(result.err.split())


def test_a_filter_field_that_is_renamed_is_told_with_the_grant_that_named_it(run, space, tmp_path):
    grant = (
        'collection = "clients"\nwhere = "region == user.id"\nread = ["*"]\nwrite = ["*"]\noperations = ["create"]\n'
    )
    schemas = 'collection = "crdt-sync-schemas"\nread = ["*"]\nwrite = ["*"]\noperations = ["create", "edit"]\n'
    policy = f"[[role.keeper.grant]]\n{grant}[[role.keeper.grant]]\n{schemas}[user.anna]\nrole = 'keeper'\n"
    (tmp_path / "keeper.toml").write_text(policy, encoding="utf-8")
    space.operator("policy", "apply", str(tmp_path / "keeper.toml"))
    store = tmp_path / "anna"
    assert run("join", space.link(), "--store", store).code == 0
    schema = tmp_path / "clients.toml"
    for number, field, fits in ((1, "region", True), (2, "area", False)):
        text = f"collection = 'clients'\nversion = {number}\n[fields.name]\n[fields.{field}]\nfilter = true\n"
        schema.write_text(text, encoding="utf-8")
        result = run("schema", "add", schema, "--store", store)
        assert result.code == 0, result.err
        warned = "'where': 'clients' has no field 'region'. Known fields: area, name." in " ".join(result.err.split())
        assert warned != fits


def test_the_team_of_the_readme_may_do_what_it_says(run, space, tmp_path):
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    policy = readme.partition("**A team with permissions:**")[2].partition("```toml\n")[2].partition("```")[0]
    (tmp_path / "policy.toml").write_text(policy, encoding="utf-8")
    space.operator("policy", "apply", str(tmp_path / "policy.toml"))
    assert run("init", "chen-phone", "--store", tmp_path / "chen").code == 0  # it was used alone before
    for user in ("chen", "anna"):
        assert run("join", space.link(user), "--name", f"{user}-phone", "--store", tmp_path / user).code == 0
    made = run("set", "customers", "name=Müller", "notes+=vip", "--store", tmp_path / "chen", "--json").object["record"]
    for user in ("chen", "anna"):
        assert run("sync", "--store", tmp_path / user).code == 0
    assert run("set", made, "phone=1", "--store", tmp_path / "anna").code == 0
    refused = run("set", made, "owner=anna", "--store", tmp_path / "anna")
    assert (refused.code, "edit_forbidden" in refused.err) == (2, True)
    space.operator("device", "revoke", "anna-phone", "--wipe")
    assert "this device was wiped" in run("sync", "--store", tmp_path / "anna").err


def test_a_new_record_that_a_newer_policy_forbids_is_put_aside_and_sync_says_so(run, space, tmp_path):
    store = tmp_path / "anna"
    assert run("init", "anna-phone", "--store", store).code == 0
    assert run("join", space.link(), "--store", store).code == 0
    assert run("sync", "--store", store).code == 0
    made = run("set", "customers", "name=Müller", "--store", store, "--json").object["record"]
    (tmp_path / "less.toml").write_text(POLICY.replace('"create", ', ""), encoding="utf-8")
    space.operator("policy", "apply", str(tmp_path / "less.toml"))
    synced = run("sync", "--store", store)
    assert (synced.code, "1 edit was not allowed, and kept aside" in synced.err) == (0, True)
    edit = run("refused", "list", "--store", store, "--json").object
    assert (edit["record"], edit["field"], edit["value"], edit["author"]) == (made, "name", "Müller", "anna")
    assert "nor made by it" in edit["reason"]
    status = run("status", "--store", store, "--json").object
    assert (status["unsent"], status["refused_edits"], status["records"]) == ([], 1, 0)
    assert status["partners"][0]["percent"] == 100
