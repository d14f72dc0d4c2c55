"""Logging in by a code, against a login system that acts as RFC 8628 says, over HTTP."""

import jwt
import pytest

from crdt_sync import limits
from crdt_sync.errors import LoginFailed, Unreachable
from crdt_sync.identity.device_grant import Code
from crdt_sync.runtime.logging_in import log_in
from tests.login_system import CLIENT, Clock, LoginSystem, login_system

NONCE = "ab" * 16
DISCOVERY = "/.well-known/openid-configuration"


def logged_in(system: LoginSystem, clock: Clock, client: str = CLIENT, scope: str = "openid email") -> tuple[str, Code]:
    shown: list[Code] = []
    token = log_in(system.url, client, scope, NONCE, shown.append, clock.sleep, clock)
    return token, shown[0]


def test_the_code_is_shown_and_the_token_comes_once_somebody_has_logged_in():
    clock = Clock()
    with login_system(clock) as system:
        clock.during = lambda number: system.allow(email="anna") if number == 3 else None
        token, code = logged_in(system, clock)
        assert (code.user_code, code.address) == ("WDJB-MJHT", f"{system.url}/activate")
        assert code.complete == f"{system.url}/activate?code=WDJB-MJHT"
        assert clock.pauses == [5, 5, 5]
        claims = jwt.decode(token, options={"verify_signature": False})
        assert (claims["email"], claims["nonce"]) == ("anna", NONCE)
        assert system.requests == [DISCOVERY, "/device", "/token", "/token", "/token"]


def test_without_an_interval_it_asks_every_five_seconds():
    clock = Clock()
    with login_system(clock, interval=None) as system:
        clock.during = lambda number: system.allow(email="anna") if number == 2 else None
        logged_in(system, clock)
    assert clock.pauses == [5, 5]


def test_it_slows_down_when_it_is_told_to():
    clock = Clock()
    with login_system(clock) as system:

        def during(number: int) -> None:
            if number == 1:
                system.codes["secret-0"].interval = 8  # it wants more than it said
            if number == 3:
                system.allow(email="anna")

        clock.during = during
        logged_in(system, clock)
    assert clock.pauses == [5, 10, 10]


def test_it_asks_less_often_while_the_login_system_has_too_much_to_do_or_is_gone():
    clock = Clock()
    with login_system(clock) as system:

        def during(number: int) -> None:
            match number:
                case 1:
                    system.instead["/token"] = (503, {}, b"too much")
                case 2:
                    system.instead["/token"] = (0, {}, b"")
                case 3:
                    del system.instead["/token"]
                    system.allow(email="anna")

        clock.during = during
        logged_in(system, clock)
    assert clock.pauses == [5, 10, 20]


def test_who_is_denied_or_too_late_is_told_so():
    clock = Clock()
    with login_system(clock) as system:
        clock.during = lambda number: system.deny() if number == 2 else None
        with pytest.raises(LoginFailed, match="denied"):
            logged_in(system, clock)
    clock = Clock()
    with login_system(clock, expires=62) as system, pytest.raises(LoginFailed, match="before it expired"):
        logged_in(system, clock)
    assert sum(clock.pauses) <= 62
    clock = Clock()
    with login_system(clock, expires=62) as system:
        system.instead["/token"] = (400, {}, b'{"error": "expired_token"}')
        with pytest.raises(LoginFailed, match="before it expired"):
            logged_in(system, clock)
    assert clock.pauses == [5]


def test_nobody_waits_for_ever():
    clock = Clock()
    with login_system(clock, expires=10**9, interval=10**9) as system, pytest.raises(LoginFailed, match="expired"):
        logged_in(system, clock)
    assert set(clock.pauses) == {limits.LOGIN_POLL_S_MAX}
    assert sum(clock.pauses) <= limits.LOGIN_WAIT_S_MAX


