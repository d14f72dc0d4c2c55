"""Steady time, as the sessions count it."""

import asyncio


def steady_us(loop: asyncio.AbstractEventLoop) -> int:
    """Microseconds of the loop's clock, rounded: truncated, a timer would seem to wake one microsecond early."""
    return round(loop.time() * 1e6)
