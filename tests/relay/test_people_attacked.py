"""Attacks on a running relay whose space has identities: each is refused, with the reason that helps whoever erred."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from crdt_relay.server import Relay
from crdt_sync.audit_log.chain import body_of
from crdt_sync.audit_log.entry import Act, administered, decode
from crdt_sync.errors import IdentityRefused, RemoteError
from crdt_sync.identity.claims import Claims
from crdt_sync.identity.handshake import Handshake
from crdt_sync.identity.invites import read_link
from crdt_sync.identity.keys import KeyPair
from crdt_sync.identity.known import KNOWS_HEADER, Known, read_known
from crdt_sync.identity.revocations import Revocations, Revoked
from crdt_sync.identity.statement import Statement
from crdt_sync.identity.statements import Versions
from crdt_sync.identity.tokens import claims_for, issue
from crdt_sync.limits import POISON_STRIKES_MAX, TOKEN_GUESSES_MAX
from crdt_sync.membership.member import Membership
from crdt_sync.protocol import codec, proof
from crdt_sync.protocol.messages import Ack, Bye, Hello, Message, Push, PushEntry, Said, Terms
from crdt_sync.protocol.versions import NEWEST, VERSIONS
from tests.relay.devices import Device, update
from tests.relay.people import device, invited, join, patience, sync, with_people

pytestmark = pytest.mark.usefixtures("local_workers")

THIEF = KeyPair(b"t" * 32)


class Attacker:
    """Somebody who speaks the protocol by hand, from the upgrade on."""

    def __init__(self, relay: Relay, space: bytes) -> None:
        self.relay = relay
        self.space = space
        self.nonce = os.urandom(16)
        self.device: Device | None = None

    async def connect(self) -> Handshake:
        """What both ends sign over on this connection."""
        known = Known(Versions(), bytes(8))
        headers = {proof.NONCE_HEADER: self.nonce.hex(), KNOWS_HEADER: str(known)}
        self.device = await Device.open(self.relay.url, additional_headers=headers)
        told = self.device.websocket.response.headers
        assert read_known(told[KNOWS_HEADER]) is not None
        return Handshake(self.space, self.nonce, bytes.fromhex(told[proof.NONCE_HEADER]), b"")

    @property
    def told(self) -> str:
        """The proof of the relay."""
        return self.device.websocket.response.headers[proof.PROOF_HEADER]

    async def say(self, shown: str) -> str:
        """The code of the bye that follows hello; empty where it is let in."""
        hello = Hello(VERSIONS, self.device.replica, shown, 1, None, follow=True, count=0, agent="attacker")
        await self.device.send(hello)
        while True:
            answer = await self.hear()
            if isinstance(answer, Bye):
                return answer.code
            if isinstance(answer, Terms):
                return ""

    async def tell(self, message: Message) -> None:
        """Send a message of the newest version."""
        await self.device.websocket.send(codec.encode(message, NEWEST))

    async def hear(self) -> Message:
        """The next message."""
        async with asyncio.timeout(patience.seconds):
            frame = await self.device.websocket.recv()
        assert isinstance(frame, bytes)
        return codec.decode(frame, version=NEWEST)

    async def bye(self) -> Bye:
        """The bye, whatever comes before it."""
        while True:
            message = await self.hear()
            if isinstance(message, Bye):
                return message


Attack = Callable[[Attacker, Handshake, Membership, Relay], Awaitable[str]]


async def with_anna(tmp_path, attack: Attack) -> str:
    """What comes of an attack by somebody who has all that Anna's device keeps but its key."""
    async with with_people(tmp_path / "relay") as relay:
        with device(tmp_path / "anna", "anna-phone") as anna:
            await join(anna, invited(relay))
            await sync(anna, relay.url)
            member = anna.membership
            assert member is not None
            attacker = Attacker(relay, member.space)
            handshake = await attacker.connect()
            try:
                return await attack(attacker, handshake, member, relay)
            finally:
                await attacker.device.websocket.close()