@pytest.mark.parametrize(
    ("path", "status", "body", "told"),
    [
        (DISCOVERY, 404, b"{}", "status 404"),
        (DISCOVERY, 200, b"<html>", "no JSON object"),
        (DISCOVERY, 200, b"[" * 100_000, "no JSON object"),
        (DISCOVERY, 200, b'{"issuer": "https://evil.example.org"}', "says that it is"),
        (DISCOVERY, 200, b'{"issuer": "URL"}', "gives no codes"),
        (DISCOVERY, 200, b'{"issuer": "URL", "device_authorization_endpoint": "http://evil/"}', "no https:// address"),
        (DISCOVERY, 200, b" " * (limits.LOGIN_ANSWER_BYTES_MAX + 1), "far too much"),
        ("/device", 200, b"{}", "'user_code' is missing"),
        ("/device", 200, b'{"user_code": "\\u001b[2J", "device_code": "x"}', "'user_code' is missing, or none"),
        ("/device", 200, b'{"user_code": "A", "device_code": "x", "expires_in": 1e999}', "'expires_in'"),
        ("/device", 200, b'{"user_code": "A", "device_code": "x", "expires_in": 60}', "verification_uri"),
        (
            "/device",
            200,
            b'{"user_code": "A", "device_code": "x", "expires_in": 60, "verification_uri": "javascript:1"}',
            "no https:// address",
        ),
        ("/token", 200, b"{}", "no id token"),
        ("/token", 200, b'{"id_token": "x"}', "something else than an id token"),
        ("/token", 400, b'{"error": "invalid_grant", "error_description": "no"}', "invalid_grant: no"),
        ("/token", 400, b"null", "no JSON object"),
    ],
)
def test_what_is_strange_is_told_and_ends_it(path, status, body, told):
    clock = Clock()
    with login_system(clock) as system:
        system.instead[path] = status, {}, body.replace(b"URL", system.url.encode())
        with pytest.raises(LoginFailed, match=told) as error:
            logged_in(system, clock)
        assert error.value.hint


def test_numbers_without_end_are_bounded():
    clock = Clock()
    with login_system(clock, expires=10**400, interval=10**400) as system, pytest.raises(LoginFailed, match="expired"):
        logged_in(system, clock)


def test_another_client_or_scope_is_refused_in_the_words_of_the_login_system():
    clock = Clock()
    with login_system(clock) as system:
        with pytest.raises(LoginFailed, match="invalid_client: no such client"):
            logged_in(system, clock, "another")
        with pytest.raises(LoginFailed, match="invalid_scope: no more is said"):
            logged_in(system, clock, scope="email")


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ({"nonce": "cd" * 16}, "for another device"),
        ({"aud": "another"}, "is not from"),
        ({"aud": ["another", CLIENT], "azp": "another"}, "is not from"),
        ({"iss": "https://evil.example.org"}, "is not from"),
    ],
)
def test_a_token_of_somebody_else_is_not_shown_to_the_relay(claims, told):
    clock = Clock()
    with login_system(clock) as system:
        clock.during = lambda _: system.allow(email="anna", **claims)
        with pytest.raises(LoginFailed, match=told):
            logged_in(system, clock)


def test_a_login_system_that_knows_no_nonce_is_taken():
    clock = Clock()
    with login_system(clock) as system:
        system.keeps_nonce = False
        clock.during = lambda _: system.allow(email="anna")
        assert logged_in(system, clock)[0].count(".") == 2


@pytest.mark.parametrize("path", [DISCOVERY, "/device", "/token"])
def test_nothing_is_sent_where_it_is_redirected_to(path):
    clock = Clock()
    with login_system(clock) as system:
        system.instead[path] = 307, {"Location": f"{system.url}/elsewhere"}, b""
        with pytest.raises(LoginFailed, match="sends elsewhere"):
            logged_in(system, clock)
        assert "/elsewhere" not in system.requests


@pytest.mark.parametrize(
    "issuer", ["http://login.example.org", "login.example.org", "ftp://x", "https://", "https://a b", "https://[", ""]
)
def test_an_address_without_encryption_is_not_asked(issuer):
    with pytest.raises(LoginFailed, match="no https:// address"):
        log_in(issuer, CLIENT, "openid", NONCE, lambda _: None)


def test_a_login_system_that_is_not_there_is_unreachable():
    with login_system(Clock()) as system:
        url = system.url
    with pytest.raises(Unreachable, match="cannot be reached"):
        log_in(url, CLIENT, "openid", NONCE, lambda _: None)
