"""What an update writes: the values that its items hold, read without building a document."""

from crdt_sync.records.updates.update import Reader
from crdt_sync.records.updates.varint import read_uint

Written = dict[tuple[int, int], list[object]]
"""Writer and first clock of an item to its values."""


def written(update: bytes) -> Written:
    """The values of all items that hold any; of texts nothing is told.

    They are as JSON has them, whole numbers as integers; what no JSON has, which the gate refuses, is None. For an
    update that `scan` has read: raises what that raises.
    """
    reader = _Values(update)
    reader.scan()
    return reader.written


class ValueReader(Reader):
    """Reads the values that an item holds, each by `_read`, into `read_last`."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.read_last: list[object] = []

    def _values(self, position: int) -> tuple[int, int]:
        count, at = read_uint(self.data, position)
        length, end = super()._values(position)  # checks them first
        values: list[object] = []
        for _ in range(count):
            value, at = self._read(at)
            values.append(value)
        self.read_last = values
        return length, end

    def _read(self, position: int) -> tuple[object, int]:
        """One value, and where it ends."""
        raise NotImplementedError


class _Values(ValueReader):
    """Keeps the values that it passes."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.written: Written = {}

    def struct(self, position: int, writer: int, clock: int) -> tuple[int, int]:
        self.read_last = []
        length, position = super().struct(position, writer, clock)
        if self.read_last:
            self.written[writer, clock] = self.read_last
        return length, position

    def _read(self, position: int) -> tuple[object, int]:
        data = self.data
        kind = data[position]
        if kind == 119:
            return self._text(position + 1)
        if kind in {120, 121}:
            return kind == 120, position + 1
        if kind == 117:
            count, position = read_uint(data, position + 1)
            members: list[object] = []
            for _ in range(count):
                value, position = self._read(position)
                members.append(value)
            return members, position
        number, after = self._value(position, 1)
        if number is None or isinstance(number, int):
            return number, after
        return (int(number) if number.is_integer() else number), after
