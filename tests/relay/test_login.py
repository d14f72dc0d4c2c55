"""Joining by a login system: a JWKS that an HTTP server gives, real keys, and what is not to be let in."""

import asyncio
import base64
import hashlib
import hmac
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import jwt
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from crdt_relay import login
from crdt_sync.cli.joining import _login
from crdt_sync.errors import IdentityRefused, InvalidSettings, UsageError
from crdt_sync.identity.invites import NO_SECRET, Link, read_link
from crdt_sync.identity.keys import KeyPair
from crdt_sync.membership import folder
from crdt_sync.runtime import Address
from crdt_sync.runtime.client import conversed
from crdt_sync.runtime.conversation import Conversation
from tests.relay.people import device, names, sync, with_people

pytestmark = pytest.mark.usefixtures("local_workers")

ISSUER, AUDIENCE = "https://login.example.org", "crdt-sync"
RSA, OTHER_RSA = (rsa.generate_private_key(65537, 2048) for _ in range(2))
EC = ec.generate_private_key(ec.SECP256R1())


def jwk(key, kid: str, **more: str) -> dict:
    public = key.public_key()
    made = RSAAlgorithm.to_jwk(public) if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm.to_jwk(public)
    return {**json.loads(made), "kid": kid, "use": "sig", **more}


JWKS = {
    "keys": [jwk(RSA, "one", alg="RS256"), jwk(EC, "two", alg="ES256"), {"kty": "oct", "k": "c2VjcmV0", "kid": "oct"}]
}


