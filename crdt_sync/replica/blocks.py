"""Blocks of edits, for `with` and `async with`, and who opened them."""

import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    import asyncio

Caller = tuple[int, object]
"""The thread, and the asyncio task in it, that opened a block."""

T = TypeVar("T")


def caller() -> Caller:
    """Who runs this; tasks count only where asyncio is in use at all."""
    asyncio = sys.modules.get("asyncio")
    try:
        task = asyncio.current_task() if asyncio is not None else None
    except (RuntimeError, AttributeError):  # no loop runs in this thread; asyncio is just being imported
        task = None
    return threading.get_ident(), task


class Block(Generic[T]):
    """A block of edits, to be entered once: `with block as edited`, or `async with`.

    In an `async with`, what reads and writes the disk runs in another thread, so that the event loop waits for
    nothing. A task that is cancelled at the end of its block hears of it once the commit is over, which then stands.
    """

    def __init__(self, opened: Callable[[Caller], AbstractContextManager[T]]) -> None:
        self._opened = opened
        self._inner: AbstractContextManager[T] | None = None

    def opened_by(self, who: Caller) -> AbstractContextManager[T]:
        """The block as somebody else's than who runs this; not for `async with`."""
        return self._opened(who)

    def __enter__(self) -> T:
        return self._begin().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        assert self._inner is not None
        return self._inner.__exit__(kind, error, trace)

    async def __aenter__(self) -> T:
        import asyncio  # noqa: PLC0415 - it costs a command that needs none of it too much

        begin = asyncio.ensure_future(asyncio.to_thread(self._begin().__enter__))
        try:
            return await asyncio.shield(begin)
        except asyncio.CancelledError as cancelled:
            await over(begin)
            if not begin.cancelled() and begin.exception() is None:  # it was opened, and nobody will close it
                await over(asyncio.ensure_future(asyncio.to_thread(self.__exit__, type(cancelled), cancelled, None)))
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        import asyncio  # noqa: PLC0415

        end = asyncio.ensure_future(asyncio.to_thread(self.__exit__, kind, error, trace))
        try:
            return await asyncio.shield(end)
        except asyncio.CancelledError:
            await over(end)
            if not end.cancelled():
                end.exception()  # the task is told of its end, not of this
            raise

    def _begin(self) -> AbstractContextManager[T]:
        self._inner = self._opened(caller())
        return self._inner


async def over(work: "asyncio.Future[Any]") -> None:
    """Wait until `work` is over, however often this task is cancelled meanwhile."""
    import asyncio  # noqa: PLC0415

    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            continue
