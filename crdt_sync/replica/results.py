"""What was found, for `for` and `async for`."""

from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")
_PAGE = 200  # read in one go beside the event loop


class Results(Iterator[T], Generic[T]):
    """Reads on as it is asked, once. In an `async for` the disk is read in another thread, and no loop waits for it."""

    def __init__(self, found: Iterator[T]) -> None:
        self._found = found

    def __next__(self) -> T:
        return next(self._found)

    async def __aiter__(self) -> AsyncIterator[T]:
        import asyncio  # noqa: PLC0415 - it costs a command that needs none of it too much

        while page := await asyncio.to_thread(lambda: list(islice(self._found, _PAGE))):
            for each in page:
                yield each
