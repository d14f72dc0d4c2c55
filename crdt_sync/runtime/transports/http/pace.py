"""How large a part is worth while: large ones are quick, and small ones are heard of soon on a slow link."""

from crdt_sync.limits import HTTP_PART_BYTES_FIRST, HTTP_PART_BYTES_MAX, HTTP_PART_BYTES_MIN

_QUICK_S = 0.5
_SLOW_S = 2.0


class Pace:
    """`bytes` is how many the next part has."""

    def __init__(self) -> None:
        self.bytes = HTTP_PART_BYTES_FIRST

    def took(self, part: int, seconds: float) -> None:
        """A part of so many bytes took so long."""
        if seconds > _SLOW_S:
            self.bytes = max(min(self.bytes, part) // 2, HTTP_PART_BYTES_MIN)
        elif seconds < _QUICK_S and part >= self.bytes:
            self.bytes = min(2 * self.bytes, HTTP_PART_BYTES_MAX)