def forged(header: dict[str, object], claims: Claims, sign: Callable[[bytes], bytes]) -> str:
    """A token in a form of the attacker's choice."""

    def encoded(raw: bytes) -> str:
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    body = {
        "aud": claims.space.hex(),
        "sub": claims.user,
        "dev": claims.device.hex(),
        "cnf": {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": encoded(claims.key.raw)}},
        "iat": claims.issued // 1_000_000,
        "exp": claims.expires // 1_000_000,
        "jti": claims.id.hex(),
    }
    signed = ".".join(encoded(json.dumps(part).encode()) for part in (header, body))
    return f"{signed}.{encoded(sign(signed.encode()).ljust(64, b'x')[:64])}"


async def honest(attacker, handshake, member, relay) -> str:
    return await attacker.say(handshake.prove_device("dialer", member.pair, member.facts.token))


async def stolen_token(attacker, handshake, member, relay) -> str:
    return await attacker.say(handshake.prove_device("dialer", THIEF, member.facts.token))


async def bare_token(attacker, handshake, member, relay) -> str:
    return await attacker.say(member.facts.token)


async def another_end(attacker, handshake, member, relay) -> str:
    return await attacker.say(handshake.prove_device("acceptor", member.pair, member.facts.token))


async def another_connection(attacker, handshake, member, relay) -> str:
    shown = replace(handshake, acceptor_nonce=bytes(16)).prove_device("dialer", member.pair, member.facts.token)
    return await attacker.say(shown)


async def another_certificate(attacker, handshake, member, relay) -> str:
    return await attacker.say(
        replace(handshake, binding=bytes(32)).prove_device("dialer", member.pair, member.facts.token)
    )


async def reflected(attacker, handshake, member, relay) -> str:
    return await attacker.say(attacker.told)


async def expired(attacker, handshake, member, relay) -> str:
    claims = claims_for(member.space, "anna", THIEF.public, bytes(16), 1_000_000_000)
    return await attacker.say(handshake.prove_device("dialer", THIEF, issue(claims, relay.people.authority.pair)))


async def of_tomorrow(attacker, handshake, member, relay) -> str:
    claims = claims_for(member.space, "anna", THIEF.public, bytes(16), 4_000_000_000_000_000)
    return await attacker.say(handshake.prove_device("dialer", THIEF, issue(claims, relay.people.authority.pair)))


async def other_space(attacker, handshake, member, relay) -> str:
    claims = claims_for(bytes(16), "anna", THIEF.public, bytes(16), member.now())
    return await attacker.say(handshake.prove_device("dialer", THIEF, issue(claims, relay.people.authority.pair)))


async def own_space_key(attacker, handshake, member, relay) -> str:
    claims = claims_for(member.space, "anna", THIEF.public, bytes(16), member.now())
    return await attacker.say(handshake.prove_device("dialer", THIEF, issue(claims, THIEF)))


def as_anna(member: Membership) -> Claims:
    return claims_for(member.space, "anna", THIEF.public, bytes(16), member.now())


async def no_algorithm(attacker, handshake, member, relay) -> str:
    kid = relay.people.authority.pair.public.kid.hex()
    token = forged({"alg": "none", "typ": "crdt-sync+jwt", "kid": kid}, as_anna(member), lambda _: b"")
    return await attacker.say(handshake.prove_device("dialer", THIEF, token))


async def public_key_as_secret(attacker, handshake, member, relay) -> str:
    public = relay.people.authority.pair.public
    header = {"alg": "HS256", "typ": "crdt-sync+jwt", "kid": public.kid.hex()}
    token = forged(header, as_anna(member), lambda signed: hmac.new(public.raw, signed, hashlib.sha256).digest())
    return await attacker.say(handshake.prove_device("dialer", THIEF, token))


async def own_key_under_the_kid(attacker, handshake, member, relay) -> str:
    kid = relay.people.authority.pair.public.kid.hex()
    token = forged({"alg": "EdDSA", "typ": "crdt-sync+jwt", "kid": kid}, as_anna(member), THIEF.sign)
    return await attacker.say(handshake.prove_device("dialer", THIEF, token))


async def guessed_invite(attacker, handshake, member, relay) -> str:
    return await attacker.say(handshake.enrol(THIEF, os.urandom(16)))


async def renewed_by_nobody(attacker, handshake, member, relay) -> str:
    return await attacker.say(handshake.renew(THIEF))


async def wiped_though_nobody_said_so(attacker, handshake, member, relay) -> str:
    code = await attacker.say(handshake.confirm_wiped(member.pair))
    assert relay.people.device(member.device.hex())["wiped"] is None
    return code


ATTACKS = [
    (honest, ""),
    (stolen_token, "proof_invalid"),
    (bare_token, "proof_malformed"),
    (another_end, "proof_invalid"),
    (another_connection, "proof_invalid"),
    (another_certificate, "proof_invalid"),
    (reflected, "proof_malformed"),
    (expired, "token_expired"),
    (of_tomorrow, "token_not_yet_valid"),
    (other_space, "token_foreign_space"),
    (own_space_key, "token_unknown_key"),
    (no_algorithm, "token_malformed"),
    (public_key_as_secret, "token_malformed"),
    (own_key_under_the_kid, "token_forged"),
    (guessed_invite, "invite_unknown"),
    (renewed_by_nobody, "device_unknown"),
    (wiped_though_nobody_said_so, "proof_malformed"),
]


@pytest.mark.parametrize(("attack", "expected"), ATTACKS, ids=lambda value: getattr(value, "__name__", ""))
def test_what_comes_of_an_attack(tmp_path, attack: Attack, expected: str) -> None:
    assert asyncio.run(with_anna(tmp_path, attack)) == expected


def test_a_handshake_that_was_heard_is_worth_nothing_the_next_time(tmp_path) -> None:
    async def replayed(attacker: Attacker, handshake: Handshake, member: Membership, relay: Relay) -> str:
        shown = handshake.prove_device("dialer", member.pair, member.facts.token)
        assert await attacker.say(shown) == ""
        again = Attacker(relay, member.space)
        again.nonce = attacker.nonce
        await again.connect()
        code = await again.say(shown)
        await again.device.websocket.close()
        return code

    assert asyncio.run(with_anna(tmp_path, replayed)) == "proof_invalid"


def test_a_statement_that_somebody_made_up_ends_the_session_and_counts_nowhere(tmp_path) -> None:
    async def lie(attacker: Attacker, handshake: Handshake, member: Membership, relay: Relay) -> str:
        assert await honest(attacker, handshake, member, relay) == ""
        out = Revocations({bytes(16): Revoked(1, wipe=True)}, {"ben": 1})
        made_up = Statement(member.space, 9, 1, out)
        under_our_kid = made_up.signed_by(THIEF).replace(THIEF.public.kid, relay.people.authority.pair.public.kid)
        await attacker.tell(Terms(member.space, True, bytes(16), ()))
        await attacker.tell(Said((under_our_kid,)))
        bye = await attacker.bye()
        assert relay.people.authority.statements.versions.revocations == 0
        return bye.code

    assert asyncio.run(with_anna(tmp_path, lie)) == "protocol_violation"


def test_the_audit_log_names_the_device_that_was_proved_whatever_replica_it_calls_itself(tmp_path) -> None:
    async def push(attacker: Attacker, handshake: Handshake, member: Membership, relay: Relay) -> str:
        relay.engine.audit()
        attacker.device.replica = bytes(range(16))
        assert await honest(attacker, handshake, member, relay) == ""
        await attacker.tell(Terms(member.space, True, bytes(16), ()))
        await attacker.tell(Push(1, (PushEntry("customers/a", b"\0"),)))
        while not isinstance(await attacker.hear(), Ack):
            pass
        await attacker.device.websocket.close()
        await relay.engine.recorder.noted(administered(1, "a test", "read"))  # with all before it
        told = [decode(body_of(value)) for _, value in relay.store.audit_after(0, 100)]
        assert {entry.device for entry in told if entry.act in {Act.LOGIN, Act.CHANGE}} == {member.device}
        assert Act.CHANGE in {entry.act for entry in told}
        return ""

    assert asyncio.run(with_anna(tmp_path, push)) == ""


def test_a_revoked_device_pushes_nothing_more(tmp_path) -> None:
    async def push(attacker: Attacker, handshake: Handshake, member: Membership, relay: Relay) -> str:
        assert await honest(attacker, handshake, member, relay) == ""
        await attacker.tell(Terms(member.space, True, bytes(16), ()))
        relay.people.revoke(member.device.hex(), wipe=False)
        await attacker.tell(Push(1, (PushEntry("customers/a", update("late")),)))
        bye = await attacker.bye()
        assert relay.store.count() == 0
        return bye.code

    assert asyncio.run(with_anna(tmp_path, push)) == "device_revoked"


def test_an_invite_is_not_told_to_a_relay_that_does_not_prove_the_key_in_it(tmp_path) -> None:
    async def story() -> None:
        async with with_people(tmp_path / "relay") as relay, with_people(tmp_path / "pretender") as pretender:
            link = replace(read_link(invited(relay)), address=pretender.url)
            with device(tmp_path / "anna", "anna") as anna:
                with pytest.raises(IdentityRefused) as error:
                    await join(anna, str(link))
                assert error.value.reason == "proof_invalid"
            assert pretender.people.devices()["devices"] == []
            assert pretender.engine.metrics.frames_received == 0
            with device(tmp_path / "ben", "ben") as ben:
                await join(ben, str(replace(link, address=relay.url)))

    asyncio.run(story())


def test_strangers_guess_no_more_than_before_and_members_come_in_all_the_same(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("crdt_sync.runtime.hosting.admission.is_loopback", lambda _: False)

    async def story() -> None:
        async with with_people(tmp_path / "relay") as relay:
            with device(tmp_path / "anna", "anna") as anna:
                await join(anna, invited(relay))
                codes = []
                for _ in range(TOKEN_GUESSES_MAX + 2):
                    attacker = Attacker(relay, anna.membership.space)
                    codes.append(await stolen_token(attacker, await attacker.connect(), anna.membership, relay))
                    await attacker.device.websocket.close()
                assert codes[:TOKEN_GUESSES_MAX] == ["proof_invalid"] * TOKEN_GUESSES_MAX
                assert codes[-1] == "unavailable"
                await sync(anna, relay.url)

    asyncio.run(story())


def test_who_proves_a_key_comes_in_whatever_others_at_its_address_guess_under_its_id(tmp_path, monkeypatch) -> None:
    """Replica ids are no secret, and an office has one address."""
    monkeypatch.setattr("crdt_sync.runtime.hosting.admission.is_loopback", lambda _: False)

    async def story() -> None:
        async with with_people(tmp_path / "relay") as relay:
            with device(tmp_path / "anna", "anna") as anna:
                await join(anna, invited(relay))
                for _ in range(TOKEN_GUESSES_MAX + 2):
                    attacker = Attacker(relay, anna.membership.space)
                    handshake = await attacker.connect()
                    attacker.device.replica = anna.id
                    code = await stolen_token(attacker, handshake, anna.membership, relay)
                    await attacker.device.websocket.close()
                assert code == "unavailable"
                attacker = Attacker(relay, anna.membership.space)
                assert await guessed_invite(attacker, await attacker.connect(), anna.membership, relay) == "unavailable"
                await attacker.device.websocket.close()
                await sync(anna, relay.url)
                anna.membership.token_refused("token_expired")
                await sync(anna, relay.url)  # it asks for a new token, by its key alone

    asyncio.run(story())


def test_a_device_that_is_sent_away_is_so_wherever_it_comes_from_and_no_other_is(tmp_path) -> None:
    async def story() -> None:
        async with with_people(tmp_path / "relay") as relay:
            with device(tmp_path / "anna", "anna") as anna, device(tmp_path / "ben", "ben") as ben:
                await join(anna, invited(relay))
                await join(ben, invited(relay, "ben"))
                relay.engine.admission.cost("", anna.membership.device, POISON_STRIKES_MAX)
                with pytest.raises(RemoteError, match="poisoned"):
                    await sync(anna, relay.url)
                await sync(ben, relay.url)

    asyncio.run(story())
