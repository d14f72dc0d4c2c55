"""Devices that talk to each other directly: over TLS and proof, in both directions, several at once."""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from crdt_sync import Address, Replica, bundled_schema, compare_once, keep_syncing_forever, sync_once
from crdt_sync.errors import Unauthorized, UsageError
from crdt_sync.protocol import SUBPROTOCOL, codec, dialer, proof
from crdt_sync.protocol.messages import Bye, Hello
from crdt_sync.protocol.versions import GREETING
from crdt_sync.runtime import certificate
from crdt_sync.runtime.listening import Listener, listening
from tests.damage import flip_bit

pytestmark = pytest.mark.usefixtures("local_workers")

TOKEN = "a-token-of-the-space"
LOOPBACK = "127.0.0.1"
PATIENCE_S = 30.0


@contextmanager
def devices(folder: Path, *names: str) -> Iterator[list[Replica]]:
    opened: list[Replica] = []
    try:
        for name in names:
            opened.append(Replica.create(folder / name, name, [bundled_schema("customers")]))
        yield opened
    finally:
        for replica in opened:
            replica.close()


@asynccontextmanager
async def listens(replica: Replica, folder: Path, token: str = TOKEN) -> AsyncIterator[Listener]:
    tls = certificate.own(folder / replica.name)
    async with listening(replica, LOOPBACK, 0, token, tls) as listener:
        yield listener


def direct(listener: Listener, token: str = TOKEN) -> Address:
    return Address(listener.url, token, direct=True)


def add(replica: Replica, name: str) -> str:
    with replica.edit("customers") as customer:
        customer["name"] = name
    return customer.record


async def eventually(what: str, holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.01)


def names(replica: Replica) -> list[str]:
    return sorted(view["name"] for view in replica.list("customers"))


def same(replicas: Sequence[Replica]) -> bool:
    return len({replica.receipt().root for replica in replicas}) == 1


def test_two_devices_exchange_everything_and_prove_it(tmp_path: Path) -> None:
    async def scenario(ann: Replica, bob: Replica) -> None:
        record = add(ann, "Müller GmbH")
        add(bob, "Schmidt KG")
        async with listens(ann, tmp_path) as listener:
            assert listener.url.startswith("wss://")
            await sync_once(bob, direct(listener))
            assert names(ann) == names(bob) == ["Müller GmbH", "Schmidt KG"]
            with ann.edit(record) as customer:
                customer["phone"] = "1"
            with bob.edit(record) as customer:
                customer["phone"] = "2"
            found = await compare_once(bob, direct(listener))
        assert found.equal
        assert found.ours.count == 2
        assert [conflict.field for _, conflict in ann.conflicts()] == ["phone"]
        assert [conflict.field for _, conflict in bob.conflicts()] == ["phone"]

    with devices(tmp_path, "ann", "bob") as (ann, bob):
        asyncio.run(scenario(ann, bob))


def test_a_damaged_record_of_a_device_that_listens_is_told_on_both_sides(tmp_path: Path) -> None:
    async def scenario(ann: Replica, bob: Replica) -> None:
        record = next(iter(ann.list())).record
        async with listens(ann, tmp_path) as listener:
            progress = await sync_once(bob, direct(listener))
            assert (progress.received, progress.missing) == (1, 1)
        assert list(bob.status().unreadable) == [record]
        assert list(ann.status().damaged) == [record]

    with devices(tmp_path, "ann", "bob") as (ann, bob):
        for name in ("Müller", "Schmidt"):
            add(ann, name)
        record = next(iter(ann.list())).record
        seq = ann.store.history(record)[0].seq
        ann.close()
        flip_bit(tmp_path / "ann", b"log", seq.to_bytes(8, "big"))
        with Replica.open(tmp_path / "ann") as again:
            asyncio.run(scenario(again, bob))


def test_what_one_device_brings_is_passed_on_to_the_others_without_echo(tmp_path: Path) -> None:
    """bob dials ann and carl at once; dora dials carl: an edit of any of them reaches all, once."""

    async def scenario(ann: Replica, bob: Replica, carl: Replica, dora: Replica) -> None:
        everybody = [ann, bob, carl, dora]
        async with AsyncExitStack() as stack:
            at_ann = await stack.enter_async_context(listens(ann, tmp_path))
            at_carl = await stack.enter_async_context(listens(carl, tmp_path))
            links = [(bob, at_ann), (bob, at_carl), (dora, at_carl)]
            tasks = [asyncio.create_task(keep_syncing_forever(who, direct(at))) for who, at in links]
            for replica in everybody:
                add(replica, replica.name)
            await eventually("all have all", lambda: all(len(names(replica)) == 4 for replica in everybody))
            for replica in everybody:
                add(replica, f"{replica.name} again")
            await eventually("all have all", lambda: all(len(names(replica)) == 8 for replica in everybody))
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        heads = [replica.store.head() for replica in everybody]  # now that no commit is under way in another thread
        assert same(everybody)
        assert heads == [8, 8, 8, 8], "every update is stored once on each device, however many ways it came"

    with devices(tmp_path, "ann", "bob", "carl", "dora") as (ann, bob, carl, dora):
        asyncio.run(scenario(ann, bob, carl, dora))


