"""How programs of one machine reach the owner, and what bytes that are no message do to it: nothing."""

import os
import random
import socket
import struct
import threading
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync import Replica, bundled_schema, strict_cbor
from crdt_sync.errors import CrdtSyncError, KeyTaken, NotServed, OwnerGone, StoreFull, UnknownRecord
from crdt_sync.limits import FRAME_DEPTH_MAX, OWNER_FRAME_ITEMS_MAX
from crdt_sync.records import Document, Editor
from crdt_sync.replica.owner import asking, local, serving
from crdt_sync.replica.owner.asking import STAGED_EDITS, Owner, find
from crdt_sync.replica.owner.failures import packed, unpacked
from crdt_sync.replica.owner.frames import VERSION, receive, send
from crdt_sync.replica.owner.link import Link, NoAnswer
from crdt_sync.replica.owner.message import BadFrame
from crdt_sync.replica.owner.sent import SentEdit
from crdt_sync.replica.owner.serving import Server
from tests.replica.owner.conftest import US


@pytest.fixture(params=["socket", "port"])
def replica(request, tmp_path):
    replica = Replica.create(tmp_path / "store", "anna", [bundled_schema("customers")], share=False)
    with replica.edit(US, create=True) as customer:
        customer["name"] = "Us"
    server = Server.start(replica, tmp_path / "store", "a test", unix=request.param == "socket")
    yield replica
    server.close()
    replica.close()


def greeted(replica):
    link = local.connect(replica.store.path)
    send(link, "hello", VERSION)
    accepted, *_ = receive(link, 5) or ()
    assert accepted is True
    return link


def ended(link):
    """Whether the owner ends this link, whatever it says before."""
    try:
        while receive(link, 10) is not None:
            pass
    except (ConnectionError, BadFrame):
        pass
    link.close()
    return True


def test_only_the_user_of_the_store_may_call(replica):
    (name,) = {path.name for path in replica.store.path.iterdir()} & {"owner", "owner.port"}
    assert (replica.store.path / name).stat().st_mode & 0o777 == 0o600


def test_a_caller_of_another_user_is_refused(replica, monkeypatch):
    if not hasattr(socket, "SO_PEERCRED") or not (replica.store.path / "owner").exists():
        pytest.skip("proved by the secret")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    if os.getuid() == 0:
        monkeypatch.setattr(struct, "unpack", lambda *_: (1, 4242, 1))
    with pytest.raises(OSError):  # noqa: PT011 - refused here, or by the other side
        local.connect(replica.store.path)


def test_a_caller_that_does_not_know_the_secret_is_refused(replica, tmp_path):
    path = replica.store.path / "owner.port"
    if not path.exists():
        pytest.skip("the mode of the socket says who may call")
    other = tmp_path / "other"
    other.mkdir()
    (other / "owner.port").write_text(f"{path.read_text().split()[0]} {'00' * 32}\n")
    with pytest.raises(OSError):  # noqa: PT011 - refused, or reset
        local.connect(other)
    assert greeted(replica).close() is None


def test_what_is_sent_waits_for_no_acknowledgement(replica, monkeypatch):
    """As small messages that follow each other do, 40 ms each, where TCP gathers them."""
    links, check = [], local.Listener.check
    monkeypatch.setattr(local.Listener, "check", lambda listener, link: (check(listener, link), links.append(link)))
    with greeted(replica) as link:
        links.append(link)
        at_once = [
            each.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
            for each in links
            if each.family != socket.AF_UNIX
        ]
        assert len(links) == 2
        assert at_once == ([True, True] if (replica.store.path / "owner.port").exists() else [])


def called(replica):
    """A caller that proves nothing, and says nothing yet."""
    path = replica.store.path
    if (path / "owner").exists():
        link = socket.socket(socket.AF_UNIX)
        link.connect(str(path / "owner"))
        return link
    return socket.create_connection(("127.0.0.1", int((path / "owner.port").read_text().split()[0])), 5)


def served(replica):
    with Owner(replica.store.path) as owner:
        return owner.ask("digests") is None


