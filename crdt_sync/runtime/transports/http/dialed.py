"""The opening end of a channel over HTTP."""

import asyncio
import math
import secrets
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from crdt_sync import limits
from crdt_sync.runtime.transports import channel
from crdt_sync.runtime.transports.http.ends import End
from crdt_sync.runtime.transports.http.pace import Pace
from crdt_sync.runtime.transports.http.requests import Broken, Head, Requests
from crdt_sync.runtime.transports.http.streams import FrameTooLarge, OffsetUnknown
from crdt_sync.runtime.transports.http.wire import KEY_HEADER, OPEN, TOKEN_BYTES, Target, is_key

_AGAIN_S = 0.1  # before a request is made again, and twice as long each time
_AGAIN_S_MAX = 2.0
_TOO_MANY = 429
BUFFER_BYTES = 128 * 1024
_goodbyes: set[asyncio.Task[None]] = set()


class Refused(Exception):
    """No channel was opened: `head` is what was answered."""

    def __init__(self, head: Head) -> None:
        super().__init__(f"HTTP {head.status}")
        self.head = head


async def open_channel(
    url: str,
    tls: ssl.SSLContext | None,
    *,
    polls: bool = False,
    wait_s: float = limits.HTTP_WAIT_S_MAX,
    buffer_bytes: int = BUFFER_BYTES,
    held_back: Callable[[], None] = lambda: None,
    headers: Sequence[tuple[str, str]] = (),
    met: Callable[[Head, bytes], object] | None = None,
) -> "DialedChannel":
    """Open a channel. With `polls` nothing is streamed; an answer may be waited for `wait_s` seconds then.

    `held_back` hears when it is found that what is streamed does not come through. `headers` go with the first request,
    and `met` looks at its answer and the SHA-256 of the certificate, and raises where nothing more is to be said; then
    nobody with another certificate is spoken to.

    Raises `Broken`, `Refused`, and what `met` raises.
    """
    key = secrets.token_hex(TOKEN_BYTES)
    up, down, last = (Requests(url, tls, [(KEY_HEADER, key)]) for _ in range(3))
    head, name = await up.ask("POST", Target(OPEN).of(url), headers=headers)
    if not head.ours or head.status != 200 or not is_key(named := name.decode("ascii", "replace")):
        await up.close()
        raise Refused(head)
    if met is not None:
        binding = up.binding
        try:
            met(head, binding)
        except BaseException:
            await up.close()
            raise
        up.bound_to = down.bound_to = last.bound_to = binding
    channel = DialedChannel(url, named, (up, down, last), polls=polls, wait_s=wait_s, buffer_bytes=buffer_bytes)
    channel.held_back = held_back
    return channel


