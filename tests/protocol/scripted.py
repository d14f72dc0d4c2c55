"""Scripted sources and a way to speak to one end of a session, frame by frame."""

from collections.abc import Sequence

from crdt_sync.ids import Space
from crdt_sync.protocol import codec
from crdt_sync.protocol.acceptor import Acceptor
from crdt_sync.protocol.dialer import Dialer
from crdt_sync.protocol.effects import Effect, Send
from crdt_sync.protocol.entries import Behind, ReportEntry
from crdt_sync.protocol.messages import Hello, Message, Ranges, Resume, Welcome
from crdt_sync.protocol.principal import everybody
from crdt_sync.protocol.reconcile import Index, Reconciler, View, decode, encode
from crdt_sync.protocol.session import Session
from crdt_sync.protocol.source import Change, Diff, LogUpdate, Outgoing

US = "customers/us"
RELAY = b"relay-relay-rela"
DEVICE = b"device-device-de"
EPOCH = b"epoch-epoch-epoc"


class ScriptedLog:
    """An acceptor's source: a log of (record, update), compacted up to `compacted`."""

    def __init__(self, updates: Sequence[tuple[str, bytes]] = ()) -> None:
        self.updates = list(updates)
        self.compacted = 0
        self.unreadable: set[str] = set()  # records whose stored bytes are damaged
        self.renewed: set[str] = set()  # records of a lineage that not every partner knows
        self.set_aside: set[str] = set()  # records that a repair has taken out of the feed
        self.replica = RELAY
        self.epoch = EPOCH
        self.reaches: dict[bytes, int] = {}  # of past epochs
        self.space = Space(RELAY, joined=False)

    def join(self, space: bytes) -> None:
        self.space = Space(space, joined=True)

    def commit(self, record: str, update: bytes) -> int:
        self.updates.append((record, update))
        return len(self.updates)

    def reach(self, epoch: bytes) -> int | None:
        return self.reaches.get(epoch, self.head() if epoch == self.epoch else None)

    def head(self) -> int:
        return len(self.updates)

    def followed(self) -> int:
        return len(self.updates)

    def feed(self, after: int, limit: int) -> Sequence[Change]:
        newest = {record: seq for seq, (record, _) in enumerate(self.updates, 1)}
        changes = sorted(
            Change(seq, record, b"\x01\x01\x01")
            for record, seq in newest.items()
            if seq > after and record not in self.set_aside
        )
        return changes[:limit]

    def is_renewed(self, record: str) -> bool:
        return record in self.renewed

    def behind(self, after: int) -> Behind:
        return Behind(
            len(ScriptedLog.feed(self, after, self.head())), sum(len(update) for _, update in self.updates[after:])
        )

    def log(self, after: int, limit: int, bytes_max: int) -> Sequence[LogUpdate] | None:
        if after < self.compacted:
            return None
        found: list[LogUpdate] = []
        for seq, entry in enumerate(self.updates[after : after + limit], after + 1):
            if found and sum(len(known.update) for known in found) + len(entry[1]) > bytes_max:
                break
            found.append(LogUpdate(seq, *entry))
        return found

    def diff(self, record: str, state_vector: bytes) -> Diff | None:
        updates = [update for known, update in self.updates if known == record and record not in self.unreadable]
        return Diff(b"+".join(updates), b"\x01\x01\x01") if updates else None


class ScriptedOutbox:
    """A dialer's source: records with digests, and an outbox."""

    def __init__(self, held: dict[str, bytes] | None = None) -> None:
        self.held = held or {}
        self.edits: dict[str, int] = {}
        self.refused: list[str] = []
        self.reported: list[ReportEntry] = []
        self.replica = DEVICE
        self.space = Space(DEVICE, joined=False)

    def reports(self) -> Sequence[ReportEntry]:
        return tuple(self.reported)

    def edit(self, record: str) -> None:
        self.edits[record] = self.edits.get(record, 0) + 1

    def count(self) -> int:
        return len(self.held)

    def state_vector(self, record: str) -> bytes:
        return b"\x01\x02\x02" if record in self.held else b"\x00"

    def view(self) -> View:
        return Index(sorted(self.held.items())).pin()

    def unread(self) -> Sequence[str]:
        return self.refused

    def outbox(self, after: str, limit: int) -> Sequence[Outgoing]:
        return [Outgoing(record, self.edits[record]) for record in sorted(self.edits) if record > after][:limit]

    def outgoing(self, record: str) -> tuple[Outgoing, Diff] | None:
        edit = self.edits.get(record)
        return None if edit is None else (Outgoing(record, edit), Diff(b"update %d" % edit, b"\x01\x02\x02"))


class Side:
    """The other side of a comparison, over what `held` says."""

    def __init__(self, held: dict[str, bytes], *, initiator: bool) -> None:
        self.run = Reconciler(Index(sorted(held.items())).pin(), initiator)

    def start(self) -> Ranges:
        return Ranges(*encode(self.run.start()))

    def answer(self, ranges: Message) -> list[Ranges]:
        """Its next turn, if it has one."""
        assert isinstance(ranges, Ranges)
        answer = self.run.receive(decode((ranges.open, ranges.shape, ranges.names, ranges.hashes)))
        self.run.take()
        return [] if answer is None else [Ranges(*encode(answer))]


def hello(
    resume: Resume | None = None, *, follow: bool = True, count: int = 0, versions: tuple[int, ...] = (1,)
) -> Hello:
    return Hello(versions, DEVICE, "token", 1_000_000, resume, follow, count, "test")


def welcome(mode: int = 0, head: int = 0, now: int = 1_000_000, version: int = 1) -> Welcome:
    return Welcome(version, RELAY, now, EPOCH, head, mode, 4 << 20)


def acceptor(source: ScriptedLog, refuse: object = None) -> Acceptor:
    return Acceptor(source, lambda hello: refuse or everybody(hello), lambda: 5_000_000, now=0)  # type: ignore[arg-type, return-value]


def dialer(
    source: ScriptedOutbox, resume: Resume | None = None, *, follow: bool = True, direct: bool = False
) -> Dialer:
    made = Dialer(
        source, resume=resume, token="token", follow=follow, agent="test", wall=1_000_000, now=0, direct=direct
    )
    drain(made)
    return made


def drain(session: Session) -> tuple[list[Message], list[Effect]]:
    """What the session sent, decoded, and its other effects."""
    effects = session.drain()
    sent = [codec.decode(effect.frame, version=session.version) for effect in effects if isinstance(effect, Send)]
    return sent, [effect for effect in effects if not isinstance(effect, Send)]


def say(
    session: Acceptor | Dialer, *messages: Message, now: int = 0, room: int = 1 << 20
) -> tuple[list[Message], list[Effect]]:
    """Let the session hear messages and then fill its link; returns what it sent and its other effects."""
    for message in messages:
        session.receive(codec.encode(message, session.version), now)
    session.fill(room, now)
    return drain(session)
