"""Several spaces at one relay: each works as ever, and nothing of one is to be had from another, or from without."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog
from prometheus_client import generate_latest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from crdt_relay import hosted, spaces
from crdt_relay.administration import Administration
from crdt_relay.observability import Metrics
from crdt_relay.people_requests import place
from crdt_relay.server import Relay
from crdt_relay.settings import load
from crdt_relay.space import Space, wall_clock
from crdt_sync.errors import CrdtSyncError, IdentityRefused, InvalidSettings, SpaceExists, UnknownSpace, UsageError
from crdt_sync.identity.known import KNOWS_HEADER, Known
from crdt_sync.identity.statements import Versions
from crdt_sync.protocol import SUBPROTOCOL, codec, proof
from crdt_sync.protocol.messages import Bye, Hello, VerdictCode
from crdt_sync.protocol.versions import GREETING
from crdt_sync.replica import Replica
from crdt_sync.runtime.space_paths import at_space
from crdt_sync.runtime.transports.http.requests import Requests
from crdt_sync.runtime.transports.http.wire import KEY_HEADER, OPEN, Target
from crdt_sync.storage.lmdb import LmdbStore

from .devices import Device, eventually, running, update
from .people import POLICY, device, join, names, sync

pytestmark = pytest.mark.usefixtures("local_workers")

Answer = tuple[int, Sequence[str], str, int | None]


async def add(relay: Relay, name: str, policy: str = POLICY) -> Space:
    """A new space, with a policy in force."""
    await relay.spaces.add(name)
    space = of(relay, name)
    space.people.apply(policy, "policy.toml")
    return space


def of(relay: Relay, name: str) -> Space:
    return relay.spaces._spaces[name]


async def joined(relay: Relay, space: Space, path: Path, user: str = "anna", transport: str = "auto") -> Replica:
    """A new device of a space."""
    replica = device(path, f"{user}-{space.name}")
    link = str(space.people.invite(user, at_space(relay.url, space.name), b"")["link"])
    await join(replica, link, transport=transport)
    return replica


def edited(replica: Replica, name: str) -> None:
    with replica.edit("customers") as customer:
        customer["name"] = name


@pytest.mark.parametrize("transport", ["websocket", "http"])
def test_devices_of_two_spaces_have_each_what_is_theirs(tmp_path: Path, transport: str, worker_processes: None) -> None:
    async def scenario() -> None:
        async with running(tmp_path / "relay") as relay:
            for name in ("acme", "bolt"):
                space = await add(relay, name)
                one = await joined(relay, space, tmp_path / name, transport=transport)
                two = await joined(relay, space, tmp_path / f"{name}-2", "ben", transport)
                url = at_space(relay.url, name)
                with one, two:
                    edited(one, f"marker-of-{name}")
                    await sync(one, url, transport=transport)
                    await sync(two, url, transport=transport)
                    assert names(two) == [f"marker-of-{name}"]
            assert relay.engine.store.count() == 0
            assert of(relay, "acme").engine.pool.pid != of(relay, "bolt").engine.pool.pid

    asyncio.run(scenario())
    for name, other in (("acme", "bolt"), ("bolt", "acme")):
        held = [tmp_path / name, tmp_path / f"{name}-2", tmp_path / "relay" / "spaces" / name]
        found = b"".join(path.read_bytes() for folder in held for path in folder.rglob("*.mdb"))
        assert f"marker-of-{name}".encode() in found
        assert f"marker-of-{other}".encode() not in found


def test_the_device_of_a_space_is_nobody_in_another(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path / "relay") as relay:
            acme, bolt = await add(relay, "acme"), await add(relay, "bolt")
            with await joined(relay, acme, tmp_path / "device") as replica:
                edited(replica, "Müller")
                for path in (at_space(relay.url, "bolt"), at_space(relay.url, "nosuch"), relay.url):
                    with pytest.raises(IdentityRefused, match="does not prove"):
                        await sync(replica, path)
                assert len(bolt.engine.hub) == 0
                assert bolt.store.count() == relay.store.count() == 0

    asyncio.run(scenario())


def test_the_default_goes_on_as_an_open_relay(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path / "relay") as relay:
            await add(relay, "acme")
            for url in (relay.url, f"{relay.url}/", f"{relay.url}/anything", f"{relay.url}/s/default"):
                async with await Device.join(url) as someone:
                    assert await someone.store((f"customers/{len(url)}", update(1))) == [VerdictCode.ACCEPTED]

    asyncio.run(scenario())
    with LmdbStore.open(tmp_path / "relay" / "spaces" / "acme") as store:
        assert store.count() == 0


# --- what those hear who are of no space ------------------------------------------------------------------------------


def _hello() -> bytes:
    return codec.encode(Hello((GREETING,), bytes(16), "", 0, None, False, 0, "test"))


async def asked(relay: Relay, path: str, headers: dict[str, str]) -> Answer:
    """What is answered over a websocket: status, names and sizes of headers, and the bye that follows a hello."""
    async with connect(
        f"{relay.url}{path}",
        subprotocols=[Subprotocol(SUBPROTOCOL)],
        additional_headers=headers,
        compression=None,
        proxy=None,
    ) as websocket:
        assert websocket.response is not None
        said = sorted(f"{name}: {len(value)}" for name, value in websocket.response.headers.raw_items())
        await websocket.send(_hello())
        frame = await websocket.recv()
        assert isinstance(frame, bytes)
        bye = codec.decode(frame)
        assert isinstance(bye, Bye)
        return websocket.response.status_code, said, f"{bye.code}: {bye.message}", bye.retry_after_ms


async def requested(relay: Relay, path: str, headers: dict[str, str]) -> Answer:
    """The same over HTTP, without a hello."""
    url = f"{relay.url}{path}"
    requests = Requests(url, None, [(KEY_HEADER, os.urandom(16).hex()), *headers.items()])
    head, body = await requests.ask("POST", Target(OPEN).of(url))
    await requests.close()
    return head.status, sorted(f"{name}: {len(value)}" for name, value in head.headers), str(len(body)), None


def greetings(kid: bytes) -> list[dict[str, str]]:
    """What strangers may say of themselves who do not know a key of the space; `kid` is of another one."""
    nonce = {proof.NONCE_HEADER: os.urandom(proof.NONCE_BYTES).hex()}
    return [
        {},
        nonce,
        {KNOWS_HEADER: str(Known(Versions(1, 1), kid))},
        {**nonce, KNOWS_HEADER: str(Known(Versions(1, 1), kid))},
        {**nonce, KNOWS_HEADER: str(Known(Versions(1, 1), bytes(8)))},
        {**nonce, KNOWS_HEADER: "1.1.0.none"},
    ]


async def differences(relay: Relay) -> list[dict[str, str]]:
    """The greetings that tell a space that is there from one that is not."""
    bolt = of(relay, "bolt").people.authority
    assert bolt is not None
    return [
        greeting
        for greeting in greetings(bolt.pair.public.kid)
        for ask in (asked, requested)
        if await ask(relay, "/s/acme", greeting) != await ask(relay, "/s/none", greeting)
    ]


def test_a_stranger_cannot_tell_a_space_that_is_there_from_one_that_is_not(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path / "relay") as relay:
            for name in ("acme", "bolt"):
                await add(relay, name)
            assert not await differences(relay)
            acme = of(relay, "acme")
            assert acme.engine.metrics.frames_received == 0, "nothing of it was touched"

    asyncio.run(scenario())


def test_it_would_be_seen_if_a_space_answered_whoever_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Space, "knows", lambda _self, _kid: True)

    async def scenario() -> None:
        async with running(tmp_path / "relay") as relay:
            for name in ("acme", "bolt"):
                await add(relay, name)
            assert await differences(relay)

    asyncio.run(scenario())


def test_an_engine_of_another_space_would_be_seen_to_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the path alone chose the records, and the first door let in."""
    monkeypatch.setattr(hosted, "named_in", lambda _: "bolt")

    async def scenario() -> None:
        async with running(tmp_path / "relay") as relay:
            acme, bolt = await add(relay, "acme"), await add(relay, "bolt")
            assert bolt.name != acme.name
            with pytest.raises(CrdtSyncError):
                await joined(relay, acme, tmp_path / "device")

    asyncio.run(scenario())