def test_callers_that_say_nothing_or_vanish_keep_nobody_waiting(replica, monkeypatch):
    for module in (local, serving):
        monkeypatch.setattr(module, "_GREETING_S", 0.5)
    silent = called(replica)
    gone = called(replica)
    gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    gone.sendall(b"x")
    gone.close()
    assert served(replica)
    assert ended(silent)
    assert served(replica)


def test_more_silent_callers_than_may_be_give_way_to_a_program(replica, monkeypatch):
    monkeypatch.setattr(serving, "OWNER_CLIENTS_MAX", 4)
    silent = [called(replica) for _ in range(40)]
    with Owner(replica.store.path) as first:
        silent += [called(replica) for _ in range(40)]
        assert served(replica)
        assert first.ask("digests") is None
    for link in silent:
        link.close()


def test_a_call_that_fails_ends_no_listening(replica, monkeypatch):
    """As where too many files are open."""
    accept = local.Listener.accept
    failures = iter([OSError(24, "Too many open files"), ConnectionAbortedError()])

    def failing(listener):
        link = accept(listener)
        if (failure := next(failures, None)) is not None:
            link.close()
            raise failure
        return link

    monkeypatch.setattr(local.Listener, "accept", failing)
    for _ in range(3):
        with suppress(OSError, OwnerGone):
            Owner(replica.store.path).close()
    assert served(replica)


@pytest.mark.parametrize(
    "text", ["", "x", "0 " + "00" * 32, "70000 " + "00" * 32, "80", "80 zz", "-1 " + "00" * 32, "\xff"]
)
def test_a_file_that_names_no_port_names_nobody(tmp_path, text):
    (tmp_path / "owner.port").write_text(text, "utf-8")
    assert find(tmp_path) is None
    with pytest.raises(OSError, match="nobody"):
        local.connect(tmp_path)


def test_an_owner_of_another_version_is_not_spoken_to(replica):
    link = local.connect(replica.store.path)
    send(link, "hello", VERSION + 1)
    assert ended(link)


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x01\xff",
        b"\x00\x00\x00\x03\xa1\x01\x02",
        b"\x00\x00\x00\x10short",
        b"\x00\x00\x00\x01\x05",
        (1 << 20).to_bytes(4, "big") + b"\x80" * (1 << 20),
        (100_001).to_bytes(4, "big") + b"\x9a\x00\x01\x86\x9c" + b"\xf6" * 99_996,
    ],
)
def test_bytes_that_are_no_message_end_the_link_and_nothing_else(replica, raw):
    for link in (local.connect(replica.store.path), greeted(replica)):
        link.sendall(raw)
        link.shutdown(socket.SHUT_WR)
        assert ended(link)
    with Owner(replica.store.path) as owner:
        assert owner.ask("digests") is None


@pytest.mark.parametrize(
    "answer", [None, (), (True,), (False, 1), (False, ()), (False, ("code", "text", None, ())), ("yes", 1)]
)
def test_an_answer_that_is_not_understood_is_none(replica, monkeypatch, answer):
    link = Link(replica.store.path)
    monkeypatch.setattr("crdt_sync.replica.owner.link.receive", lambda *_: answer)
    with pytest.raises(NoAnswer) as none:
        link.exchange(("digests",), 5)
    assert none.value.sent


def test_whatever_is_asked_the_owner_goes_on(replica):
    """Requests of every name with values of every kind, edits that are none among them."""
    rng = random.Random(1)
    values = (
        None,
        True,
        0,
        -1,
        1 << 63,
        "",
        US,
        "customers/\x00",
        b"",
        b"\x00" * 40,
        (),
        ((),),
        ((US, b"", b"", 1, True),),
    )
    names = ("take", "give", "stage", "commit", "schema", "meta", "digests", "integrate", "events", "stop", "sync", "x")
    threads = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(threading, "excepthook", threads.append)
        for _ in range(150):
            link = greeted(replica)
            send(link, rng.choice(names), *rng.choices(values, k=rng.randrange(6)))
            link.shutdown(socket.SHUT_WR)
            assert ended(link)
        for update in (b"", b"\xff", b"\x01\x01\x01\x00\x84\xff", rng.randbytes(60)):
            link = greeted(replica)
            send(link, "commit", 0, ((US, update, b"\x00", 77, True),))
            assert ended(link) if (answer := receive(link, 10)) is None else answer[0] is False
            link.close()
    assert threads == []
    assert dict(replica.get(US)) == {"name": "Us"}
    assert replica.store.verify().findings == ()


