"""How far the log of one partner was read, as it is stored: the epoch, and a cursor and a head, or their marks.

Whatever rests on the partner's log is stored in one commit with the epoch and with a head that it does not lie behind,
see `partner`. Where sessions with one partner meet it in different epochs, at most one of them in the history that goes
on, there is no standing at all: the next session compares. So it is where several store marks, of which nobody here can
tell which is the later one.
"""

from collections import deque
from dataclasses import replace

from crdt_sync.ids import EPOCH_BYTES
from crdt_sync.protocol.effects import Welcomed
from crdt_sync.protocol.entries import Place, Resume
from crdt_sync.replica.context import Context
from crdt_sync.storage.values import Peer

_NO_EPOCH = bytes(EPOCH_BYTES)  # no life has this id
_NOTED_MAX = 4  # each commit is prepared with a cursor and without


class Standing:
    """One session's; see the module. `peer` is the partner's entry as it was stored last, None where there is none.

    What is returned as peers is for the same commit as what it stands for.
    """

    def __init__(self, context: Context, url: str, peer: Peer | None) -> None:
        self._context = context
        self._store = context.store
        self._url = url
        self.peer = peer
        self.epoch = b""  # of this session
        self._head = 0  # of the partner's log: what came in this session is not behind it
        self._head_mark = b""  # likewise, where it tells marks
        stored = peer.marks if peer is not None else None
        self._noted: deque[tuple[bytes, bytes] | None] = deque([stored], maxlen=_NOTED_MAX)  # what this session stored

    @property
    def resume(self) -> Resume | None:
        """Where we stopped reading the partner's feed, if we ever did."""
        if self.peer is None:
            return None
        return Resume(self.peer.epoch, *(self.peer.marks or (self.peer.cursor, self.peer.head)))

    @property
    def cursor(self) -> int:
        """The stored cursor into the partner's feed; 0 where it is a mark."""
        return self.peer.cursor if self.peer else 0

    def holds(self, replica: bytes) -> bool:
        """Whether it can be stored: no session of another epoch has stored any of this partner, nor was it overtaken.
        Before the partner has told who it is, nothing speaks against it.
        """
        return not self.epoch or self._context.epochs.get(replica) == self.epoch

    def begin(self, replica: bytes, effect: Welcomed) -> tuple[Peer, ...]:
        """The partner's entry, if it changes at its welcome: it becomes one of this session's epoch where the partner
        honours it as it is, and is forgotten where it does not.
        """
        known, sent, epochs = self._store.peer(replica), self.peer, self._context.epochs
        epochs[replica] = effect.epoch
        if known is None:
            return ()
        if known.epoch == effect.epoch:
            return (replace(known, url=self._url),) if known.url != self._url else ()
        if (
            effect.resumed
            and sent is not None
            and known == replace(sent, cursor=known.cursor, last_seen=known.last_seen)
        ):
            self.peer = replace(known, epoch=effect.epoch, url=self._url)
            return (self.peer,)
        if not effect.comparing:
            epochs[replica] = _NO_EPOCH  # another session has stored more since our hello: nothing can begin here
        self.peer = forgotten(known)
        return (self.peer,) if known.epoch != _NO_EPOCH else ()

    def in_epoch(self, replica: bytes, epoch: bytes) -> Peer | None:
        """The partner's entry as one of this epoch, where that is a change; `go_on_in` it once that is stored."""
        known = self._store.peer(replica)
        if known is None or known.epoch != self.epoch or not self.holds(replica):
            return None
        self.peer = replace(known, epoch=epoch)
        return self.peer

    def go_on_in(self, replica: bytes, epoch: bytes) -> None:
        """What comes from here on is of this epoch."""
        if self.holds(replica):
            self._context.epochs[replica] = epoch
        self.epoch = epoch

    def at(self, replica: bytes, cursor: Place | None, head: Place) -> tuple[Peer, ...]:
        """The partner's entry, for what came with this head and stands for this cursor, if any.

        Without a cursor there is nothing to store before there was one in this epoch.
        """
        now = self._context.wall_clock()
        if self._context.epochs.get(replica) != self.epoch:
            return self._nowhere(replica, now)
        known = self._store.peer(replica)
        if isinstance(cursor, bytes) or isinstance(head, bytes) or (known is not None and known.marks is not None):
            return self._marked(replica, known, cursor, head, now)
        self._head = max(self._head, head)
        if known is not None and known.epoch == self.epoch:
            cursor, head = known.cursor if cursor is None else cursor, max(self._head, known.head)
        elif cursor is None:
            return ()
        else:
            head = self._head
        self.peer = Peer(replica, self.epoch, cursor, now, self._url, head)
        return (self.peer,)

    def _marked(
        self, replica: bytes, known: Peer | None, cursor: Place | None, head: Place, now: int
    ) -> tuple[Peer, ...]:
        """`at` where the partner tells marks: the last ones that came count."""
        before = known.marks if known is not None and known.epoch == self.epoch else None
        if before is not None and before not in self._noted:
            return self._nowhere(replica, now)  # another session has stored since: whose head is higher nobody can tell
        if isinstance(head, bytes):
            self._head_mark = head
        if not isinstance(cursor, bytes):
            if before is None:
                return () if known is None or known.epoch != self.epoch else self._nowhere(replica, now)
            cursor = before[0]
        marks = (cursor, self._head_mark or (before[1] if before is not None else cursor))
        self._noted.append(marks)
        self.peer = Peer(replica, self.epoch, 0, now, self._url, marks=marks)
        return (self.peer,)

    def _nowhere(self, replica: bytes, now: int) -> tuple[Peer, ...]:
        """Nothing is known of how far this partner was read: the next session compares."""
        self._context.epochs[replica] = _NO_EPOCH
        self.peer = Peer(replica, _NO_EPOCH, 0, now, self._url)
        return (self.peer,)


def forgotten(peer: Peer) -> Peer:
    """The entry of a partner of which nothing is known but its name: it is compared with."""
    return replace(peer, epoch=_NO_EPOCH, cursor=0, head=0, marks=None)
