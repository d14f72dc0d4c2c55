"""Partners that speak version 1 and know nothing else, written from docs/protocol.md as it was then: not to be changed.

They use none of the product's code: frames are made and read here. What they send and expect is what every device and
relay of that version does.
"""

import zlib
from contextlib import asynccontextmanager
from typing import Any

import cbor2
import pycrdt
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.typing import Subprotocol

SUBPROTOCOL = Subprotocol("crdt-sync.v1")
HELLO, WELCOME, CHANGES, WANT, UPDATES, HAVE, PUSH, ACK = range(1, 9)
RECEIPT_REQUEST, RECEIPT, PRESENCE, PING, PONG, BYE = range(10, 16)
KNOWN = {*range(HELLO, ACK + 1), 9, *range(RECEIPT_REQUEST, BYE + 1), 16, 17, 18}
NOW = 1_750_000_000_000_000


def frame(*message):
    body = cbor2.dumps(list(message))
    return zlib.crc32(body).to_bytes(4, "big") + body


def read(data):
    """The message; anything that version 1 does not have is a violation."""
    assert zlib.crc32(data[4:]).to_bytes(4, "big") == data[:4]
    message = cbor2.loads(data[4:])
    if message[0] not in KNOWN:
        raise AssertionError(f"version 1 has no message of type {message[0]}")
    return message


class OldRelay:
    """A relay that keeps its log in memory. `heard` are the types of all messages that came."""

    def __init__(self):
        self.log = []  # (record, update)
        self.heard = []
        self.broken = []  # why sessions ended that should not
        self._sessions = set()

    def of(self, record):
        updates = [update for known, update in self.log if known == record]
        return pycrdt.merge_updates(*updates)

    def feed(self, after):
        newest = {record: seq for seq, (record, _) in enumerate(self.log, 1)}
        return [
            [record, seq, pycrdt.get_state(self.of(record))]
            for record, seq in sorted(newest.items(), key=lambda item: item[1])
            if seq > after
        ]

    def _end(self):
        """The end of the feed, which is told once its pages are answered."""
        return frame(CHANGES, 2, len(self.log), [])

    @asynccontextmanager
    async def serving(self):
        async with serve(self._talk, "127.0.0.1", 0, subprotocols=[SUBPROTOCOL], compression=None) as server:
            yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"

    async def _talk(self, link):
        try:
            async for data in link:
                message = read(data)
                self.heard.append(message[0])
                await self._answer(link, *message)
        except (AssertionError, ValueError, TypeError) as wrong:
            self.broken.append(wrong)
            await link.send(frame(BYE, "protocol_violation", str(wrong)[:256], None))
        finally:
            self._sessions.discard(link)

    async def _answer(self, link, kind, *fields):
        match kind:
            case 1:
                versions, _replica, _token, _now, resume, _follow, count, _agent = fields
                assert 1 in versions
                assert resume is None or resume[0] == b"e" * 16
                cursor = resume[1] if resume else 0
                compare = resume is None and count > 0
                assert not compare, "this double compares no digests: begin with an empty device"
                await link.send(frame(WELCOME, 1, b"r" * 16, NOW, b"e" * 16, len(self.log), 0, 4 << 20, None))
                self._sessions.add(link)
                entries = self.feed(cursor)
                told = frame(CHANGES, 1, len(self.log), entries) if entries else self._end()
                await link.send(told)
            case 4:
                page, wanted = fields
                entries = [
                    [record, self.of(record), pycrdt.get_state(self.of(record))] for record, _state_vector in wanted
                ]
                await link.send(frame(UPDATES, page, len(self.log), len(self.log), True, entries))
                if page == 1:
                    await link.send(self._end())
            case 7:
                number, entries = fields
                self.log += [(record, update) for record, update in entries]
                verdicts = [[0, len(self.log) - len(entries) + place] for place in range(1, len(entries) + 1)]
                await link.send(frame(ACK, number, len(self.log), len(self.log), verdicts))
                for other in self._sessions - {link}:
                    live = [[record, update, b""] for record, update in entries]
                    await other.send(frame(UPDATES, 0, len(self.log), len(self.log), True, live))
            case 13:
                await link.send(frame(PONG, fields[0]))
            case 6 | 12 | 14 | 15:
                pass
            case other:
                raise AssertionError(f"a device of version 1 sends no message of type {other} here")


class OldDevice:
    """A device that keeps its documents in memory."""

    def __init__(self, name):
        self.replica = name.encode().ljust(16, b"-")
        self.documents = {}
        self.resume: Any = None
        self._outbox = []

    def write(self, record, field, value):
        """An edit, as version 1 lays records out."""
        document = self.documents.setdefault(record, pycrdt.Doc())
        before = document.get_state()
        document.get(f"c.{field}", type=pycrdt.Array).append(pycrdt.Array() if value is None else [value, NOW, "old"])
        self._outbox.append((record, document.get_update(before)))

    def shown(self, record, field):
        entries = self.documents[record].get(f"c.{field}", type=pycrdt.Array).to_py()
        return [entry[0] for entry in entries]

    async def sync(self, url, token=""):
        """Fetch all, push all, say bye; returns the types of what came."""
        heard = []
        async with connect(url, subprotocols=[SUBPROTOCOL], compression=None, proxy=None) as link:
            count = 0 if self.resume is None else len(self.documents)
            await link.send(frame(HELLO, [1], self.replica, token, NOW, self.resume, True, count, "old"))
            kind, version, _replica, _now, epoch, _head, mode, _bytes, _behind = read(await link.recv())
            assert (kind, version, mode) == (WELCOME, 1, 0)
            received = pending = 0
            caught_up = pushed = False
            while not (caught_up and pushed and not pending):
                kind, *fields = read(await link.recv())
                heard.append(kind)
                match kind:
                    case 3:
                        page, cursor, entries = fields
                        if entries:
                            await link.send(
                                frame(WANT, page, [[record, self._state(record)] for record, *_ in entries])
                            )
                            pending += 1
                        else:
                            caught_up = True
                            self.resume = [epoch, cursor, cursor]
                            if self._outbox:
                                await link.send(frame(PUSH, 1, [list(entry) for entry in self._outbox]))
                            else:
                                pushed = True
                    case 5:
                        _page, cursor, head, last, entries = fields
                        for record, update, _vector in entries:
                            self.documents.setdefault(record, pycrdt.Doc()).apply_update(update)
                            received += len(update)
                        pending -= last
                        await link.send(frame(HAVE, cursor or 0, received))
                    case 8:
                        _number, cursor, head, verdicts = fields
                        assert [verdict[0] for verdict in verdicts] == [0] * len(self._outbox)
                        self._outbox.clear()
                        self.resume = [epoch, cursor or self.resume[1], head]
                        pushed = True
                    case 13:
                        await link.send(frame(PONG, fields[0]))
                    case other:
                        assert other == 12, f"a relay sends a device of version 1 no message of type {other} here"
            await link.send(frame(BYE, "done", "", None))
        return heard

    def _state(self, record):
        return self.documents[record].get_state() if record in self.documents else b"\0"
