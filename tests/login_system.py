"""A login system for tests: OpenID Connect Discovery, a JWKS, and the device flow of RFC 8628, over HTTP.

It acts as the RFC says: codes expire, open once, and who asks faster than it was told has to slow down. Its clock is
handed in, so that nobody waits.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

CLIENT = "crdt-sync"
KEY = rsa.generate_private_key(65537, 2048)


class Clock:
    """Steady time that passes as somebody sleeps; `during` is called with each pause, before it is over."""

    def __init__(self, during: Callable[[int], None] = lambda _: None) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []
        self.during = during

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.during(len(self.pauses))
        self.now += seconds


class Granted:
    """One device that asked for a code."""

    def __init__(self, nonce: str, begun: float, interval: float) -> None:
        self.nonce, self.begun, self.interval = nonce, begun, interval
        self.asked = begun
        self.claims: Mapping[str, Any] | None = None
        self.denied = self.used = False


class LoginSystem(ThreadingHTTPServer):
    """See the module. `instead` answers a path in its place: a status, headers and bytes; with 0 nothing."""

    def __init__(self, clock: Clock, interval: float | None = 5, expires: int = 600) -> None:
        self.clock, self.interval, self.expires = clock, interval, expires
        self.codes: dict[str, Granted] = {}
        self.requests: list[str] = []
        self.instead: dict[str, tuple[int, Mapping[str, str], bytes]] = {}
        self.keeps_nonce = True
        self.audience: object = CLIENT
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer({})

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                self._answer({name: values[0] for name, values in parse_qs(raw.decode()).items()})

            def _answer(self, form: Mapping[str, str]) -> None:
                outer.requests.append(self.path)
                if self.path in outer.instead:
                    status, headers, body = outer.instead[self.path]
                    if not status:
                        self.close_connection = True
                        return
                else:
                    status, said = outer.answer(self.path, form)
                    headers, body = {}, json.dumps(said).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, path: str, form: Mapping[str, str]) -> tuple[int, Mapping[str, Any]]:
        match path:
            case "/.well-known/openid-configuration":
                return 200, {
                    "issuer": self.url,
                    "jwks_uri": f"{self.url}/jwks",
                    "device_authorization_endpoint": f"{self.url}/device",
                    "token_endpoint": f"{self.url}/token",
                }
            case "/jwks":
                return 200, {
                    "keys": [{**json.loads(RSAAlgorithm.to_jwk(KEY.public_key())), "kid": "k", "alg": "RS256"}]
                }
            case "/device":
                return self._begin(form)
            case "/token":
                return self._token(form)
        return 404, {}

    def allow(self, **claims: Any) -> None:
        """Somebody enters the code, and logs in."""
        list(self.codes.values())[-1].claims = claims

    def deny(self) -> None:
        """Somebody enters the code, and says no."""
        list(self.codes.values())[-1].denied = True

    def _begin(self, form: Mapping[str, str]) -> tuple[int, Mapping[str, Any]]:
        if form.get("client_id") != CLIENT:
            return 401, {"error": "invalid_client", "error_description": "no such client"}
        if "openid" not in form.get("scope", "").split():
            return 400, {"error": "invalid_scope"}
        secret = f"secret-{len(self.codes)}"
        self.codes[secret] = Granted(form.get("nonce", ""), self.clock(), self.interval or 5)
        interval = {} if self.interval is None else {"interval": self.interval}
        return 200, {
            "device_code": secret,
            "user_code": "WDJB-MJHT",
            "verification_uri": f"{self.url}/activate",
            "verification_uri_complete": f"{self.url}/activate?code=WDJB-MJHT",
            "expires_in": self.expires,
            **interval,
        }

    def _token(self, form: Mapping[str, str]) -> tuple[int, Mapping[str, Any]]:
        code = self.codes.get(form.get("device_code", ""))
        if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:device_code":
            return 400, {"error": "unsupported_grant_type"}
        if code is None or code.used or form.get("client_id") != CLIENT:
            return 400, {"error": "invalid_grant"}
        early, code.asked = self.clock() < code.asked + code.interval, self.clock()
        if self.clock() >= code.begun + self.expires:
            return 400, {"error": "expired_token"}
        if early:
            return 400, {"error": "slow_down"}
        if code.denied:
            return 400, {"error": "access_denied"}
        if code.claims is None:
            return 400, {"error": "authorization_pending"}
        code.used = True
        now = int(time.time())
        says = {"iss": self.url, "aud": self.audience, "iat": now, "exp": now + 600, "email_verified": True}
        nonce = {"nonce": code.nonce} if code.nonce and self.keeps_nonce else {}
        token = jwt.encode({**says, **nonce, **code.claims}, KEY, "RS256", {"kid": "k"})
        return 200, {"access_token": "a", "token_type": "Bearer", "id_token": token}


@contextmanager
def login_system(clock: Clock, **settings: Any) -> Iterator[LoginSystem]:
    """One that runs."""
    server = LoginSystem(clock, **settings)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
