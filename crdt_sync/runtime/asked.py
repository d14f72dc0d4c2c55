"""What was asked of a partner under a number, and is answered under the same."""

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class Asked(Generic[T]):
    """Requests of one kind that wait for their answers."""

    def __init__(self) -> None:
        self._number = 0
        self._waiting: dict[int, asyncio.Future[T]] = {}

    def ask(self) -> tuple[int, asyncio.Future[T]]:
        """The number of a new request, and its answer to come."""
        self._number += 1
        self._waiting[self._number] = asyncio.get_running_loop().create_future()
        return self._number, self._waiting[self._number]

    def answered(self, number: int, answer: T) -> None:
        """The answer came; nobody may wait for it any more."""
        future = self._waiting.pop(number, None)
        if future is not None and not future.done():
            future.set_result(answer)
