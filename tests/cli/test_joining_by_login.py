"""Joining by a code that somebody enters elsewhere: the command, a relay and a login system, and what sees a token."""

import json
from collections.abc import Callable

import pytest

from crdt_relay.server import Relay
from crdt_relay.settings import Settings
from crdt_sync.cli import joining
from crdt_sync.identity.device_grant import Code
from crdt_sync.runtime.logging_in import log_in
from tests.cli.test_joining import Space
from tests.login_system import CLIENT, Clock, login_system
from tests.relay.people import POLICY

MAPPED = """
[login]
claim = "groups"

[login.map.sellers]
role = "sales"
"""


@pytest.fixture
def clock(monkeypatch) -> Clock:
    """Of the command, which then waits for nothing."""
    made = Clock()

    def waiting_for_nothing(issuer: str, client: str, scope: str, nonce: str, show: Callable[[Code], None]) -> str:
        return log_in(issuer, client, scope, nonce, show, made.sleep, made)

    monkeypatch.setattr(joining, "log_in", waiting_for_nothing)
    return made


@pytest.fixture
def system(clock):
    with login_system(clock) as made:
        yield made


@pytest.fixture
def space(tmp_path, capsys, monkeypatch, system):
    for name in Settings.model_fields:
        monkeypatch.delenv(f"CRDT_RELAY_{name.upper()}", raising=False)
    given = {"oidc_issuer": system.url, "oidc_audience": CLIENT, "oidc_keys": f"{system.url}/jwks"}
    for name, value in given.items():
        monkeypatch.setenv(f"CRDT_RELAY_{name.upper()}", value)
    started = Relay.start
    monkeypatch.setattr(Relay, "start", lambda settings, **more: started(settings.model_copy(update=given), **more))
    made = Space(tmp_path, capsys)
    (tmp_path / "policy.toml").write_text(POLICY + MAPPED, encoding="utf-8")
    made.operator("policy", "apply", str(tmp_path / "policy.toml"))
    yield made
    made.stop()


def login_link(space) -> dict[str, str]:
    return json.loads(space.operator("invite", "login", "--json").splitlines()[-1])  # behind what the relay logs


def test_somebody_joins_by_a_code_and_no_token_is_left_anywhere(run, space, system, clock, tmp_path):
    shown = login_link(space)
    assert shown["command"] == f"crdt-sync join '{shown['link']}' --login {system.url}"
    clock.during = lambda number: system.allow(email="eva@example.org", groups=["sellers"]) if number == 2 else None
    store = tmp_path / "eva"
    joined = run("join", shown["link"], "--login", system.url, "--name", "eva-phone", "--store", store)
    assert joined.code == 0, joined.err
    assert f"To log in, open {system.url}/activate on any device, and enter: WDJB-MJHT" in joined.out
    assert "'eva-phone', is eva@example.org's now" in joined.out
    told = run("whoami", "--store", store, "--json").object
    assert (told["user"], told["role"]) == ("eva@example.org", "sales")
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"eyJhbGciOiJSUzI1NiIsImtpZCI6Imsi" not in kept
    assert "eyJ" not in joined.out + joined.err


def test_who_is_refused_is_told_the_next_step(run, space, system, clock, tmp_path):
    link = login_link(space)["link"]
    clock.during = lambda _: system.deny()
    denied = run("join", link, "--login", system.url, "--store", tmp_path / "one")
    assert (denied.code, "login_failed" in denied.err) == (4, True)
    clock.during = lambda _: system.allow(email="eva@example.org", groups=["staff"])
    refused = run("join", link, "--login", system.url, "--store", tmp_path / "one")
    assert refused.code == 4
    assert "gives nothing for what the claim 'groups'" in refused.err
    assert run("join", link, "--login", system.url, "--id-token", "x", "--store", tmp_path / "one").code == 2
    assert run("join", space.link(), "--login", system.url, "--store", tmp_path / "one").code == 2
    without = run("join", link, "--store", tmp_path / "one")
    assert (without.code, "--login URL" in without.err) == (2, True)
