"""Logging in on another device (RFC 8628, OpenID Connect Discovery): what a login system answers, and what is next.

It opens no connection and keeps no time: `runtime/logging_in.py` does. What a login system says is checked and bounded
like that of anybody else, and ends on a terminal.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final
from urllib.parse import urlsplit

from crdt_sync.errors import LoginFailed
from crdt_sync.identity.base64url import decoded
from crdt_sync.limits import ID_TOKEN_LENGTH_MAX, LOGIN_CODE_LENGTH_MAX, LOGIN_POLL_S_MAX, LOGIN_WAIT_S_MAX

GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
DISCOVERY: Final = "/.well-known/openid-configuration"
_INTERVAL_S = 5  # where none is said, and by how much `slow_down` adds to it: RFC 8628, 3.2 and 3.5
_ADDRESS_LENGTH_MAX = 2048
_SHOWN_LENGTH_MAX = 128
_TOLD_LENGTH_MAX = 300
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class System:
    """A login system: who it is, and where it gives codes and tokens."""

    issuer: str
    device: str
    token: str


@dataclass(frozen=True, slots=True)
class Code:
    """What somebody enters, and where; `secret` is what the device asks with. Times are in seconds."""

    user_code: str
    address: str
    complete: str  # the address with the code in it; empty where there is none
    secret: str
    expires: float
    interval: float


class Pending(Enum):
    """Why there is no token yet."""

    WAITING = auto()
    TOO_FAST = auto()


def check_address(address: object, what: str) -> str:
    """An address to which secrets may be sent: by https, or on this machine. Raises `LoginFailed`."""
    text = address if isinstance(address, str) and len(address) <= _ADDRESS_LENGTH_MAX else ""
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
    except ValueError:
        host = ""
    visible = text.isascii() and text.isprintable() and " " not in text
    if visible and host and (parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)):
        return text
    raise LoginFailed(f"{what} of the login system is no https:// address: {text[:80]!r}", "Check the address.")


def read_system(issuer: str, raw: bytes) -> System:
    """A login system, as it describes itself. Raises `LoginFailed`."""
    said = _object(raw, "its description")
    if said.get("issuer") != issuer and said.get("issuer") != issuer.rstrip("/"):
        raise LoginFailed(
            f"what is at {issuer} says that it is {str(said.get('issuer'))[:80]!r}", "Name it as it calls itself."
        )
    if "device_authorization_endpoint" not in said:
        raise LoginFailed(
            f"the login system {issuer} gives no codes for other devices (RFC 8628)",
            "Switch its device flow on for this client, or get an id token elsewhere: --id-token FILE.",
        )
    device = check_address(said["device_authorization_endpoint"], "'device_authorization_endpoint'")
    return System(str(said["issuer"]), device, check_address(said.get("token_endpoint"), "'token_endpoint'"))


def read_code(status: int, raw: bytes) -> Code:
    """The answer to who asks for a code. Raises `LoginFailed`."""
    said = _object(raw, "its answer")
    if status != 200:
        raise _refused(said)
    user_code, secret = said.get("user_code"), said.get("device_code")
    complete = said.get("verification_uri_complete")
    expires = _seconds(said.get("expires_in"), LOGIN_WAIT_S_MAX)
    interval = _seconds(said.get("interval"), LOGIN_POLL_S_MAX)
    if not (isinstance(user_code, str) and 0 < len(user_code) <= _SHOWN_LENGTH_MAX and user_code.isprintable()):
        raise _strange("user_code")
    if not (isinstance(secret, str) and 0 < len(secret) <= LOGIN_CODE_LENGTH_MAX):
        raise _strange("device_code")
    if expires is None:
        raise _strange("expires_in")
    return Code(
        user_code,
        check_address(said.get("verification_uri", said.get("verification_url")), "'verification_uri'"),
        "" if complete is None else check_address(complete, "'verification_uri_complete'"),
        secret,
        expires,
        _INTERVAL_S if interval is None else interval,
    )


def read_token(status: int, raw: bytes) -> str | Pending:
    """The id token out of an answer, or why there is none yet. Raises `LoginFailed`."""
    if status == 429 or status >= 500:
        return Pending.TOO_FAST
    said = _object(raw, "its answer")
    if status == 200:
        token = said.get("id_token")
        if not isinstance(token, str) or not token.isascii() or len(token) > ID_TOKEN_LENGTH_MAX:
            raise LoginFailed(
                f"the login system gave no id token of at most {ID_TOKEN_LENGTH_MAX:,} characters",
                "The scope has to name openid; let the login system put fewer groups into the token.",
            )
        return token
    match said.get("error"):
        case "authorization_pending":
            return Pending.WAITING
        case "slow_down":
            return Pending.TOO_FAST
        case "access_denied":
            raise LoginFailed("the login was denied", "Run the command again, and allow it.")
        case "expired_token":
            raise expired()
    raise _refused(said)


def slower(interval: float) -> float:
    """How long to wait from now on where the login system is asked too often."""
    return min(interval + _INTERVAL_S, LOGIN_POLL_S_MAX)


def backed_off(interval: float) -> float:
    """How long to wait from now on where it cannot be reached."""
    return min(2 * interval, LOGIN_POLL_S_MAX)


def expired() -> LoginFailed:
    """The error where nobody logged in before the code expired."""
    return LoginFailed("nobody logged in with the code before it expired", "Run the command again.")


def check_token(token: str, issuer: str, client: str, nonce: str) -> None:
    """Whether a token that came from the login system itself is for this device: whoever lets it in checks the rest,
    signature above all. Raises `LoginFailed`.
    """
    try:
        claims = json.loads(decoded(token.split(".")[1]) or b"")
    except (IndexError, ValueError, RecursionError):
        claims = None
    if not isinstance(claims, dict) or token.count(".") != 2:
        raise LoginFailed("the login system gave something else than an id token", "Ask who runs it.")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if claims.get("iss") != issuer or client not in audiences or claims.get("azp", client) != client:
        raise LoginFailed(
            f"the id token is not from {issuer} for {client!r}",
            "Check --login and --client-id: ask who runs the space.",
        )
    if claims.get("nonce", nonce) != nonce:
        raise LoginFailed("the id token is for another device", "Run the command again.")


def _object(raw: bytes, what: str) -> Mapping[str, Any]:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise LoginFailed(f"the login system answers with something strange: {what} is no JSON object", _WRONG)
    return found


_WRONG = "Check the address after --login: it is the one that the login system calls its issuer."


def _seconds(value: object, most: int) -> float | None:
    """A time, `most` at most; None where it is none."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf"):
        return float(min(value, most))
    return None


def _strange(name: str) -> LoginFailed:
    return LoginFailed(f"the login system answers with something strange: {name!r} is missing, or none", _WRONG)


def _refused(said: Mapping[str, Any]) -> LoginFailed:
    told = f"{str(said.get('error'))[:80]}: {str(said.get('error_description', 'no more is said'))[:_TOLD_LENGTH_MAX]}"
    return LoginFailed(
        f"the login system refuses: {told}",
        "Ask who runs it whether this client may log devices in; --client-id names another, --scope asks for less.",
    )
