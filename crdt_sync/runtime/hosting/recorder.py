"""Writes what sessions do into the audit log.

Rules:

1. What was stored is told in the commit that stores it: neither is on disk without the other.
2. What tells of no change (logins, refusals, what other parts `note`) goes with the next commit, or by itself after a
   second: a crash may lose that second. Whoever must not lose it awaits `noted`.
3. What is alike is counted by the minute: of failed logins of one address and code, and of the logins of one device,
   the first has a line and the others a number; of refused changes of one device the first hundred have a line. So no
   flood fills the disk; changes that are stored are bounded by quotas.
4. What a device reports of itself is told as its word, at the time that it names. Of that, and of the sections that it
   is given, a thousand in a minute have a line each.
5. A change is told of its user. One that brings what others signed is told of each of them, as brought by that user.
6. While the disk takes nothing, lines wait, up to a bound; beyond it they are counted.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import NamedTuple

from crdt_sync import limits
from crdt_sync.audit_log.entry import Act, Entry, accepted, encode, whose
from crdt_sync.protocol.entries import ReportEntry
from crdt_sync.protocol.hub import Refused, StoredUpdates
from crdt_sync.runtime.network import network_of
from crdt_sync.storage.values import Batch, Committed
from crdt_sync.storage.writer import Writer
from crdt_sync.verdicts import Touched, VerdictCode

_ELSEWHERE = "(others)"  # the address of those for whom there was no room to be counted each


class Who(NamedTuple):
    """Whose session it is: the user, the device (16 bytes; the one that was proved, or else the replica that it calls
    itself) and its address."""

    user: str
    device: bytes
    address: str


_NOBODY = Who("", b"", "")
_NOBODYS = whose(*_NOBODY)
_UNTOLD = Touched()
_Alike = tuple[Act, str, bytes, str, VerdictCode | None, str]


class Recorder:
    """See the module. Used on the loop. `policy` gives the version of the policy in force, 0 without one."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, writer: Writer, wall_clock: Callable[[], int], policy: Callable[[], int]
    ) -> None:
        self._loop = loop
        self._writer = writer
        self._wall_clock = wall_clock
        self._policy = policy
        self._who: dict[int, Who] = {}  # by session
        self._begins: dict[int, bytes] = {}  # by session, how an entry of a change in it begins
        self._waiting: list[bytes] = []
        self._riding: dict[int, list[bytes]] = {}  # by commit: lines that tell of no change
        self._lost = 0
        self._minute = 0
        self._counted: dict[_Alike, int] = {}  # in this minute
        self._day = 0
        self._reports: Counter[bytes] = Counter()  # on this day, by device: those with a line of their own
        self._unwritten: Counter[_Alike] = Counter()  # of these, those without a line
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    # --- what sessions do ------------------------------------------------------------------------------------

    def arrived(self, session: int, named: Mapping[str, str]) -> None:
        """Somebody was let in; `named`: see `Link.named`."""
        who = self._who[session] = _who(named)
        self._begins[session] = whose(*who)
        self._count(Act.LOGIN, who, 1)

    def ended(self, session: int, named: Mapping[str, str], code: str) -> None:
        """A session was ended by this side with that code: where it was not let in before, that is a failed login."""
        if session not in self._who:
            who = _who(named)._replace(user="", address=network_of(named["address"]))
            # What it says of itself is not proved, and may be another name each time.
            self._count(Act.LOGIN_FAILED, who._replace(device=b""), 1, about=code)

    def forget(self, session: int) -> None:
        """The session is over, and all that it pushed was decided on."""
        self._who.pop(session, None)
        self._begins.pop(session, None)

    def refused(self, refused: Refused) -> None:
        """An update was refused."""
        who = self._who.get(refused.session, _NOBODY)
        named_max = limits.AUDIT_REFUSED_NAMED_MAX
        fields, authors = refused.touched or _UNTOLD
        for author in authors or ("",):
            self._count(Act.CHANGE, who, named_max, refused.record, fields, refused.code, author=author)

    def gave(self, session: int, records: Sequence[str]) -> None:
        """A device was sent these companions, which the policy watches."""
        who = self._who.get(session, _NOBODY)
        for record in records:
            self._count(Act.READ, who, limits.AUDIT_REPORTED_NAMED_MAX, record)

    def who(self, session: int) -> Who:
        """Whose session that is; nobody's once it was forgotten."""
        return self._who.get(session, _NOBODY)

    async def reported(self, who: Who, entries: Sequence[ReportEntry]) -> None:
        """What a device says was done on it; returns when it is on disk. Raises `StoreError`.

        It waits first, so that many share a commit and nobody floods the disk with them. The session may be over then.
        """
        await asyncio.sleep(limits.AUDIT_WAIT_S)
        for at, kind, about, records in entries:
            told = f"{kind} {about} records={records} at={_written(at)}"
            named_max = limits.AUDIT_REPORTED_NAMED_MAX if self._may_be_named(who.device) else 0
            self._count(Act.EXPORT, who, named_max, told=told)
        future = self.flush()
        if future is not None:
            await asyncio.wrap_future(future)

    def note(self, entry: Entry) -> None:
        """Write this soon."""
        self._wait(encode(entry))

    async def noted(self, entry: Entry) -> None:
        """Write this, and return when it is on disk. Raises `StoreError`."""
        self.note(entry)
        future = self.flush()
        if future is not None:
            await asyncio.wrap_future(future)

    # --- commits ---------------------------------------------------------------------------------------------

    def of(self, number: int, changes: Sequence[StoredUpdates], now: int) -> tuple[bytes, ...]:
        """What goes with the commit of that number. `now`: microseconds of the wall clock."""
        policy = self._policy()
        told: list[bytes] = []
        if self._waiting:
            self._riding[number], self._waiting = self._waiting, []
            told.extend(self._riding[number])
        for change in changes:
            for session, author, fields, times in _lines(change):
                begins = self._begins.get(session, _NOBODYS)
                if author:
                    who = self._who.get(session, _NOBODY)
                    begins = whose(author, who.device, who.address, who.user)
                told.append(accepted(now, begins, change.record, fields, policy, times))
        return tuple(told)

    def committed(self, number: int, *, failed: bool) -> None:
        """That commit is on disk, or was refused: then only what rode along has happened, and waits again."""
        riding = self._riding.pop(number, None)
        if failed and riding is not None:
            self._put_back(riding)

    def flush(self) -> "Future[Committed] | None":
        """Write all that waits. None where that is nothing."""
        self._close_minute()
        if not self._waiting:
            return None
        lines, self._waiting = self._waiting, []
        future = self._writer.submit(Batch(audit=tuple(lines)))
        future.add_done_callback(lambda done: self._flushed(done, lines))
        return future

    def close(self) -> None:
        """Write all that waits, with what was counted in this minute."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._minute = -1
        self.flush()

    def _flushed(self, done: "Future[Committed]", lines: list[bytes]) -> None:
        if done.exception() is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._put_back, lines)

    def _put_back(self, lines: list[bytes]) -> None:
        self._waiting[:0] = lines
        self._lost += max(0, len(self._waiting) - limits.AUDIT_WAITING_MAX)
        del self._waiting[limits.AUDIT_WAITING_MAX :]
        self._arm(limits.AUDIT_WAIT_S)

    def _wait(self, line: bytes) -> None:
        if len(self._waiting) >= limits.AUDIT_WAITING_MAX:
            self._lost += 1
            return
        self._waiting.append(line)
        self._arm(limits.AUDIT_WAIT_S)

    def _arm(self, after_s: float) -> None:
        if self._closed:
            return
        if self._timer is not None:
            if self._timer.when() <= self._loop.time() + after_s:
                return
            self._timer.cancel()
        self._timer = self._loop.call_later(after_s, self._due)

    def _due(self) -> None:
        self._timer = None
        self.flush()
        if self._unwritten:
            self._arm(limits.AUDIT_MINUTE_US / 1e6)

    # --- what is alike ---------------------------------------------------------------------------------------

    def _count(
        self,
        act: Act,
        who: Who,
        named_max: int,
        record: str = "",
        fields: tuple[str, ...] = (),
        verdict: VerdictCode | None = None,
        about: str = "",
        author: str = "",
        told: str = "",
    ) -> None:
        """`about` is part of what is alike, and `told` said of those that have a line."""
        self._close_minute()
        alike = (act, *who, verdict, about)
        if alike not in self._counted and len(self._counted) >= limits.AUDIT_COUNTED_MAX:
            # Whoever fills the table calls from many addresses: that takes no user's name from anybody's line.
            who = who._replace(address=_ELSEWHERE) if who.user else Who("", b"", _ELSEWHERE)
            alike = (act, *who, verdict, about)
        number = self._counted[alike] = self._counted.get(alike, 0) + 1
        if number > named_max:
            self._unwritten[alike] += 1
            self._arm(limits.AUDIT_MINUTE_US / 1e6)
            return
        brought_by = who.user if author else ""
        user, device, address = who._replace(user=author or who.user)
        policy = self._policy()
        entry = Entry(
            self._wall_clock(),
            act,
            user,
            device,
            address,
            brought_by,
            record,
            fields,
            policy,
            verdict,
            about=told or about,
        )
        self._wait(encode(entry))

    def _may_be_named(self, device: bytes) -> bool:
        """Whether one more report of the device may have a line on this day, which counts then."""
        day = self._wall_clock() // limits.QUOTA_DAY_US
        if day != self._day:
            self._day, self._reports = day, Counter()
        if device not in self._reports and len(self._reports) >= limits.AUDIT_REPORTERS_MAX:
            device = b""  # those for whom there is no room share one number
        self._reports[device] += 1
        return self._reports[device] <= limits.AUDIT_REPORTED_DAY_MAX

    def _close_minute(self) -> None:
        """Where a minute is over, write how many there were of what had no line of its own."""
        now = self._wall_clock()
        minute = now // limits.AUDIT_MINUTE_US
        if minute == self._minute:
            return
        self._minute = minute
        unwritten, self._unwritten, self._counted = self._unwritten, Counter(), {}
        for (act, user, device, address, verdict, about), count in unwritten.items():
            entry = Entry(now, act, user, device, address, verdict=verdict, times=count, about=about)
            self._wait(encode(entry))
        if self._lost and len(self._waiting) < limits.AUDIT_WAITING_MAX:
            about = "lines were lost: the disk took nothing"
            self._wait(encode(Entry(now, Act.ADMINISTRATION, times=self._lost, about=about)))
            self._lost = 0


def _who(named: Mapping[str, str]) -> Who:
    return Who(named["user"], bytes.fromhex(named.get("device", named["replica"])), named["address"])


def _written(at: int) -> str:
    """A time as an entry's text has it: what a device says, which may be none of this calendar."""
    try:
        return datetime.fromtimestamp(at // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return "unknown"


def _lines(change: StoredUpdates) -> Iterable[tuple[int, str, tuple[str, ...], int]]:
    """Session, author where that is not its user, fields, and how many updates: what is told of a change."""
    touched: Sequence[Touched | None] = change.touched or (None,) * len(change.sessions)
    if len(change.sessions) == 1:
        fields, authors = touched[0] or _UNTOLD
        return [(change.sessions[0], author, fields, 1) for author in authors or ("",)]
    found: dict[tuple[int, str], tuple[set[str], int]] = {}
    for session, told in zip(change.sessions, touched, strict=True):
        fields, authors = told or _UNTOLD
        for author in authors or ("",):
            known, times = found.get((session, author), (set(), 0))
            found[session, author] = (known.union(fields), times + 1)
    return [(*by, tuple(sorted(known)[: limits.FIELDS_MAX]), times) for by, (known, times) in found.items()]
