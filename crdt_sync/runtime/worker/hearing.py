"""What a worker's process says: answers, its last words, and that it ended.

Who waits for an answer is woken once it is here as a whole. With the streams of asyncio and a task that reads them, it
came after four more turns of the event loop, each with a pass of others' work before it.
"""

import asyncio

from crdt_sync.runtime.worker import pipe

_STDOUT, _STDERR = 1, 2
_REPORT_BYTES_MAX = 2000


class Hearing(asyncio.SubprocessProtocol):
    """See the module. One waits at a time. `exited` and `silent`: the process ended, and its error output did."""

    def __init__(self) -> None:
        self.exited = asyncio.Event()
        self.silent = asyncio.Event()
        self.report = b""  # the end of what it wrote to its error output
        self._said = bytearray()
        self._ended = False  # nothing more comes
        self._waiting: asyncio.Future[None] | None = None

    async def answer(self, within_s: float) -> bytes | None:
        """The body of the next answer, or None if it is not here within so many seconds: ask again then.

        Raises `EOFError` when none will come, and `PipeCorrupt` for one that is larger than any may be.
        """
        if not self._is_here():
            loop = asyncio.get_running_loop()
            self._waiting = loop.create_future()
            timer = loop.call_later(within_s, self._wake)
            try:
                await self._waiting
            finally:
                timer.cancel()
                self._waiting = None
        return self._take()

    def pipe_data_received(self, fd: int, data: bytes | str) -> None:
        """See `asyncio.SubprocessProtocol`."""
        assert isinstance(data, bytes)
        if fd == _STDERR:
            self.report = (self.report + data)[-_REPORT_BYTES_MAX:]
        elif len(self._said) <= pipe.LENGTH.size + pipe.ANSWER_BYTES_MAX:
            self._said += data  # what is longer is no answer
            if self._is_here():
                self._wake()

    def pipe_connection_lost(self, fd: int, _: Exception | None) -> None:
        """See `asyncio.SubprocessProtocol`."""
        if fd == _STDOUT:
            self._ended = True
            self._wake()
        elif fd == _STDERR:
            self.silent.set()

    def process_exited(self) -> None:
        """See `asyncio.SubprocessProtocol`."""
        self.exited.set()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _length(self) -> int | None:
        said = self._said
        return int.from_bytes(said[: pipe.LENGTH.size], "big") if len(said) >= pipe.LENGTH.size else None

    def _is_here(self) -> bool:
        """Whether there is something to take: an answer, or the reason why there is none."""
        length = self._length()
        if length is None:
            return self._ended
        return self._ended or length > pipe.ANSWER_BYTES_MAX or len(self._said) >= pipe.LENGTH.size + length

    def _take(self) -> bytes | None:
        length = self._length()
        if length is not None and length > pipe.ANSWER_BYTES_MAX:
            raise pipe.PipeCorrupt("an answer that is too large")
        end = pipe.LENGTH.size + (length or 0)
        if length is None or len(self._said) < end:
            if self._ended:
                raise EOFError
            return None
        with memoryview(self._said) as said:
            body = bytes(said[pipe.LENGTH.size : end])
            rest = bytes(said[end:])
        self._said = bytearray(rest)  # which keeps nothing of a large one
        return body