def test_settings_that_the_owner_has_in_its_memory_are_not_written_by_others(replica):
    for key in ("name", "clock", "schemas", "schema/customers"):
        link = greeted(replica)
        send(link, "meta", ((key, b"x"),))
        assert ended(link)
    assert replica.store.meta("name") == b"anna"


def test_what_was_lent_goes_back_with_the_link(replica):
    with Owner(replica.store.path) as owner:
        first = owner.ask("take", US)
        second = owner.ask("take", US)
        assert first != second
        owner.ask("give", US, second)
        assert owner.ask("take", US) == second
    link = greeted(replica)  # which waits until the owner has seen the end of the other
    for _ in range(1000):
        send(link, "take", US)
        _, writer = receive(link, 10) or ()
        if writer == first:
            break
        send(link, "give", US, writer)
        receive(link, 10)
    assert writer == first
    link.close()


def test_what_nobody_offers_is_not_served(replica):
    with Owner(replica.store.path) as owner, pytest.raises(NotServed, match="'dance'"):
        owner.ask("dance")


def test_a_server_that_is_closed_leaves_nothing_behind(replica):
    owner = Owner(replica.store.path)
    server = Server.start(replica, replica.store.path)
    server.close()
    server.close()
    assert not {"owner", "owner.port"} & {path.name for path in replica.store.path.iterdir()}
    with pytest.raises(OSError):  # noqa: PT011 - not there, or refused
        Owner(replica.store.path)
    owner.close()


def test_as_many_edits_as_go_in_one_message_are_read_in_one():
    edit = SentEdit(US, b"x" * 60, b"\x00", 1 << 52, may_add=True)
    body = strict_cbor.dumps(("commit", 1 << 62, (edit.packed(),) * STAGED_EDITS))
    read = strict_cbor.loads(body, items_max=OWNER_FRAME_ITEMS_MAX, depth_max=FRAME_DEPTH_MAX)
    assert isinstance(read, tuple)
    assert len(read[2]) == STAGED_EDITS


def test_a_batch_of_more_edits_than_go_in_one_message_is_stored_whole(replica, monkeypatch):
    monkeypatch.setattr(asking, "STAGED_EDITS", 3)
    edits = []
    for number in range(10):
        document = Document.load((), 100 + number)
        Editor(document, bundled_schema("customers"), replica.clock, "ben", "customers")["name"] = str(number)
        edits.append(SentEdit(f"customers/{number}", document.diff(), b"\x00", 100 + number, may_add=False))
    with Owner(replica.store.path) as owner:
        assert owner.commit(edits, 0)
    assert [replica.get(edit.record)["name"] for edit in edits] == [str(number) for number in range(10)]


@pytest.mark.parametrize(
    "error",
    [
        KeyTaken("taken", "hint", "customers/x"),
        UnknownRecord("customers/x"),
        StoreFull("full", "make room"),
        CrdtSyncError("some", ""),
    ],
)
def test_errors_are_raised_again_as_they_were(error):
    read = strict_cbor.loads(strict_cbor.dumps(packed(error)), items_max=100, depth_max=6)
    assert isinstance(read, tuple)
    again = unpacked(read)
    assert type(again) is type(error)
    assert again.as_dict() == error.as_dict()
    assert vars(again) == vars(error)


@given(st.recursive(st.none() | st.integers() | st.text() | st.binary(), lambda inner: st.lists(inner).map(tuple)))
def test_an_error_that_is_none_is_told_from_others(value):
    message = value if isinstance(value, tuple) else (value,)
    with suppress(BadFrame):
        assert isinstance(unpacked(message), CrdtSyncError)