def test_what_is_pushed_to_a_device_goes_on_at_once_to_the_only_partner_that_it_calls(tmp_path: Path) -> None:
    async def scenario(ann: Replica, bob: Replica, carl: Replica) -> None:
        async with listens(bob, tmp_path) as at_bob, listens(carl, tmp_path) as at_carl:
            links = [(ann, at_bob), (bob, at_carl)]
            tasks = [asyncio.create_task(keep_syncing_forever(who, direct(at))) for who, at in links]
            add(ann, "first")
            await eventually("carl has it", lambda: names(carl) == ["first"])
            add(ann, "second")
            await eventually("carl has it", lambda: names(carl) == ["first", "second"])
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    with devices(tmp_path, "ann", "bob", "carl") as (ann, bob, carl):
        asyncio.run(scenario(ann, bob, carl))


@pytest.mark.parametrize("pushed", [True, False])
def test_where_stamps_are_refused_the_sessions_compare_their_clocks_again(tmp_path: Path, pushed: bool) -> None:
    """By a listening device that is pushed to, and by one that fetches from it: either clock may be the wrong one.

    Whose push was refused hears of it, and compares its clock with all its partners.
    """
    expected = {"early", "late"} if pushed else {"early"}

    async def scenario(early: Replica, late: Replica) -> None:
        doubted = []
        early.context.watch_clock(lambda: doubted.append("early"))
        late.context.watch_clock(lambda: doubted.append("late"))
        add(early, "first")
        async with listens(early, tmp_path) as at_early, listens(late, tmp_path) as at_late:
            who, at = (late, at_early) if pushed else (early, at_late)
            task = asyncio.create_task(keep_syncing_forever(who, direct(at)))
            await eventually("they are in sync", lambda: names(late) == ["first"])
            late.clock.correct(7_200_000_000)  # as when it is set in mid-session
            record = add(late, "second")
            await eventually("the clocks are doubted", lambda: set(doubted) == expected)
            if not pushed:
                await eventually("it is noted", lambda: list(early.status().unreadable) == [record])
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert set(doubted) == expected
        assert early.store.record_head(record) is None
        assert bool(early.status().unreadable) is not pushed

    with devices(tmp_path, "early", "late") as (early, late):
        for replica in (early, late):  # who knows a relay's time takes no other device's
            replica.context.correct_clock(b"", 0, by_relay=True)
        asyncio.run(scenario(early, late))


