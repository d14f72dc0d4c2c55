"""Logs somebody in with a login system, who enters a code on another device: until that is done, or the code expires.

What is sent goes to the addresses that the login system names, by https; it is redirected nowhere. Answers are bounded,
and so is the time. The id token is handed back, and written nowhere.
"""

import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import NoReturn
from urllib.parse import urlencode

from crdt_sync.errors import LoginFailed, Unreachable
from crdt_sync.identity import device_grant
from crdt_sync.identity.device_grant import Code, Pending
from crdt_sync.limits import LOGIN_ANSWER_BYTES_MAX

_ANSWER_S = 20.0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> NoReturn:
        """What is asked of one address is asked of no other."""
        raise LoginFailed("the login system sends elsewhere", "Name the address that it calls its issuer.")


def log_in(
    issuer: str,
    client: str,
    scope: str,
    nonce: str,
    show: Callable[[Code], None],
    sleep: Callable[[float], None] = time.sleep,
    steady: Callable[[], float] = time.monotonic,
) -> str:
    """The id token of whoever logs in at `issuer`. `show` tells them the code; `nonce` is of this device. `steady` and
    `sleep` are in seconds.

    Raises `LoginFailed`, `Unreachable`.
    """
    device_grant.check_address(issuer, "the address")
    status, raw = _asked(issuer.rstrip("/") + device_grant.DISCOVERY)
    if status != 200:
        raise LoginFailed(f"what is at {issuer} does not describe a login system: status {status}", "Check --login.")
    system = device_grant.read_system(issuer, raw)
    code = device_grant.read_code(*_asked(system.device, {"client_id": client, "scope": scope, "nonce": nonce}))
    show(code)
    token = _polled(system.token, client, code, sleep, steady)
    device_grant.check_token(token, system.issuer, client, nonce)
    return token


def _polled(address: str, client: str, code: Code, sleep: Callable[[float], None], steady: Callable[[], float]) -> str:
    form = {"grant_type": device_grant.GRANT, "device_code": code.secret, "client_id": client}
    ends, interval = steady() + code.expires, code.interval
    while steady() + interval < ends:
        sleep(interval)
        try:
            found = device_grant.read_token(*_asked(address, form))
        except Unreachable:
            interval = device_grant.backed_off(interval)
            continue
        if isinstance(found, str):
            return found
        if found is Pending.TOO_FAST:
            interval = device_grant.slower(interval)
    raise device_grant.expired()


def _asked(address: str, form: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    """The status and the answer. Raises `LoginFailed` for one that is too long, `Unreachable`."""
    data = None if form is None else urlencode(form).encode("ascii")
    request = urllib.request.Request(address, data, {"Accept": "application/json"})
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        try:
            answer = opener.open(request, timeout=_ANSWER_S)
        except urllib.error.HTTPError as error:
            answer = error  # a refusal is an answer
        with answer:
            raw = answer.read(LOGIN_ANSWER_BYTES_MAX + 1)
            status = answer.status
    except (OSError, HTTPException, ValueError) as error:  # ValueError: a name that is none
        reason = getattr(error, "reason", None) or error
        raise Unreachable(f"the login system at {address} cannot be reached: {reason}", "Check the network.") from None
    if len(raw) > LOGIN_ANSWER_BYTES_MAX:
        raise LoginFailed("the login system answers with far too much", "Check the address after --login.")
    return status, raw