# --- adding and removing ----------------------------------------------------------------------------------------------


def test_a_space_is_added_removed_and_put_back_while_others_are_served(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path / "relay") as relay:
            acme = await add(relay, "acme")
            with await joined(relay, acme, tmp_path / "device") as replica:
                edited(replica, "Müller")
                await sync(replica, at_space(relay.url, "acme"))
            async with await Device.join(relay.url) as other:
                kept = Path((await relay.spaces.do({"act": "remove", "space": "acme"}))["kept"])
                assert kept.is_relative_to(tmp_path / "relay" / "removed")
                assert [each["space"] for each in relay.spaces.all()] == ["default"]
                with Replica.open(tmp_path / "device") as replica, pytest.raises(IdentityRefused) as refused:
                    await sync(replica, at_space(relay.url, "acme"))
                assert "The space is closed there" in refused.value.hint
                await relay.spaces.do({"act": "add", "space": "acme", "back": str(kept)})
                assert not kept.exists()
                assert of(relay, "acme").store.count() == 1
                with await joined(relay, of(relay, "acme"), tmp_path / "second", "ben") as replica:
                    await sync(replica, at_space(relay.url, "acme"))
                    assert names(replica) == ["Müller"]
                assert await other.store(("customers/a", update(1))) == [VerdictCode.ACCEPTED]

    asyncio.run(scenario())