def test_a_single_sync_goes_on_where_the_clocks_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one compares them anyway."""
    monkeypatch.setattr(dialer, "_ANEW_US", 0)

    async def scenario(early: Replica, late: Replica) -> None:
        late.clock.correct(7_200_000_000)
        record = add(late, "stamped ahead")
        async with listens(late, tmp_path) as listener:
            await sync_once(early, direct(listener))
        assert list(early.status().unreadable) == [record]

    with devices(tmp_path, "early", "late") as (early, late):
        for replica in (early, late):
            replica.context.correct_clock(b"", 0, by_relay=True)
        asyncio.run(scenario(early, late))


def test_edits_made_while_pushes_are_stored_are_not_lost(tmp_path: Path) -> None:
    """The listening device edits the very records that are pushed to it, all the time."""

    async def scenario(ann: Replica, bob: Replica) -> None:
        record = add(ann, "Müller GmbH")
        async with listens(ann, tmp_path) as listener:
            await sync_once(bob, direct(listener))
            task = asyncio.create_task(keep_syncing_forever(bob, direct(listener)))

            def edit(replica: Replica) -> None:
                for _ in range(40):
                    with replica.edit(record) as customer:
                        customer.increment("visits")

            await asyncio.gather(asyncio.to_thread(edit, ann), asyncio.to_thread(edit, bob))
            for replica in (ann, bob):
                await eventually("all counted", lambda replica=replica: replica.get(record)["visits"] == 80)  # type: ignore[misc]
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert same([ann, bob])

    with devices(tmp_path, "ann", "bob") as (ann, bob):
        asyncio.run(scenario(ann, bob))


def test_devices_that_meet_again_pay_for_what_changed_also_at_another_address(tmp_path: Path) -> None:
    async def scenario(ann: Replica, bob: Replica) -> None:
        with ann.batch():
            for number in range(300):
                add(ann, f"customer {number}")
        async with listens(ann, tmp_path) as listener:
            assert (await sync_once(bob, direct(listener))).received == 300
        add(ann, "one more")
        async with listens(ann, tmp_path) as listener:
            progress = await sync_once(bob, direct(listener))
        assert (progress.received, progress.pushed) == (1, 0)
        assert [partner.replica for partner in bob.partners()] == [ann.id.hex()]

    with devices(tmp_path, "ann", "bob") as (ann, bob):
        asyncio.run(scenario(ann, bob))


@pytest.mark.parametrize(("theirs", "ours"), [(TOKEN, "another-token-entirely"), (TOKEN, ""), ("", TOKEN)])
def test_a_device_of_another_space_learns_nothing(tmp_path: Path, theirs: str, ours: str) -> None:
    async def scenario(ann: Replica, bob: Replica) -> None:
        add(ann, "Müller GmbH")
        add(bob, "Schmidt KG")
        async with listens(ann, tmp_path, theirs) as listener:
            with pytest.raises(Unauthorized, match="token"):
                await sync_once(bob, direct(listener, ours))
        assert names(bob) == ["Schmidt KG"]
        assert names(ann) == ["Müller GmbH"]

    with devices(tmp_path, "ann", "bob") as (ann, bob):
        asyncio.run(scenario(ann, bob))


def test_a_token_may_be_exchanged_while_a_device_listens(tmp_path: Path) -> None:
    new = "another-token-entirely"
    known = TOKEN

    async def scenario(ann: Replica, bob: Replica) -> None:
        nonlocal known
        async with listening(ann, LOOPBACK, 0, lambda: known, certificate.own(tmp_path)) as listener:
            await sync_once(bob, direct(listener))
            known = new
            with pytest.raises(Unauthorized):
                await sync_once(bob, direct(listener))
            add(ann, "Müller GmbH")
            assert (await sync_once(bob, direct(listener, new))).received == 1

    with devices(tmp_path, "ann", "bob") as (ann, bob):
        asyncio.run(scenario(ann, bob))


def test_a_stranger_between_two_devices_is_noticed_by_both(tmp_path: Path) -> None:
    """He ends TLS with a certificate of his own and passes the upgrade on; the proofs are bound to another one."""

    async def scenario(ann: Replica, bob: Replica) -> None:
        (tmp_path / "stranger").mkdir()
        context, _ = certificate.own(tmp_path / "stranger")
        async with listens(ann, tmp_path) as listener:

            async def between(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                there = await asyncio.open_connection(LOOPBACK, listener.port, ssl=certificate.unchecked())
                await asyncio.gather(_pass_on(reader, there[1]), _pass_on(there[0], writer), return_exceptions=True)

            server = await asyncio.start_server(between, LOOPBACK, 0, ssl=context)
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(Unauthorized):
                await sync_once(bob, Address(f"wss://{LOOPBACK}:{port}", TOKEN, direct=True))
            server.close()

    with devices(tmp_path, "ann", "bob") as (ann, bob):
        asyncio.run(scenario(ann, bob))


@pytest.mark.parametrize("said", ["token itself", "no nonce", "proof of the acceptor", "proof of an earlier meeting"])
def test_only_a_fresh_proof_of_the_dialer_opens_the_door(tmp_path: Path, said: str) -> None:
    async def knock(listener: Listener, nonce: bytes | None, say: Callable[[proof.Exchange], str]) -> Bye:
        headers = {proof.NONCE_HEADER: nonce.hex()} if nonce else {}
        async with connect(
            listener.url,
            ssl=certificate.unchecked(),
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            additional_headers=headers,
            proxy=None,
        ) as websocket:
            assert websocket.response is not None
            theirs = proof.read_nonce(websocket.response.headers.get(proof.NONCE_HEADER)) or b""
            tls: ssl.SSLObject = websocket.transport.get_extra_info("ssl_object")
            certificate_bytes = tls.getpeercert(binary_form=True) or b""
            binding = hashlib.sha256(certificate_bytes).digest()
            exchange = proof.Exchange(nonce or b"", theirs, binding)
            await websocket.send(codec.encode(Hello((GREETING,), bytes(16), say(exchange), 1, None, True, 0, "knocks")))
            frame = await websocket.recv()
            assert isinstance(frame, bytes)
            message = codec.decode(frame)
            assert isinstance(message, Bye)
            return message

    async def scenario(ann: Replica) -> None:
        nonce = bytes(range(16))
        async with listens(ann, tmp_path) as listener:
            earlier: list[str] = []

            def wrong(exchange: proof.Exchange) -> str:
                earlier.append(exchange.dialer(TOKEN))
                return "no proof"

            ways: dict[str, tuple[bytes | None, Callable[[proof.Exchange], str]]] = {
                "token itself": (nonce, lambda _: TOKEN),
                "no nonce": (None, lambda _: TOKEN),
                "proof of the acceptor": (nonce, lambda exchange: exchange.acceptor(TOKEN)),
                "proof of an earlier meeting": (nonce, lambda _: earlier[0]),
            }
            await knock(listener, nonce, wrong)
            assert (await knock(listener, *ways[said])).code == "unauthorized"

    with devices(tmp_path, "ann") as (ann,):
        asyncio.run(scenario(ann))


def test_nobody_listens_to_a_whole_network_without_a_token(tmp_path: Path) -> None:
    async def scenario(ann: Replica) -> None:
        async with listening(ann, "0.0.0.0", 0, "", None):
            pass

    with devices(tmp_path, "ann") as (ann,), pytest.raises(UsageError, match="everybody on the network"):
        asyncio.run(scenario(ann))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()
