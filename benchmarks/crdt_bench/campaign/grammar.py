"""Messages that are valid by themselves, drawn from the protocol's grammar, in any order and with any content."""

import random
from collections.abc import Callable

from crdt_sync.limits import RETRY_AFTER_MS_MAX
from crdt_sync.protocol import codec
from crdt_sync.protocol import messages as m
from crdt_sync.protocol.entries import Behind
from crdt_sync.protocol.reconcile import Ranges, encode
from crdt_sync.protocol.reconcile.messages import Equal, Item, Listing, Print, Reply, Split

_BIG = 2**53 - 1
_RECORDS = ("customers/a", "customers/b", "customers/c", "orders/1")


def frame(rng: random.Random) -> bytes:
    """One frame."""
    return codec.encode(rng.choice(_KINDS)(rng))


def hello(rng: random.Random) -> m.Hello:
    """A greeting that is often accepted."""
    epoch = rng.choice((b"e" * 16, rng.randbytes(16)))
    resume = m.Resume(epoch, _number(rng), _number(rng)) if rng.random() < 0.5 else None
    return m.Hello(rng.choice(((1,), (1, 2), (7,))), rng.randbytes(16), "", _number(rng), resume, True, 3, "fuzz")


def welcome(rng: random.Random) -> m.Welcome:
    """An answer that is often accepted."""
    mode = rng.choice((m.MODE_CHANGES, m.MODE_RECONCILE))
    frame_bytes_max = rng.choice((1 << 20, _BIG))
    behind = Behind(_number(rng), _number(rng)) if rng.random() < 0.5 else None
    return m.Welcome(1, rng.randbytes(16), _number(rng), b"e" * 16, _number(rng), mode, frame_bytes_max, behind)


def _number(rng: random.Random) -> int:
    return rng.choice((0, 1, 2, 3, 4, rng.randrange(100), _BIG))


def _record(rng: random.Random) -> str:
    return rng.choice(_RECORDS)


def _vector(rng: random.Random) -> bytes:
    return rng.choice((b"\x00", b"\x01\x05\x03", rng.randbytes(rng.randrange(1, 9))))


def _cursor(rng: random.Random) -> int | None:
    return rng.choice((None, _number(rng)))


def _some(rng: random.Random, least: int = 0) -> range:
    return range(rng.choice((least, 1, 2, 5)))


def _ack(rng: random.Random) -> m.Ack:
    verdicts = []
    for _ in _some(rng, 1):
        code = rng.choice(list(m.VerdictCode))
        refused = code is not m.VerdictCode.ACCEPTED
        vector = _vector(rng) if code is m.VerdictCode.GAP else b""
        reason = "no" if refused and code is not m.VerdictCode.GAP else ""
        wait = None
        if code is m.VerdictCode.RATE_LIMITED or (code is m.VerdictCode.QUOTA and rng.random() < 0.5):
            wait = m.RetryAfter(rng.choice((1, 1_000, RETRY_AFTER_MS_MAX)), rng.random() < 0.5)
        verdicts.append(m.Verdict(code, 0 if refused else _number(rng), vector, reason, retry_after=wait))
    return m.Ack(_number(rng), _cursor(rng), _number(rng), tuple(verdicts))


def _ranges(rng: random.Random) -> m.Ranges:
    """One turn of a comparison: answers of each kind, whatever was asked."""
    items = tuple(Item(record, rng.randbytes(16)) for record in _RECORDS[: rng.randrange(4)])
    answers = (
        Equal(rng.choice((1, 2, 17_408))),
        Split((), (Print(rng.choice((1, 2, 1 << 24)), rng.randbytes(16)),)),
        Split(("customers/b",), (Print(1, rng.randbytes(16)), Print(0, b""))),
        Listing(None, items),
        Reply(None, items, tuple(record for record in _RECORDS[3:] if rng.random() < 0.5)),
    )
    drawn = tuple(rng.choice(answers) for _ in range(rng.choice((0, 1, 1, 2, 3))))
    return m.Ranges(*encode(Ranges(drawn, rng.choice((0, 1, 1, 2, 3, 17_408)))))


def _check(rng: random.Random) -> m.Check:
    return m.Check(_number(rng), rng.random() < 0.5, tuple(_record(rng) for _ in _some(rng, 1)))


def _checked(rng: random.Random) -> m.Checked:
    """Also answers to what `hostile_sessions` asks."""
    entries = []
    for _ in _some(rng, 1):
        standing = rng.choice(list(m.Standing))
        length = 16 if standing < m.Standing.CHANGING else 0
        entries.append(m.CheckedEntry(_record(rng), rng.randbytes(length), rng.randbytes(length), standing))
    return m.Checked(_number(rng), tuple(entries))


def _or_ping(kind: Callable[[random.Random], m.Message]) -> Callable[[random.Random], m.Message]:
    """A drawn message that its constructor refuses is replaced by a ping."""

    def draw(rng: random.Random) -> m.Message:
        try:
            return kind(rng)
        except ValueError:
            return m.Ping(_number(rng))

    return draw


_KINDS: tuple[Callable[[random.Random], m.Message], ...] = (
    hello,
    welcome,
    lambda rng: m.Changes(
        _number(rng),
        _number(rng),
        tuple(m.ChangesEntry(_record(rng), _number(rng), _vector(rng)) for _ in _some(rng)),
    ),
    lambda rng: m.Want(_number(rng), tuple(m.WantEntry(_record(rng), _vector(rng)) for _ in _some(rng))),
    lambda rng: m.Updates(
        _number(rng),
        _cursor(rng),
        _number(rng),
        rng.random() < 0.5,
        tuple(m.UpdatesEntry(_record(rng), rng.randbytes(20), _vector(rng)) for _ in _some(rng)),
    ),
    lambda rng: m.Have(_number(rng), _number(rng)),
    lambda rng: m.Push(_number(rng), tuple(m.PushEntry(_record(rng), rng.randbytes(20)) for _ in _some(rng, 1))),
    _or_ping(_ack),
    _ranges,
    lambda rng: m.ReceiptRequest(_number(rng)),
    lambda rng: m.Receipt(_number(rng), _number(rng), _number(rng), rng.randbytes(32)),
    lambda rng: m.Audit(rng.random() < 0.5),
    _or_ping(_check),
    _or_ping(_checked),
    lambda rng: m.Presence(tuple(m.PresenceEntry(_record(rng), "anna") for _ in _some(rng))),
    lambda rng: m.Ping(_number(rng)),
    lambda rng: m.Pong(_number(rng)),
    lambda rng: m.Bye("done", "over", None) if rng.random() < 0.2 else m.Ping(0),
)
