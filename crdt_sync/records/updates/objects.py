"""Objects among the values of an update, their members in one order.

Our layout keeps JSON as text, and the gate refuses objects; earlier versions took them. yrs writes the members of one
in another order each time that a record is loaded, so digests of content are made of this form.
"""

from crdt_sync.errors import UpdateRefused
from crdt_sync.limits import NESTING_MAX
from crdt_sync.records.updates.delete_set import malformed
from crdt_sync.records.updates.update import Reader
from crdt_sync.records.updates.varint import read_uint

_OBJECT = 118


def in_order(update: bytes) -> bytes:
    """`update` with the members of each object sorted by name; itself where it has no object or cannot be read."""
    if _OBJECT not in update:
        return update
    reader = _Objects(update)
    try:
        reader.scan()
    except (UpdateRefused, IndexError, UnicodeDecodeError):
        return update
    return reader.part(0, len(update), 0) if reader.found else update


class _Objects(Reader):
    """Finds the objects of an update: where each begins and ends, and how it reads in order."""

    __slots__ = ("found",)

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.found: list[tuple[int, int, bytes]] = []

    def part(self, start: int, end: int, index: int) -> bytes:
        """The bytes from `start` to `end` with the objects that were found from `index` on."""
        pieces = []
        for begins, ends, ordered in self.found[index:]:
            pieces += [self.data[start:begins], ordered]
            start = ends
        return b"".join([*pieces, self.data[start:end]])

    def _container(self, kind: int, position: int, depth: int) -> int:
        if kind != _OBJECT:
            return super()._container(kind, position, depth)
        count, begins = read_uint(self.data, position)
        if depth > NESTING_MAX or count > self.size:
            raise malformed("an object is too large to be put in order")
        index = len(self.found)
        members = []
        position = begins
        for _ in range(count):
            start = position
            name, position = self._text(position)
            _, position = self._value(position, depth + 1)
            members.append((name, self.part(start, position, index)))
            del self.found[index:]
        self.found.append((begins, position, b"".join(member for _, member in sorted(members))))
        return position
