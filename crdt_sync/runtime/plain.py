"""Calls of asyncio for plain code."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

from crdt_sync.errors import UsageError

T = TypeVar("T")


def run_plain(work: Callable[[], Coroutine[object, object, T]], instead: str) -> T:
    """Run `work` in an event loop of its own. Raises `UsageError` inside a running one; `instead` is the call there."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    raise UsageError("a call for plain code was made inside a running event loop", f"There, write: await {instead}")