def test_a_space_outlives_its_relay_and_is_served_by_the_next(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path / "relay") as relay:
            acme = await add(relay, "acme")
            with await joined(relay, acme, tmp_path / "device") as replica:
                edited(replica, "Müller")
                await sync(replica, at_space(relay.url, "acme"))
        async with running(tmp_path / "relay") as relay:
            with Replica.open(tmp_path / "device") as replica:
                edited(replica, "Weiß")
                await sync(replica, at_space(relay.url, "acme"))
            assert of(relay, "acme").store.count() == 2

    asyncio.run(scenario())


def test_what_is_wrong_with_one_space_keeps_no_other_from_running(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path / "relay") as relay:
            for name in ("acme", "bolt", "coop"):
                await add(relay, name)
        folder = tmp_path / "relay" / "spaces"
        (folder / "acme" / "data.mdb").write_bytes(b"no store" * 9000)
        (folder / "void").mkdir()
        (folder / "bolt" / "space.key").unlink()
        with structlog.testing.capture_logs() as lines:
            async with running(tmp_path / "relay") as relay:
                told = {each["space"]: each for each in relay.spaces.all()}
                shown = generate_latest(relay.spaces._metrics.registry).decode()
        assert {name: each["ready"] for name, each in told.items()} == {
            "acme": False,
            "bolt": False,
            "coop": True,
            "default": True,
            "void": False,
        }
        assert told["bolt"]["reason"].startswith("key_unusable")
        assert 'crdt_relay_space_ready{space="acme"} 0.0' in shown
        assert 'crdt_relay_space_ready{space="coop"} 1.0' in shown
        failed = [line["space"] for line in lines if line["event"] == "space_not_served"]
        assert failed == ["acme", "bolt", "void"]

    asyncio.run(scenario())


@pytest.mark.parametrize("name", ["", "A", "../x", "a/b", ".", "a" * 41, "-a"])
def test_a_name_that_cannot_be_one_is_refused(tmp_path: Path, name: str) -> None:
    for call in (lambda: spaces.add(tmp_path, name, wall_clock), lambda: spaces.remove(tmp_path, name)):
        with pytest.raises(UsageError):
            call()
    assert not list(tmp_path.rglob("*.mdb"))


