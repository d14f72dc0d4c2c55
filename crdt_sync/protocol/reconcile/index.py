"""Every record's digest in memory, such that any range has its count and sum at once.

Sorted blocks of some hundred records, each with its leaves and their total. A change touches one block; `pin` shares
the blocks with a `Pinned` view, and a change after that copies the one block that it touches. Running sums, over the
blocks and inside one, are made when a view first needs them. Changes wait until there are some hundred or a view is
needed: applied in the order of their records they cost half, and a record that changes often costs once.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from itertools import accumulate, islice
from operator import lt

from crdt_sync.protocol.reconcile.blocks import DIGEST_BYTES, AnyBlock, Block, Untrue, pack, unpack
from crdt_sync.protocol.reconcile.bounds import separator
from crdt_sync.protocol.reconcile.fingerprint import MODULUS

PAGE_RECORDS = 4096
CHANGES_WAITING_MAX = 1024  # 3 ms to apply
BLOCK_RECORDS = 256  # blocks are built with so many and split at twice that


class Index:
    """The digests of all records of this side, as they are now. Not thread-safe."""

    def __init__(self, entries: Iterable[tuple[str, bytes]] = ()) -> None:
        """Build from entries in strictly ascending order of their record ids. Raises `ValueError`."""
        self._owner = object()
        self._blocks: list[AnyBlock] = []
        self._last: list[str] = []  # the last record of each block
        self._count = 0
        self._waiting: dict[str, bytes | None] = {}
        remaining = iter(entries)
        while chunk := list(islice(remaining, BLOCK_RECORDS)):
            self._append(chunk)

    @classmethod
    def load(cls, page: Callable[[str, int], list[tuple[str, bytes | None]]]) -> tuple["Index", list[str]]:
        """Build from `page(after, limit)`, as `Store.digests` has it; also the records without a digest.

        A run is blind to those: give each a digest and call `put` before the index is used.
        """
        stale: list[str] = []

        def entries() -> Iterable[tuple[str, bytes]]:
            after = ""
            while rows := page(after, PAGE_RECORDS):
                for record, digest in rows:
                    if digest is None:
                        stale.append(record)
                    else:
                        yield record, digest
                after = rows[-1][0]

        return cls(entries()), stale

    @classmethod
    def restore(cls, pages: Iterable[bytes], untrue: Untrue) -> "Index":
        """The index whose `dump` gave these pages; raises `ValueError` if it is none.

        Its total must be held against a trusted one before it is used. `untrue` is called, then or later in any
        method of the index or of a view of it, when a block is not what its total says; it returns what to raise.
        """
        index = cls()
        for block in unpack(pages, untrue):
            index._blocks.append(block)
            index._last.append(block.last)
            index._count += len(block)
        return index

    def dump(self) -> list[bytes]:
        """Pages of up to a megabyte, for `restore`."""
        self._apply()
        return list(pack(self._blocks, self._last))

    def __len__(self) -> int:
        self._apply()
        return self._count

    def put(self, record: str, digest: bytes) -> None:
        """Take over a record's new digest; call it when the commit that made it is durable."""
        if len(digest) != DIGEST_BYTES:
            raise ValueError(f"a digest has {DIGEST_BYTES} bytes, not {len(digest)}")
        self._wait(record, digest)

    def remove(self, record: str) -> None:
        """Leave out a record that is no longer held, or whose digest is not known; no matter if it is not there."""
        self._wait(record, None)

    def pin(self) -> "Pinned":
        """A view of the present state, which later changes leave alone."""
        self._apply()
        self._owner = object()
        return Pinned(self._blocks.copy(), self._last.copy())

    def copy(self) -> "Index":
        """A second index with the same content, sharing what neither has changed since."""
        self._apply()
        twin = Index()
        self._owner = object()
        twin._blocks, twin._last, twin._count = self._blocks.copy(), self._last.copy(), self._count
        return twin

    def _wait(self, record: str, digest: bytes | None) -> None:
        self._waiting[record] = digest
        if len(self._waiting) >= CHANGES_WAITING_MAX:
            self._apply()

    def _apply(self) -> None:
        for record in sorted(self._waiting):
            digest = self._waiting[record]
            if digest is None:
                self._remove(record)
            else:
                self._put(record, digest)
        self._waiting.clear()

    def _put(self, record: str, digest: bytes) -> None:
        if not self._blocks:
            self._append([(record, digest)])
            return
        number = min(bisect_left(self._last, record), len(self._blocks) - 1)
        block = self._own(number)
        position = bisect_left(block.records, record)
        if position < len(block.records) and block.records[position] == record:
            block.update(position, digest)
            return
        block.replace(position, position, [(record, digest)])
        self._count += 1
        if len(block.records) >= 2 * BLOCK_RECORDS:
            upper = block.divide()
            self._blocks.insert(number + 1, upper)
            self._last.insert(number + 1, upper.records[-1])
        self._last[number] = block.records[-1]

    def _remove(self, record: str) -> None:
        number = bisect_left(self._last, record)
        if number == len(self._blocks):
            return
        position = bisect_left(self._blocks[number].open().records, record)
        if self._blocks[number].open().records[position] != record:
            return
        block = self._own(number)
        block.replace(position, position + 1, ())
        self._count -= 1
        if block.records:
            self._last[number] = block.records[-1]
        else:
            del self._blocks[number], self._last[number]

    def _own(self, number: int) -> Block:
        block = self._blocks[number].open()
        if block.owner is not self._owner:
            block = self._blocks[number] = block.copy(self._owner)
        return block

    def _append(self, entries: list[tuple[str, bytes]]) -> None:
        if {len(digest) for _, digest in entries} != {DIGEST_BYTES}:
            raise ValueError(f"a digest does not have {DIGEST_BYTES} bytes")
        records = [record for record, _ in entries]
        if not all(map(lt, [*self._last[-1:], *records], records[0 if self._last else 1 :])):
            raise ValueError("the records are not in strictly ascending order")
        block = Block(self._owner, [], bytearray(), [], 0)
        block.replace(0, 0, entries)
        self._blocks.append(block)
        self._last.append(records[-1])
        self._count += len(records)