class DialedChannel(End):
    """See `channel.Channel`. `polls` says whether something on the way holds streamed answers back."""

    def __init__(
        self,
        url: str,
        name: str,
        requests: tuple[Requests, Requests, Requests],
        *,
        polls: bool,
        wait_s: float,
        buffer_bytes: int,
    ) -> None:
        super().__init__(None, buffer_bytes)
        self.polls = polls
        self.held_back: Callable[[], None] = lambda: None
        self._url = url
        self._name = name
        self._up, self._down, self._last = requests
        self._asks = False  # a part is sent though it is empty: its answer tells what the relay has sent
        self._paused = False  # nothing was fetched for a while
        self._relay_sent = 0
        self._wait_s = max(1, math.floor(min(wait_s, limits.HTTP_WAIT_S_MAX)))
        self._up_pace, self._down_pace = Pace(), Pace()
        self._loop = asyncio.get_running_loop()
        self._goodbye: asyncio.Task[None] | None = None
        self._tasks = [
            asyncio.create_task(work)
            for work in (self._kept(self._send_on, self._up), self._kept(self._fetch_on, self._down))
        ]

    @property
    def unsent_bytes(self) -> int:
        """See `Channel`. What is kept only for the case that it is lost on the way is not counted."""
        return self.outgoing.waiting + self._up.unwritten_bytes

    def taken(self) -> None:
        """See `Channel`."""

    async def close(self) -> None:
        """See `Channel`. Returns when every connection is gone."""
        await super().close()
        ending = [*self._tasks, *([self._goodbye] if self._goodbye is not None else [])]
        await asyncio.wait(ending, timeout=channel.CLOSE_TIMEOUT_S)

    def finish(self) -> None:
        """See `End`."""
        self._end(tell=True)

    def abort(self) -> None:
        """See `Channel`."""
        self.closing = True
        self._end(tell=True)

    def _end(self, *, tell: bool) -> None:
        if self.over:
            return
        self.over = True
        self.moved()
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        if tell:
            self._goodbye = asyncio.create_task(self._abandon())
            _goodbyes.add(self._goodbye)
            self._goodbye.add_done_callback(_goodbyes.discard)

    async def _abandon(self) -> None:
        with suppress(Broken):
            await self._last.ask("POST", Target(self._name).of(self._url), patience_s=channel.CLOSE_TIMEOUT_S)
        await self._last.close()

    async def _kept(self, work: Callable[[], Awaitable[None]], requests: Requests) -> None:
        """Work until the channel is over; what the partner does wrong ends it."""
        try:
            await work()
        except (OffsetUnknown, FrameTooLarge):
            self.abort()
        except Lost:
            self._end(tell=False)
        finally:
            await requests.close()

    async def _send_on(self) -> None:
        """Send what there is to send, one part at a time."""
        outgoing = self.outgoing
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(limits.HTTP_RESUME_S):
                    await self.until(lambda: outgoing.waiting > 0 or self._asks)
            if self.over:
                return
            if not (outgoing.waiting or self._asks or self._paused) and self.coming.has_room:
                continue  # what is fetched tells the relay that the channel goes on; else an empty part does
            self._asks = self._paused = False
            offset, began = outgoing.sent, self._loop.time()
            part = outgoing.take(self._up_pace.bytes)
            taken, self._relay_sent = await self._post(offset, part)
            self._up_pace.took(len(part), self._loop.time() - began)
            outgoing.resume(taken)
            self.moved()
            if outgoing.ended and not outgoing.kept:
                self._end(tell=False)
                return
            if not self.polls:
                self._loop.call_later(limits.HTTP_PROBE_S, self._look, self.coming.came, not part)
            if part and taken == offset:  # the relay takes nothing now, and has had us wait before it said so
                await asyncio.sleep(_AGAIN_S)

    async def _post(self, offset: int, part: bytes) -> tuple[int, int]:
        """Send a part, as often as it takes; how much the relay has taken and has sent by now. Raises `Lost`."""
        trying = Trying()
        patience_s = limits.HTTP_HOLD_S + limits.HTTP_BODY_GRACE_S + len(part) / limits.LINK_BYTES_PER_S_MIN
        while True:
            target = Target(self._name, offset, self.coming.came).of(self._url)
            with suppress(Broken):
                head, answer = await self._up.ask("POST", target, part, patience_s=patience_s)
                if accepted(head):
                    return numbers(answer)
            await trying.again()

    async def _fetch_on(self) -> None:
        """Fetch what there is to fetch, and no more than the session takes."""
        trying = Trying()
        while not self.over:
            await self._has_room()
            before, began = self.coming.came, self._loop.time()
            try:
                done = await (self._poll() if self.polls else self._stream())
            except Broken:
                done = self.coming.came > before
            if done:
                trying = Trying()
                if self.coming.came == before and self._loop.time() - began < _AGAIN_S:
                    await asyncio.sleep(_AGAIN_S)  # an answer that was to wait did not: no relay of ours gave it
            else:
                await trying.again()

    async def _has_room(self) -> None:
        """Wait until more may come. Meanwhile nothing is asked for."""
        if not self.coming.has_room:
            await self.until(lambda: self.coming.has_room)
            self._paused = True

    async def _poll(self) -> bool:
        offset, most, began = self.coming.came, self._down_pace.bytes, self._loop.time()
        target = Target(self._name, offset, most=most, wait=self._wait_s).of(self._url)
        patience_s = self._wait_s + limits.HTTP_BODY_GRACE_S + most / limits.LINK_BYTES_PER_S_MIN
        head, part = await self._down.ask("GET", target, most=most, patience_s=patience_s)
        if not accepted(head):
            return False
        if len(part) == most:
            self._down_pace.took(most, self._loop.time() - began)
        self.came(part, offset)
        return True

    async def _stream(self) -> bool:
        """Fetch by a streamed answer, to its end. From then on nothing is streamed where this does not come through."""
        offset, most = self.coming.came, self._down_pace.bytes
        target = Target(self._name, offset, most=most).of(self._url)
        try:
            await self._down.connect()
        except OSError as error:
            raise Broken(str(error)) from error
        try:
            async with asyncio.timeout(limits.HTTP_PROBE_S):
                head = await self._down.begin("GET", target)
                if not accepted(head):
                    if not head.ours:  # perhaps it takes no answers in chunks
                        self._poll_from_now_on()
                    return False
                piece = await self._down.piece()
        except TimeoutError:
            self._poll_from_now_on()
            return True
        began = self._loop.time()
        piece = piece[1:] if piece else piece  # the probe
        while piece is not None:
            if self.coming.came + len(piece) > offset + most:
                raise OffsetUnknown
            self.came(piece, self.coming.came)
            await self._has_room()
            piece = await self._down.piece()
        if self.coming.came == offset + most:
            self._down_pace.took(most, self._loop.time() - began)
        return True

    def _look(self, came: int, asked: bool) -> None:
        """Look whether anything came since we sent something; else ask what the relay has sent, and then look again."""
        if self.over or self.polls or self.coming.came != came or not self.coming.has_room:
            return
        if self._relay_sent > came:
            self._poll_from_now_on()
        elif not asked:
            self._asks = True
            self.moved()

    def _poll_from_now_on(self) -> None:
        """Something on the way holds back what is streamed."""
        self.polls = True
        self._down.abort()
        self.held_back()


class Lost(Exception):
    """The relay knows the channel no more, or has not been reached for too long."""


class Trying:
    """How long a request is made again, from its first failure on."""

    def __init__(self) -> None:
        self._until: float | None = None
        self._pause_s = _AGAIN_S

    async def again(self) -> None:
        """Wait a moment. Raises `Lost`."""
        now = asyncio.get_running_loop().time()
        if self._until is None:
            self._until = now + limits.HTTP_RESUME_S
        if now + self._pause_s > self._until:
            raise Lost
        await asyncio.sleep(self._pause_s)
        self._pause_s = min(2 * self._pause_s, _AGAIN_S_MAX)


def accepted(head: Head) -> bool:
    """Whether an answer is the relay's, and good; False where the request is to be made again. Raises `Lost`."""
    if head.ours and head.status not in {200, _TOO_MANY}:
        raise Lost
    return head.ours and head.status == 200


def numbers(answer: bytes) -> tuple[int, int]:
    """What the answer to a part says. Raises `Lost` where it says nothing of that kind."""
    try:
        taken, sent = (int(number) for number in answer.split())
    except ValueError:
        raise Lost from None
    return taken, sent
