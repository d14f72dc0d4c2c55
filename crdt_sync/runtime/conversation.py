"""One session with one partner over one link: the only place where a dialing session meets sockets and threads.

The event loop owns the session. Commits run in one other thread, in order, so that a slow disk delays no
keepalive; what queues up meanwhile shares the next commit.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from crdt_sync.errors import (
    ConnectionLost,
    CrdtSyncError,
    ForeignRelay,
    ForeignSpace,
    IdentityRefused,
    Rejected,
    StoreError,
)
from crdt_sync.identity.refusals import Reason
from crdt_sync.limits import (
    CHECK_RECORDS_MAX,
    FRAME_BYTES_TARGET,
    UNSENT_BYTES_MAX,
    UNSTORED_BYTES_MAX,
    UNSTORED_PARTS_MAX,
)
from crdt_sync.protocol.agent import agent_of
from crdt_sync.protocol.auditing import Differences
from crdt_sync.protocol.dialer import Dialer
from crdt_sync.protocol.effects import (
    Acknowledge,
    Audited,
    CaughtUp,
    CheckArrived,
    Closed,
    Compare,
    Effect,
    Integrate,
    Owe,
    PinDigests,
    PresenceSeen,
    ReceiptArrived,
    ReportsNoted,
    SaidCame,
    Send,
    TokenCame,
    Welcomed,
)
from crdt_sync.protocol.messages import DONE, QUOTA_CHANGED, CheckedEntry, Receipt, VerdictCode
from crdt_sync.replica import Event, Replica
from crdt_sync.replica.blocks import over
from crdt_sync.replica.carrying_out import Rest, carry_out, take_work
from crdt_sync.replica.partner import Partner
from crdt_sync.runtime.address import Address
from crdt_sync.runtime.asked import Asked
from crdt_sync.runtime.endings import as_error, not_now
from crdt_sync.runtime.outside import OUTSIDE, Outside
from crdt_sync.runtime.presence import PresenceBoard
from crdt_sync.runtime.progress import Progress
from crdt_sync.runtime.screening import Screening
from crdt_sync.runtime.steady import steady_us
from crdt_sync.runtime.transports.channel import Channel, ChannelClosed, Opened, RulesBroken

if TYPE_CHECKING:
    from crdt_sync.runtime.member_talk import MemberTalk

_BYE_S = 1.0  # how long a partner may take to close the link after our bye
_REFUSING_US_MAX = 8_000_000  # how long one exchange lets a partner say "not now": the dialer asks every 2 s


class Conversation:
    """Talk to one partner until it is over. Make it, then await `run`; call nothing from other threads."""

    def __init__(
        self,
        replica: Replica,
        address: Address,
        on_progress: Callable[[Progress], None] | None = None,
        presence: PresenceBoard | None = None,
        screening: Screening | None = None,
        *,
        lasting: bool = False,
        outside: Outside = OUTSIDE,
    ) -> None:
        replica.alone("a session")
        self.progress = Progress()
        self._open_channel = outside.open_channel
        self._partner_user = ""  # whose device the partner is, once that is proved
        self._own_screening = Screening(replica, outside.start_worker) if address.direct and screening is None else None
        self._screening = screening or self._own_screening
        self._presence = presence
        self._lasting = lasting  # it ends for what only the next handshake mends: a wrong clock, a lost standing
        self._replica = replica
        self._address = address
        self._on_progress = on_progress
        self._partner = Partner(replica, address.url)
        self._loop = asyncio.get_running_loop()
        self._executor = outside.make_thread()
        self._outgoing: deque[bytes] = deque()
        self._effects: deque[Effect] = deque()  # drained, and waiting for the welcome to be stored
        self._welcoming: asyncio.Task[None] | None = None
        self._work: deque[Effect] = deque()
        self._committing = False
        self._rest = Rest()
        self._resting: asyncio.TimerHandle | None = None
        self._unstored = 0  # bytes of updates that wait for the disk
        self._unsent = 0  # bytes of `_outgoing`
        self._eased = asyncio.Event()  # some of that went
        self._kick_sender = asyncio.Event()
        self._kick_worker = asyncio.Event()
        self._kick_timer = asyncio.Event()
        self._timer_at = 0
        self._state_changed = asyncio.Event()
        self._closed: Closed | None = None
        self._foreign: ForeignRelay | ForeignSpace | None = None
        self._refusing_since: int | None = None  # since when the partner has answered every push with "not now"
        self._not_now: dict[str, str] = {}  # by record, what it said with it, until it stores that record
        self._receipts = Asked[Receipt]()
        self._audit: asyncio.Future[Differences] | None = None
        self._checks = Asked[tuple[CheckedEntry, ...]]()
        self._pinning: asyncio.Task[None] | None = None
        self._dialer: Dialer | None = None
        self._people: MemberTalk | None = None  # what is said of the space, where this device is in one
        self._failed: CrdtSyncError | None = None  # for which this side ended the session
        self.renews = False  # after the end: another one asks for a new token, and may do better

    # --- what the caller asks --------------------------------------------------------------------------------

    async def run(self, until: "Until") -> None:
        """Open a channel, talk, and carry out `until(self)`; say bye when it returns.

        Raises `RemoteError` when the link or the partner ends the session first, and what `until` raises. A device that
        its space has ordered to be wiped is wiped then, and `IdentityRefused` raised.
        """
        member = self._replica.membership
        if member is not None:
            self._address = replace(self._address, member=member)
        try:
            if member is None or not member.wiping:
                await self._talk(until)
        except IdentityRefused as error:
            if member is None:
                raise
            if not member.wiping:
                self.renews = not self._address.direct and member.token_refused(error.reason)
                if not self._address.direct and error.reason == Reason.DEVICE_REVOKED:
                    from crdt_sync.runtime.shut_out import handed_in  # noqa: PLC0415 - once in the life of a device

                    told = await handed_in(self._replica, member, self._address, self._open_channel)
                    raise IdentityRefused(error.reason, error.message + told, error.hint) from error
                raise
        if member is not None and member.wiping:
            from crdt_sync.runtime.shut_out import destroyed  # noqa: PLC0415 - likewise

            raise await destroyed(self._replica, member, self._address, self._open_channel)

    async def _talk(self, until: "Until") -> None:
        """See `run`."""
        member = self._address.member
        if member is None:
            opened = await self._open_channel(self._address)
        else:
            from crdt_sync.runtime.member_talk import MemberTalk, opened_by  # noqa: PLC0415 - few are in such a space

            opened = await opened_by(self._open_channel, self._address)
            self._people = MemberTalk(
                member, opened.known, self._replica.wall_clock, self._now, opened.claims, direct=self._address.direct
            )
            self._partner_user = "" if opened.claims is None else opened.claims.user
        try:
            self._partner = Partner(
                self._replica,
                self._address.url,
                opened.replica,
                adopt=self._address.adopt or self._address.direct,
                user=self._partner_user,
                insist=self._address.insist,
            )
            await self._converse(opened, until)
        finally:
            try:
                await opened.channel.close()
                if self._own_screening is not None:
                    await self._own_screening.close()
            finally:
                await self._end_commits()

    async def let_in(self) -> None:
        """Wait until the device that opens an invite has its token."""
        while self._people is None or not self._people.let_in:
            self._state_changed.clear()
            await self._state_changed.wait()

    async def settled(self) -> None:
        """Wait until everything known on both sides was exchanged. Raises `Rejected` if the partner cannot store it.

        Before it raises, what came of it is on disk: the status tells why a record waits.
        """
        while not (self._dialer and self._dialer.settled and not self._work and self._welcoming is None):
            if (
                self._refusing_since is not None
                and self._now() - self._refusing_since >= _REFUSING_US_MAX
                and not (self._work or self._committing or (self._dialer and self._dialer.unanswered))
            ):
                raise Rejected(
                    not_now(self._address.whom, self._not_now),
                    "Your edits stay safe here. Tell whoever looks after it, and sync again later.",
                )
            self._state_changed.clear()
            await self._state_changed.wait()

    async def receipt(self) -> Receipt:
        """The partner's receipt."""
        assert self._dialer is not None
        number, answer = self._receipts.ask()
        self._dialer.request_receipt(number)
        self._pump()
        return await answer

    async def audit(self, *, content: bool) -> Differences:
        """Compare everything with the partner, by state digests or by digests of the content. One at a time.

        What is written meanwhile may show as a difference; see `crdt_sync.runtime.auditing`.
        """
        assert self._dialer is not None
        self._audit = self._loop.create_future()
        self._dialer.audit(content=content)
        self._pump()
        return await self._audit

    async def check(self, records: Sequence[str], *, mend: bool = False) -> tuple[CheckedEntry, ...]:
        """How the partner stores these records, `CHECK_RECORDS_MAX` at most; `mend`: see `protocol.messages.Check`."""
        assert self._dialer is not None
        number, answer = self._checks.ask()
        self._dialer.check(number, records, mend=mend)
        self._pump()
        return await answer

    async def exchange_whole(self, records: Sequence[str], *, replace: bool = False) -> None:
        """Fetch these records as a whole, and send ours, whatever each side is believed to hold; then settle.

        With `replace` ours are not sent but replaced by the partner's, where those hold all operations of ours.
        """
        assert self._dialer is not None
        dialer = self._dialer
        for start in range(0, len(records), CHECK_RECORDS_MAX):
            part = tuple(records[start : start + CHECK_RECORDS_MAX])
            if replace:
                self._partner.replacing.update(part)
            else:
                await self._loop.run_in_executor(self._executor, self._partner.owe, Owe(part))
                dialer.notify(part)
            dialer.fetch(part)
            self._pump()
            await self.settled()

    @property
    def ended_with(self) -> str:
        """The code with which it ended; empty while it has not."""
        return "" if self._closed is None else self._closed.code

    @property
    def retry_after_us(self) -> int | None:
        """After the end: how long the partner asked us to wait; None where trying again cannot help."""
        if self._failed is not None:
            return None
        return self._closed.retry_after_us if self._closed else 0

    @property
    def cursor(self) -> int:
        """How far the partner's feed was read and stored."""
        return self._partner.cursor

    @property
    def partner(self) -> bytes:
        """The partner's replica id, empty before the handshake."""
        return self._partner.id

    # --- tasks -----------------------------------------------------------------------------------------------

    async def _converse(self, opened: Opened, until: "Until") -> None:
        self._dialer = Dialer(
            self._partner,
            resume=self._partner.resume,
            token=opened.token,
            follow=True,
            agent=agent_of(self._replica.name),
            wall=self._replica.wall_clock(),
            now=self._now(),
            ping_us=self._address.ping_us,
            direct=self._partner.is_direct,
            moves=self._partner.moves,
        )
        unsubscribe = self._replica.subscribe(self._heard_of)
        unreported = self._replica.context.watch_reports(self._reports_due)
        trust_clock = self._replica.context.watch_clock(self._clock_doubted) if self._lasting else None
        if self._presence is not None:
            self._presence.listen(self._presence_changed)
        member = self._address.member
        forget = member.listen(self._news) if member is not None else None
        self._pump()
        tasks = [
            asyncio.create_task(work, name=name)
            for name, work in (
                ("reader", self._read(opened.channel)),
                ("sender", self._send(opened.channel)),
                ("worker", self._carry_out()),
                ("timer", self._keep_time(opened.channel)),
                ("until", _awaited(until(self))),
            )
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            first = next(task for task in reversed(tasks) if task in done)
            error = first.exception()
            if first is tasks[-1] and error is None:
                await self._say_bye(opened.channel)
                return
            if self._foreign is not None:
                raise self._foreign
            if self._failed is not None:
                raise self._failed
            if self._closed is not None:
                if self._closed.code == QUOTA_CHANGED and self._closed.by_partner:
                    await self._loop.run_in_executor(self._executor, self._partner.release)
                raise as_error(self._closed, self._address)
            raise error or ConnectionLost(f"the connection to {self._address.url} was lost", "It will be tried again.")
        finally:
            unsubscribe()
            unreported()
            if forget is not None:
                forget()
            self._partner.ended()
            if self._resting is not None:
                self._resting.cancel()
            if trust_clock is not None:
                trust_clock()
            if self._presence is not None:
                self._presence.listen(None)
                self._presence.others = ()
            tasks += [task for task in (self._pinning, self._welcoming) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _end_commits(self) -> None:
        """Return when nothing is being committed any more, however often we are cancelled; the loop runs meanwhile."""
        ended = asyncio.ensure_future(asyncio.to_thread(self._executor.shutdown))
        try:
            await asyncio.shield(ended)
        except asyncio.CancelledError:
            await over(ended)
            raise

    async def _read(self, channel: Channel) -> None:
        assert self._dialer is not None
        with suppress(ChannelClosed):
            while True:
                try:
                    self._dialer.receive(await channel.receive(), self._now())
                except RulesBroken as broken:
                    self._dialer.close("protocol_violation", str(broken), self._now())
                self._pump()
                if self._welcoming is not None:  # nothing more is read before it is known who answers
                    self._dialer.pause(self._now())
                    await self._welcoming
                if self._closed is not None:
                    return
                await self._ease()
        self._dialer.lost()
        self._pump()

    async def _ease(self) -> None:
        """Read no more while much waits for the disk, or for the link: an honest partner has less under way.

        That the disk is slow is no fault of the partner; that the link takes nothing may be.
        """
        assert self._dialer is not None
        while (
            storing := self._unstored > UNSTORED_BYTES_MAX or len(self._work) > UNSTORED_PARTS_MAX
        ) or self._unsent > UNSENT_BYTES_MAX:
            if storing:
                self._dialer.pause(self._now())
            else:
                self._dialer.resume(self._now())
            self._eased.clear()
            await self._eased.wait()
        self._dialer.resume(self._now())

    async def _send(self, channel: Channel) -> None:
        """Send as the link takes it, however slowly: the session notices a partner that takes nothing."""
        assert self._dialer is not None
        with suppress(ChannelClosed):
            while True:
                while self._outgoing:
                    frame = self._outgoing.popleft()
                    self._unsent -= len(frame)
                    self._eased.set()
                    channel.send(frame)
                    await channel.room()
                    self.progress.sent_bytes += len(frame)
                if self._welcoming is None and self._dialer.wants_room:
                    self._dialer.fill(FRAME_BYTES_TARGET, self._now())
                    self._pump()
                    if self._outgoing:
                        continue
                self._state_changed.set()
                self._kick_sender.clear()
                if not self._outgoing:
                    await self._kick_sender.wait()
        await asyncio.Event().wait()  # the reader sees the end of the link and says why

    async def _pin(self, *, content: bool) -> None:
        """Pin a view for an audit, beside the commits: it may take long. What it raises, `audit` raises."""
        assert self._dialer is not None
        assert self._audit is not None
        try:
            view = await asyncio.to_thread(self._partner.audit_view, content=content)
        except StoreError as error:
            self._audit.set_exception(error)
        else:
            self._dialer.pinned(view, self._now())
            self._pump()

    async def _keep_time(self, channel: Channel) -> None:
        assert self._dialer is not None
        while (timer := self._dialer.next_timer()) is not None:
            self._timer_at = timer
            self._kick_timer.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, (timer - self._now()) / 1e6)):
                    await self._kick_timer.wait()
                continue  # a nearer time was set meanwhile
            if self._lasting:
                self._dialer.watch_clock(self._replica.wall_clock(), self._now())
                if self._welcoming is None and not self._partner.stands:
                    self._dialer.resume_anew()
            self._dialer.arriving(channel.arriving_bytes)
            self._dialer.timer(self._now())
            self._pump()
            if self._people is not None:
                with suppress(StoreError):  # it is tried again
                    self._people.lasts()
        # The session is over. A partner that reads our bye closes the link; one that fell silent never does.
        await asyncio.sleep(_BYE_S)

    async def _carry_out(self) -> None:
        """Commit what the session asks for, in order."""
        assert self._dialer is not None
        while True:
            self._committing = True
            while self._work and not self._rests():
                begun = self._now()
                work = take_work(self._work)
                effects, refused = await self._screened(work)
                answers = await self._loop.run_in_executor(
                    self._executor, carry_out, self._partner, self._dialer, effects, refused
                )
                for answer in answers:
                    answer(self._now())
                if isinstance(work[0], Acknowledge):
                    self._rest.noted(begun, self._now())
                self._unstored -= sum(map(_bytes, work))
                self._eased.set()
                self._measure()
                self._pump()
            self._committing = False
            self._state_changed.set()
            self._kick_worker.clear()
            if not self._work or self._rests():
                await self._kick_worker.wait()

    def _rests(self) -> bool:
        """Whether what waits for the disk waits for more first, see `Rest`."""
        assert self._dialer is not None
        left_us = self._rest.left_us(self._work, self._now(), more_to_come=self._dialer.unanswered)
        if left_us and self._resting is None:
            self._resting = self._loop.call_later(left_us / 1e6, self._rested)
        return left_us > 0

    def _rested(self) -> None:
        self._resting = None
        self._kick_worker.set()

    def _measure(self) -> None:
        progress = self.progress
        with suppress(StoreError):  # whoever needs the store next raises it
            progress.to_send, progress.to_fetch, progress.percent, progress.missing = self._partner.remaining()

    async def _screened(self, effects: list[Effect]) -> tuple[list[Effect], dict[str, str]]:
        """The effects without updates that a worker did not survive, or refused, and why: by record."""
        if self._screening is None or not isinstance(effects[0], Integrate):
            return effects, {}
        run = [effect for effect in effects if isinstance(effect, Integrate)]
        entries = [entry for effect in run for entry in effect.entries]
        screened = await self._screening.screen(entries, self._address.url, self._partner_user)
        if screened.clocks_differ:
            self._replica.context.doubt_clock()
        return screened.only(run), screened.refused

    # --- effects ---------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Carry out what the session asks; what must touch the disk is queued for the commit thread."""
        assert self._dialer is not None
        self._effects += self._dialer.drain()
        while self._effects and self._welcoming is None:
            effect = self._effects.popleft()
            match effect:
                case Send(frame):
                    self._say(frame)
                case Compare() | Integrate() | Owe() | Acknowledge() | ReportsNoted():
                    self.progress.count(effect)
                    if isinstance(effect, Acknowledge):
                        self._heed(effect)
                    self._unstored += _bytes(effect)
                    self._work.append(effect)
                case Welcomed():
                    if self._people is not None:
                        self._people.told_time(effect.clock_offset_us)
                    self._welcoming = asyncio.create_task(self._welcomed(effect))
                case CaughtUp():
                    self.progress.caught_up = True
                    self._partner.caught_up()
                    self._note_contact()
                case PresenceSeen(entries):
                    if self._presence is not None:
                        self._presence.others = entries
                case ReceiptArrived(receipt):
                    self._receipts.answered(receipt.number, receipt)
                case PinDigests(content):
                    self._pinning = asyncio.create_task(self._pin(content=content))
                case Audited(differences):
                    if self._audit is not None and not self._audit.done():
                        self._audit.set_result(differences)
                case CheckArrived(checked):
                    self._checks.answered(checked.number, checked.entries)
                case SaidCame() | TokenCame():
                    self._hear(effect)
                case Closed():
                    self._closed = effect
        self._kick_sender.set()
        if self._work and not self._rests():
            self._kick_worker.set()
        timer = self._dialer.next_timer()
        if timer is None or timer < self._timer_at:
            self._kick_timer.set()
        self._state_changed.set()
        if self._on_progress is not None:
            self._on_progress(self.progress)

    def _note_contact(self) -> None:
        """The relay has given all that this device may hold."""
        if self._people is not None:
            with suppress(StoreError):  # whoever needs the disk next raises it
                self._people.served()

    def _hear(self, effect: SaidCame | TokenCame) -> None:
        """Take what is said of the space, which is a small file to write; what nobody of it says ends the session."""
        if self._people is None or self._dialer is None:
            return
        try:
            if isinstance(effect, SaidCame):
                self._people.heard(effect.statements, self._dialer)
            else:
                self._people.renewed(effect.token)
        except (IdentityRefused, StoreError) as error:
            self._fail(error)
        self._effects.extend(self._dialer.drain())

    def _fail(self, error: CrdtSyncError) -> None:
        """End the session, for a reason of this side."""
        assert self._dialer is not None
        self._failed = error
        self._dialer.close("refused", error.message, self._now())

    async def _welcomed(self, effect: Welcomed) -> None:
        """Store who answered, which takes a turn at the disk; what the session asks for meanwhile waits."""
        assert self._dialer is not None
        try:
            await self._loop.run_in_executor(self._executor, self._partner.welcomed, effect)
        except (ForeignRelay, ForeignSpace) as foreign:
            self._effects.clear()  # it speaks of records
            self._part_from(foreign)
        else:
            if self._presence is not None and self._presence.ours:
                self._dialer.present(self._presence.ours)
            if (hold := self._partner.hold) is not None:
                wait_us = hold.until - self._replica.wall_clock()
                self._dialer.hold(wait_us, self._now(), everything=hold.all, refused=self._partner.refused > 0)
            self._pass_on()
        self._welcoming = None
        self._pump()

    def _pass_on(self) -> None:
        """Tell the partner what it lacks of what the space said."""
        if self._people is not None and self._dialer is not None:
            self._people.pass_on(self._dialer)

    def _part_from(self, foreign: ForeignRelay | ForeignSpace) -> None:
        """End the session with a relay that is to have nothing: what the session had to say to it is not said."""
        assert self._dialer is not None
        self._foreign = foreign
        self._dialer.close(foreign.code, "another relay was expected", self._now())
        for effect in self._dialer.drain():
            match effect:
                case Send(frame):
                    self._say(frame)
                case Closed():
                    self._closed = effect

    def _say(self, frame: bytes) -> None:
        self._outgoing.append(frame)
        self._unsent += len(frame)

    def _heed(self, answer: Acknowledge) -> None:
        """Note since when the partner has answered every push with "not now", and why."""
        for pushed in answer.verdicts:
            if pushed.verdict.code is VerdictCode.RETRY:
                self._not_now[pushed.record] = pushed.verdict.reason
            else:
                self._not_now.pop(pushed.record, None)
        codes = {pushed.verdict.code for pushed in answer.verdicts}
        if VerdictCode.ACCEPTED in codes:
            self._refusing_since = None
        elif not {VerdictCode.RETRY, VerdictCode.GAP}.isdisjoint(codes) and self._refusing_since is None:
            self._refusing_since = self._now()

    async def _say_bye(self, channel: Channel) -> None:
        assert self._dialer is not None
        self._dialer.close(DONE, "the work is done", self._now())
        for effect in self._dialer.drain():
            if isinstance(effect, Send):
                channel.send(effect.frame)
                with suppress(ChannelClosed, TimeoutError):
                    async with asyncio.timeout(_BYE_S):
                        await channel.room()

    def _heard_of(self, events: Sequence[Event]) -> None:
        """A commit of the replica, in whatever thread: wake the session if there is something to push."""
        records = self._partner.pushable(events)
        if records:
            with suppress(RuntimeError):  # the loop was closed a moment ago
                self._loop.call_soon_threadsafe(self._edited, records)

    def _news(self) -> None:
        """The space said something, in whatever thread it was heard."""
        with suppress(RuntimeError):  # the loop was closed a moment ago
            self._loop.call_soon_threadsafe(self._tell_news)

    def _tell_news(self) -> None:
        if self._dialer is not None and self._people is not None and not self._dialer.closed:
            try:
                self._people.check_partner()
            except IdentityRefused as error:
                self._fail(error)
        if self._dialer is not None and self._welcoming is None:
            if not self._dialer.closed:
                self._pass_on()
            self._pump()

    def _reports_due(self) -> None:
        with suppress(RuntimeError):  # the loop was closed a moment ago
            self._loop.call_soon_threadsafe(self._report)

    def _report(self) -> None:
        if self._dialer is not None and self._welcoming is None and not self._dialer.closed:
            self._dialer.report()
            self._pump()

    def _clock_doubted(self) -> None:
        with suppress(RuntimeError):  # the loop was closed a moment ago
            self._loop.call_soon_threadsafe(self._compare_clocks)

    def _compare_clocks(self) -> None:
        assert self._dialer is not None
        self._dialer.compare_clocks()
        self._pump()

    def _edited(self, records: Sequence[str]) -> None:
        if self._dialer is not None:
            self._dialer.notify(records)
            self._kick_sender.set()

    def _presence_changed(self) -> None:
        with suppress(RuntimeError):  # the loop was closed a moment ago
            self._loop.call_soon_threadsafe(self._present)

    def _present(self) -> None:
        if self._dialer is not None and self._presence is not None:
            self._dialer.present(self._presence.ours)
            self._pump()

    def _now(self) -> int:
        return steady_us(self._loop)


Until = Callable[[Conversation], Awaitable[None]]


def _bytes(effect: Effect) -> int:
    return sum(len(entry.update) for entry in effect.entries) if isinstance(effect, Integrate) else 0


async def _awaited(awaitable: Awaitable[None]) -> None:
    await awaitable
