"""The accepting end of a hand-in: it takes updates and a bye, tells nothing of records, and has an end."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from crdt_sync import limits
from crdt_sync.protocol import codec
from crdt_sync.protocol.acceptor import Refusal
from crdt_sync.protocol.entries import PushEntry, WantEntry
from crdt_sync.protocol.handing_in import KEPT, HandedIn
from crdt_sync.protocol.messages import DONE, Bye, Hello, Message, Ping, Push, Said, Want, Welcome
from crdt_sync.protocol.principal import Principal
from crdt_sync.protocol.versions import VERSIONS
from crdt_sync.runtime.guests import Guest
from crdt_sync.runtime.hosting.admission import Admission
from crdt_sync.runtime.hosting.handing_in import attend, hello_of
from crdt_sync.runtime.transports.channel import ChannelClosed
from crdt_sync.runtime.transports.memory import memory_pair

RECORD = "customers/" + "a" * 26
ENTRY = PushEntry(RECORD, b"update")
DEVICE = b"D" * 16
SHOWN = "unsent-1.key.signature"


def hello(token: str = SHOWN, versions: tuple[int, ...] = VERSIONS) -> Hello:
    return Hello(versions, bytes(16), token, 0, None, follow=False, count=0, agent="")


class Desk(Guest):
    """Keeps what is handed in, or says why nothing is."""

    def __init__(self, refusal: Refusal | None = None) -> None:
        super().__init__(lambda _: Refusal("unauthorized", ""))
        self.refusal = refusal
        self.kept: list[Sequence[PushEntry]] = []
        self.ended = 0

    def hands_in(self, hello: Hello) -> Principal | Refusal:
        return self.refusal or Principal(DEVICE, bytes(16), "anna")

    def hand_in_begun(self, give_up: Callable[[], None]) -> None:
        self.give_up = give_up

    async def handed_in(self, came: HandedIn) -> Refusal:
        self.kept.append(came.entries)
        return Refusal(KEPT, "kept")

    def hand_in_ended(self) -> None:
        self.ended += 1


async def attended(desk: Desk, *said: Message | None, versions: tuple[int, ...] = VERSIONS) -> list[Message]:
    """What a device hears that says this; None: it is gone."""
    ours, theirs = memory_pair()
    asked = attend(theirs, hello(versions=versions), desk, desk.hands_in, bytes(16), lambda: 0)
    attending = asyncio.create_task(asked)
    for message in said:
        if message is None:
            await asyncio.sleep(0)
            await ours.close()
        else:
            ours.send(codec.encode(message))
    heard: list[Message] = []
    try:
        async with asyncio.timeout(30):
            await attending
            await theirs.close()
            while True:
                heard.append(codec.decode(await ours.receive(), version=3))
    except ChannelClosed:
        return heard


def test_a_hello_is_of_a_hand_in_where_it_shows_that_proof() -> None:
    assert hello_of(codec.encode(hello())) == hello()
    for other in (hello("proof-1.a.b"), hello("x unsent-1."), Ping(1)):
        assert hello_of(codec.encode(other)) is None
    assert hello_of(b"unsent-1. and no frame") is None


def test_updates_come_and_are_kept_once_all_have_come() -> None:
    desk = Desk()
    heard = asyncio.run(attended(desk, Push(1, (ENTRY,)), Push(2, (ENTRY,)), Bye(DONE, "", None)))
    assert [type(message) for message in heard] == [Welcome, Bye]
    assert heard[-1] == Bye(KEPT, "kept", None)
    assert (desk.kept, desk.ended) == ([[ENTRY, ENTRY]], 1)


@pytest.mark.parametrize("other", [Want(0, (WantEntry(RECORD, b"\0"),)), Ping(1), hello(), Bye("going_away", "", None)])
def test_nothing_else_is_answered_and_nothing_kept(other: Message) -> None:
    desk = Desk()
    heard = asyncio.run(attended(desk, Push(1, (ENTRY,)), other))
    assert {type(message) for message in heard} <= {Welcome, Bye}
    assert all(message.code == "protocol_violation" for message in heard if isinstance(message, Bye))
    assert (desk.kept, desk.ended) == ([], 1)


def test_a_device_that_is_gone_has_handed_in_nothing() -> None:
    desk = Desk()
    asyncio.run(attended(desk, Push(1, (ENTRY,)), None))
    assert (desk.kept, desk.ended) == ([], 1)


def test_a_hand_in_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HAND_IN_S_MAX", 0.05)
    desk = Desk()
    heard = asyncio.run(attended(desk, Push(1, (ENTRY,))))
    assert isinstance(heard[-1], Bye)
    assert heard[-1].code == "timeout"
    assert (desk.kept, desk.ended) == ([], 1)


def test_a_hand_in_is_given_up_where_the_device_comes_again() -> None:
    async def story() -> None:
        desk = Desk()
        ours, theirs = memory_pair()
        attending = asyncio.create_task(attend(theirs, hello(), desk, desk.hands_in, bytes(16), lambda: 0))
        await ours.receive()  # the welcome
        ours.send(codec.encode(Push(1, (ENTRY,))))
        desk.give_up()
        assert await attending == "timeout"
        desk.give_up()  # is over, and says nothing
        assert (desk.kept, desk.ended) == ([], 1)

    asyncio.run(story())


@pytest.mark.parametrize(("versions", "said"), [(VERSIONS, True), ((1, 2), False)])
def test_who_may_not_hand_in_hears_why_as_its_space_said_it(versions: tuple[int, ...], said: bool) -> None:
    desk = Desk(Refusal("device_revoked", "it was revoked", None, (b"statement",)))
    heard = asyncio.run(attended(desk, versions=versions))
    assert heard[-1] == Bye("device_revoked", "it was revoked", None)
    assert (Said((b"statement",)) in heard) is said
    assert (desk.kept, desk.ended) == ([], 1)


def test_the_turn_of_a_device_that_is_to_wait_is_over() -> None:
    """Its key is proved, and it began; then it is sent away for what its updates did before."""
    admission = Admission(lambda: 1_000_000)
    admission.cost("", DEVICE, limits.POISON_STRIKES_MAX)
    desk = Desk()
    _, theirs = memory_pair()
    authorise = admission.visitor("192.0.2.7").guarded(desk.hands_in)
    assert asyncio.run(attend(theirs, hello(), desk, authorise, bytes(16), lambda: 0)) == "poisoned"
    assert (desk.kept, desk.ended) == ([], 1)