class Keys(HTTPServer):
    """Gives the JWKS, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.jwks: object = JWKS
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                body = json.dumps(outer.jwks).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/jwks.json"


@pytest.fixture
def keys():
    server = Keys()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def token(key=RSA, kid: str | None = "one", algorithm: str = "RS256", **claims: object) -> str:
    now = int(time.time())
    says = {"iss": ISSUER, "aud": AUDIENCE, "sub": "17", "email": "anna", "email_verified": True, "iat": now}
    says = {**says, "exp": now + 600, **claims}
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode({name: value for name, value in says.items() if value is not None}, key, algorithm, headers)


def typed(kind: object) -> str:
    """Signed as an id token is, and of another type."""
    head, says, _ = token().split(".")
    given = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    text = f"{part({**given, 'typ': kind})}.{says}"
    seal = RSA.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{text}.{base64.urlsafe_b64encode(seal).rstrip(b'=').decode()}"


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def confused(algorithm: str) -> str:
    """Signed with the public key as a shared secret, or not at all."""
    says = token().split(".")[1]
    text = f"{part({'alg': algorithm, 'kid': 'one', 'typ': 'JWT'})}.{says}"
    if algorithm == "none":
        return f"{text}."
    pem = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    seal = hmac.new(pem, text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(seal).rstrip(b'=').decode()}"


async def join(relay, path, text: str, name: str = "phone"):
    replica = device(path, name)
    link = read_link(relay.people.login_link(relay.url, b"")["link"])
    replica.join_as(folder.joining(path, link, text))
    async with asyncio.timeout(60):
        await conversed(lambda: Conversation(replica, Address(link.address)), Conversation.let_in)
    return replica


def oidc(keys: Keys | str) -> dict[str, str]:
    where = keys.url if isinstance(keys, Keys) else keys
    return {"oidc_issuer": ISSUER, "oidc_audience": AUDIENCE, "oidc_keys": where}


@pytest.mark.parametrize("made", [token, lambda: token(EC, "two", "ES256")], ids=["RS256", "ES256"])
def test_who_has_logged_in_joins_as_the_user_whom_the_claim_names(tmp_path, keys, made):
    async def story() -> None:
        async with with_people(tmp_path / "relay", **oidc(keys)) as relay:
            replica = await join(relay, tmp_path / "anna", made())
            assert replica.membership.user == "anna"
            with replica.edit("customers") as customer:
                customer["name"] = "Müller GmbH"
            await sync(replica, relay.url)
            assert names(replica) == ["Müller GmbH"]
            (known,) = relay.people.devices()["devices"]
            assert known["user"] == "anna"

    asyncio.run(story())


NOW = int(time.time())
REFUSED = {
    "another audience": (lambda: token(aud="another"), "it is for 'another'"),
    "several audiences": (lambda: token(aud=[AUDIENCE, "another"], azp="another"), "issued to another one"),
    "several audiences, issued to nobody": (lambda: token(aud=[AUDIENCE, "another"]), "issued to another one"),
    "issued to another one": (lambda: token(azp="another"), "issued to another one"),
    "an access token": (lambda: typed("at+jwt"), "of the type 'at+jwt'"),
    "a token of a strange type": (lambda: typed(["JWT"]), "of the type"),
    "another issuer": (lambda: token(iss="https://evil.example.org"), "issued by 'https://evil.example.org'"),
    "expired": (lambda: token(iat=NOW - 7200, exp=NOW - 3600), "it expired"),
    "no expiry": (lambda: token(exp=None), "from when until when"),
    "from tomorrow on": (lambda: token(iat=NOW + 86400, exp=NOW + 90000), "from later on"),
    "an unknown key": (lambda: token(OTHER_RSA, "three"), "'three', which the login system does not name"),
    "another key under its name": (lambda: token(OTHER_RSA), "signature does not hold"),
    "no key named": (lambda: token(kid=None), "by which key"),
    "the algorithm of another key": (lambda: token(RSA, "two"), "is for ES256"),
    "none": (lambda: confused("none"), "its algorithm is 'none'"),
    "HS256 with the public key": (lambda: confused("HS256"), "its algorithm is 'HS256'"),
    "a shared key of the JWKS": (lambda: token("secret", "oct", "HS256"), "its algorithm is 'HS256'"),
    "the nonce of another device": (lambda: token(nonce="00" * 16), "log in with the nonce"),
    "no user": (lambda: token(email=None), "'email' names no user"),
    "an address that was not verified": (lambda: token(email_verified=None), "was not verified"),
    "no token": (lambda: "a.b.c", "another shape"),
}


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_what_is_wrong_with_an_id_token_is_told_and_nobody_comes_in(tmp_path, keys):
    async def story() -> None:
        async with with_people(tmp_path / "relay", **oidc(keys)) as relay:
            for number, (what, (made, told)) in enumerate(REFUSED.items()):
                with pytest.raises(IdentityRefused) as error:
                    await join(relay, tmp_path / str(number), made())
                assert error.value.reason == "login_refused", what
                assert told in error.value.message, what
                assert "--id-token" in error.value.hint
            with pytest.raises(IdentityRefused) as error:
                await join(relay, tmp_path / "stranger", token(email="stranger"))
            assert error.value.reason == "user_disabled"
            assert relay.people.devices()["devices"] == relay.people.invites()["invites"] == []
            assert keys.asked <= 2

    asyncio.run(story())


def test_an_id_token_opens_one_device(tmp_path, keys):
    async def story() -> None:
        async with with_people(tmp_path / "relay", **oidc(keys)) as relay:
            text = token()
            await join(relay, tmp_path / "one", text)
            for number, again in enumerate((text, f"{text}==", f"{text}=")):  # the library takes several spellings
                with pytest.raises(IdentityRefused) as error:
                    await join(relay, tmp_path / f"two-{number}", again)
                assert error.value.reason in {"invite_used", "login_refused"}
            assert len(relay.people.devices()["devices"]) == 1
            await join(relay, tmp_path / "three", token(jti="another"))

    asyncio.run(story())


def test_keys_that_changed_are_fetched_when_a_token_names_them(tmp_path, keys, monkeypatch):
    monkeypatch.setattr(login, "_AGAIN_S", 0.0)

    async def story() -> None:
        async with with_people(tmp_path / "relay", **oidc(keys)) as relay:
            await join(relay, tmp_path / "one", token())
            keys.jwks = {"keys": [jwk(OTHER_RSA, "three", alg="RS256")]}
            await join(relay, tmp_path / "two", token(OTHER_RSA, "three"))
            monkeypatch.setattr(login, "_AGAIN_S", 60.0)
            with pytest.raises(IdentityRefused):  # the old one is gone
                await join(relay, tmp_path / "three", token(jti="2"))

    asyncio.run(story())


def test_a_token_for_this_device_alone_opens_it(tmp_path, keys):
    async def story() -> None:
        async with with_people(tmp_path / "relay", **oidc(keys)) as relay:
            with pytest.raises(IdentityRefused) as error:
                await join(relay, tmp_path / "one", token(nonce="x"))
            nonce = error.value.message.rpartition(" ")[2]
            replica = device(tmp_path / "again", "phone")
            (tmp_path / "one" / folder.KEY_FILE).rename(tmp_path / "again" / folder.KEY_FILE)
            link = read_link(relay.people.login_link(relay.url, b"")["link"])
            replica.join_as(folder.joining(tmp_path / "again", link, token(nonce=nonce)))
            async with asyncio.timeout(60):
                await conversed(lambda: Conversation(replica, Address(link.address)), Conversation.let_in)
            assert replica.membership.user == "anna"

    asyncio.run(story())


def test_a_relay_without_a_login_system_says_so(tmp_path):
    async def story() -> None:
        async with with_people(tmp_path / "relay") as relay:
            with pytest.raises(IdentityRefused, match="ask for an invite"):
                await join(relay, tmp_path / "one", token())

    asyncio.run(story())


def test_keys_in_a_file_are_read_at_once_or_the_relay_does_not_start(tmp_path):
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(JWKS), encoding="utf-8")

    async def story(where: str) -> None:
        async with with_people(tmp_path / "relay", **oidc(where)) as relay:
            await join(relay, tmp_path / "one", token())

    asyncio.run(story(str(path)))
    for wrong in ("", "[]", '{"keys": []}', '{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "x"}]}', "[" * 100_000):
        path.write_text(wrong, encoding="utf-8")
        with pytest.raises(InvalidSettings, match="JWKS"):
            asyncio.run(story(str(path)))


@pytest.mark.parametrize("text", ["a shared secret", "a.b", "a.b.c.d", "a" * 4000 + ".b.c"])
def test_the_command_names_what_is_no_id_token(tmp_path, text):
    file = tmp_path / "token"
    file.write_text(text, encoding="utf-8")

    link = Link("ws://relay", bytes(16), KeyPair(bytes(32)).public, b"", NO_SECRET)
    with pytest.raises(UsageError, match="is no id token"):
        _login(link, file)
    with pytest.raises(UsageError, match="cannot be read"):
        _login(link, tmp_path / "gone")