def test_two_spaces_are_not_called_alike_and_the_default_stays(tmp_path: Path) -> None:
    spaces.add(tmp_path, "acme", wall_clock)
    for name in ("acme", "default"):
        with pytest.raises(SpaceExists):
            spaces.add(tmp_path, name, wall_clock)
    with pytest.raises(UsageError):
        spaces.remove(tmp_path, "default")
    with pytest.raises(UnknownSpace, match="nosuch"):
        spaces.remove(tmp_path, "nosuch")
    assert spaces.names(tmp_path) == ["acme"]


def test_an_addition_that_was_cut_short_is_no_space_and_can_be_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Administration, "begin", cut)
        with pytest.raises(KeyboardInterrupt):
            spaces.add(tmp_path, "acme", wall_clock)
    assert spaces.names(tmp_path) == []
    spaces.add(tmp_path, "acme", wall_clock)
    assert spaces.names(tmp_path) == ["acme"]


# --- limits, logs and metrics of its own ------------------------------------------------------------------------------


def test_a_space_has_limits_of_its_own_beside_those_of_the_relay(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path / "relay", quota_device_bytes=5_000_000, sessions_max=500) as relay:
            await add(relay, "acme")
        own = tmp_path / "relay" / "spaces" / "acme" / "space.toml"
        own.write_text("quota_device_records = 7\nsessions_max = 3\n")
        async with running(tmp_path / "relay", quota_device_bytes=5_000_000, sessions_max=500) as relay:
            acme = of(relay, "acme")
            assert acme.engine.quotas.bounds.device.records == 7
            assert acme.engine.quotas.bounds.device.bytes == relay.engine.quotas.bounds.device.bytes == 5_000_000
            assert relay.engine.quotas.bounds.device.records is None
            assert (acme.settings.sessions_max, relay.settings.sessions_max) == (3, 500)
            own.write_text("quota_device_records = 9\n")
            assert relay.reload(relay.settings) == ["acme: sessions_max"]
            assert acme.engine.quotas.bounds.device.records == 9
            for wrong in ("quota_device_records = -1", "port = 1", 'token = "a-token-that-nobody-guesses"', "quota ="):
                own.write_text(wrong)
                with pytest.raises(InvalidSettings, match=r"space\.toml"):
                    relay.reload(relay.settings)
                assert acme.engine.quotas.bounds.device.records == 9

    asyncio.run(scenario())


def test_the_token_and_the_keys_of_the_relay_are_no_others(tmp_path: Path) -> None:
    async def scenario() -> None:
        token = "a-token-that-nobody-guesses"
        login: dict[str, Any] = {"oidc_issuer": "https://l", "oidc_audience": "crm", "oidc_keys": "https://l/keys"}
        async with running(tmp_path / "relay", token=token, **login) as relay:
            acme = await add(relay, "acme")
            assert acme.settings.tokens == ()
            assert (relay.settings.oidc_issuer, acme.settings.oidc_issuer) == ("https://l", None)
            assert acme.settings.space_key == tmp_path / "relay" / "spaces" / "acme" / "space.key"
            async with await Device.open(at_space(relay.url, "acme")) as someone:
                await someone.hello(token=token)
                assert (await someone.bye()).code == "identity_needed"

    asyncio.run(scenario())


def test_lines_of_the_log_name_the_space_that_they_are_of(tmp_path: Path) -> None:
    async def scenario() -> list[Any]:
        with structlog.testing.capture_logs() as lines:
            async with running(tmp_path / "relay") as relay:
                acme = await add(relay, "acme")
                with await joined(relay, acme, tmp_path / "device") as replica:
                    edited(replica, "Müller")
                    await sync(replica, at_space(relay.url, "acme"))
                async with await Device.join(relay.url) as other:
                    await other.store(("customers/a", update(1)))
        return list(lines)

    lines = asyncio.run(scenario())
    pushed = [line for line in lines if line["event"] == "session_pushed"]
    assert sorted(line.get("space", "") for line in pushed) == ["", "acme"]
    assert {line["space"] for line in lines if line["event"] == "device_joined"} == {"acme"}