class Pinned:
    """A `View` of an index as it was when it was pinned."""

    def __init__(self, blocks: list[AnyBlock], last: list[str]) -> None:
        self._blocks = blocks
        self._last = last
        self._ranks = list(accumulate((len(block) for block in blocks), initial=0))
        self._sums = list(accumulate((block.total for block in blocks), initial=0))

    def __len__(self) -> int:
        return self._ranks[-1]

    def aggregate(self, after: str, through: str | None) -> tuple[int, int]:
        """See `View`."""
        count, total = self._below(through)
        count_before, total_before = self._below(after)
        return count - count_before, (total - total_before) % MODULUS

    def split(self, after: str, through: str | None, parts: int) -> list[str]:
        """See `View`."""
        first, count = self._below(after)[0], self._below(through)[0]
        count -= first
        if count < parts:
            raise ValueError(f"{count} records do not make {parts} parts")
        cuts = [first + count * part // parts for part in range(1, parts)]
        if count >= parts * BLOCK_RECORDS:
            cuts = [self._near(cut) for cut in cuts]
        return [separator(self._record(cut - 1), self._record(cut)) for cut in cuts]

    def items(self, after: str, through: str | None, limit: int) -> list[tuple[str, bytes]]:
        """See `View`."""
        rank, end = self._below(after)[0], self._below(through)[0]
        end = min(end, rank + limit)
        found: list[tuple[str, bytes]] = []
        while rank < end:
            number = bisect_right(self._ranks, rank) - 1
            block = self._blocks[number].open()
            start = rank - self._ranks[number]
            stop = min(len(block.records), end - self._ranks[number])
            found.extend((block.records[position], block.digest(position)) for position in range(start, stop))
            rank += stop - start
        return found

    def _below(self, bound: str | None) -> tuple[int, int]:
        """Count and sum (not reduced) of the records up to and including `bound`."""
        number = len(self._blocks) if bound is None else bisect_right(self._last, bound)
        if bound is None or number == len(self._blocks):
            return self._ranks[-1], self._sums[-1]
        if bound < self._blocks[number].first:
            return self._ranks[number], self._sums[number]
        block = self._blocks[number].open()
        position = bisect_right(block.records, bound)
        return self._ranks[number] + position, self._sums[number] + block.sum(position)

    def _near(self, rank: int) -> int:
        """The nearest rank where a block begins, as none is opened for it; `rank` if parts would get too unequal."""
        number = bisect_left(self._ranks, rank)
        nearest = min(self._ranks[number - 1 : number + 1], key=lambda start: abs(start - rank))
        return nearest if 4 * abs(nearest - rank) < BLOCK_RECORDS else rank

    def _record(self, rank: int) -> str:
        number = bisect_right(self._ranks, rank) - 1
        if rank == self._ranks[number]:
            return self._blocks[number].first
        if rank == self._ranks[number + 1] - 1:
            return self._last[number]
        return self._blocks[number].open().records[rank - self._ranks[number]]