def test_metrics_tell_spaces_apart_and_forget_one_that_is_removed() -> None:
    metrics = Metrics()
    for name in ("default", "acme"):
        metrics.of(name).commit_seconds.observe(0.003)
    metrics.of("acme").frames_sent += 5
    shown = generate_latest(metrics.registry).decode()
    assert 'crdt_relay_frames_total{direction="sent",space="acme"} 5.0' in shown
    assert 'crdt_relay_frames_total{direction="sent",space="default"} 0.0' in shown
    assert 'crdt_relay_commit_seconds_count{space="acme"} 1.0' in shown
    metrics.forget("acme")
    assert "acme" not in generate_latest(metrics.registry).decode()


def test_workers_of_a_space_where_nothing_happens_end_and_come_back(tmp_path: Path, worker_processes: None) -> None:
    async def scenario() -> None:
        async with running(tmp_path / "relay") as relay:
            acme = await add(relay, "acme")
            with await joined(relay, acme, tmp_path / "device") as replica:
                edited(replica, "Müller")
                await sync(replica, at_space(relay.url, "acme"))
                acme.rest()
                assert acme.engine.pool.pid is not None, "something came since"
                acme.rest()
                assert acme.engine.pool.pid is None
                edited(replica, "Weiß")
                await sync(replica, at_space(relay.url, "acme"))
                await eventually("both are stored", lambda: acme.store.count() == 2)

    asyncio.run(scenario())


def test_an_invite_names_the_space_whether_its_address_does_or_not(tmp_path: Path) -> None:
    spaces.add(tmp_path, "acme", wall_clock)
    acme = spaces.settings_of(load({"data": tmp_path}), "acme")
    for given in ("wss://relay.example.org", "wss://relay.example.org/", "wss://relay.example.org/s/acme"):
        assert place(acme, given, pin=False)[0] == "wss://relay.example.org/s/acme"
    with_address = load({"data": tmp_path, "address": "wss://relay.example.org/crm"})
    assert place(spaces.settings_of(with_address, "acme"), None, pin=False)[0] == "wss://relay.example.org/crm/s/acme"
    assert place(with_address, None, pin=False)[0] == "wss://relay.example.org/crm"


def kept_of(data: Path, name: str) -> Path:
    spaces.add(data, name, wall_clock)
    return Path(spaces.remove(data, name)["kept"])


def test_what_is_put_back_is_that_space(tmp_path: Path) -> None:
    acme, other = kept_of(tmp_path, "acme"), kept_of(tmp_path, "other")
    with pytest.raises(UsageError, match="was the space 'other', and not 'acme'") as told:
        spaces.add(tmp_path, "acme", wall_clock, other)
    assert f"crdt-relay space add other --back {other}" in told.value.hint
    with pytest.raises(UsageError, match="there is no space in"):
        spaces.add(tmp_path, "acme", wall_clock, tmp_path / "nowhere")
    assert spaces.names(tmp_path) == []
    spaces.add(tmp_path, "acme", wall_clock, acme)
    spaces.add(tmp_path, "other", wall_clock, other)
    assert spaces.names(tmp_path) == ["acme", "other"]


@pytest.mark.parametrize("called", ["anna-phone", "acme-20261201T101500Z"])
def test_the_store_of_a_device_is_put_back_as_no_space(tmp_path: Path, called: str) -> None:
    with Replica.create(tmp_path / called, "anna-phone"):
        (tmp_path / called / "device.key").write_bytes(b"k")
    with pytest.raises(UsageError, match="not what was kept of a space"):
        spaces.add(tmp_path / "relay", "acme", wall_clock, tmp_path / called)
    assert (tmp_path / called / "data.mdb").exists()


def test_spaces_that_are_removed_in_one_second_are_kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crdt_relay.spaces.time.strftime", lambda *_: "20261201T101500Z")
    kept = [kept_of(tmp_path, "acme") for _ in range(3)]
    assert [each.name for each in kept] == [f"acme-20261201T101500Z{more}" for more in ("", "-2", "-3")]
    spaces.add(tmp_path, "acme", wall_clock, kept[2])
