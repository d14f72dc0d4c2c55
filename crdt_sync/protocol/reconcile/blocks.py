"""Some hundred neighbouring records with their leaves: what an index is made of, and how it is packed to be kept.

A packed block is opened when a record in it is looked at, and not before: of an index that was kept, a comparison
opens the blocks that differ. What is in it must then add up to the total that it was packed with. As the totals of
all blocks are held against the root of the store, a block that lies can cost a comparison and not mislead it: a
wrong total is made up for by another one, and that range is looked into. docs/reconciliation.md has the argument.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import lt

import cbor2

from crdt_sync.protocol.reconcile.fingerprint import leaf, leaves

DIGEST_BYTES = 16
_PAGE_BLOCKS = 64  # about a megabyte
_TOTAL_BYTES = 40  # a block has far fewer than 2**64 leaves of 32 bytes

Untrue = Callable[[], Exception]
"""Called when a packed block turns out to lie; returns what to raise."""


@dataclass(slots=True)
class Block:
    """`digests` are one after the other; `total` is the sum of all leaves, not reduced."""

    owner: object
    records: list[str]
    digests: bytearray
    leaves: list[int]
    total: int
    sums: list[int] | None = None

    def __len__(self) -> int:
        return len(self.records)

    @property
    def first(self) -> str:
        """The first record."""
        return self.records[0]

    def open(self) -> "Block":
        """Itself; see `PackedBlock.open`."""
        return self

    def copy(self, owner: object) -> "Block":
        """The same for another owner, who may change it."""
        return Block(owner, self.records.copy(), self.digests.copy(), self.leaves.copy(), self.total)

    def digest(self, position: int) -> bytes:
        """The digest at a position."""
        return bytes(self.digests[position * DIGEST_BYTES : (position + 1) * DIGEST_BYTES])

    def sum(self, position: int) -> int:
        """The sum of the leaves before `position`."""
        if self.sums is None:
            self.sums = list(accumulate(self.leaves, initial=0))
        return self.sums[position]

    def update(self, position: int, digest: bytes) -> None:
        """A record has another digest: by far the most frequent change."""
        new = leaf(self.records[position], digest)
        self.total += new - self.leaves[position]
        self.leaves[position] = new
        self.digests[position * DIGEST_BYTES : (position + 1) * DIGEST_BYTES] = digest
        self.sums = None

    def replace(self, start: int, stop: int, entries: Sequence[tuple[str, bytes]]) -> None:
        """Put `entries` in the place of those from `start` to before `stop`."""
        new = leaves(entries)
        self.total += sum(new) - sum(self.leaves[start:stop])
        self.sums = None
        self.records[start:stop] = [record for record, _ in entries]
        self.digests[start * DIGEST_BYTES : stop * DIGEST_BYTES] = b"".join([digest for _, digest in entries])
        self.leaves[start:stop] = new

    def divide(self) -> "Block":
        """Cut off and return the upper half."""
        half = len(self.records) // 2
        leaves = self.leaves[half:]
        upper = Block(self.owner, self.records[half:], self.digests[half * DIGEST_BYTES :], leaves, sum(leaves))
        del self.records[half:], self.digests[half * DIGEST_BYTES :], self.leaves[half:]
        self.total -= upper.total
        self.sums = None
        return upper


class PackedBlock:
    """A block that was kept: `records` joined by line feeds, `digests` one after the other. Never changes."""

    __slots__ = ("_count", "_opened", "_untrue", "after", "digests", "last", "records", "total")

    def __init__(self, after: str, last: str, total: int, records: str, digests: bytes, untrue: Untrue) -> None:
        self.after = after
        self.last = last
        self.total = total
        self.records = records
        self.digests = digests
        self._count = len(digests) // DIGEST_BYTES
        self._opened: Block | None = None
        self._untrue = untrue

    def __len__(self) -> int:
        return self._count

    @property
    def first(self) -> str:
        """The first record; not checked before `open`."""
        return self.records.partition("\n")[0]

    def open(self) -> Block:
        """The block, which nobody owns. Raises what `Untrue` says if it is not what its total stands for."""
        if self._opened is None:
            records = self.records.split("\n")
            block = Block(object(), [], bytearray(), [], 0)
            starts = range(0, len(self.digests), DIGEST_BYTES)
            block.replace(
                0, 0, [(r, self.digests[s : s + DIGEST_BYTES]) for r, s in zip(records, starts, strict=False)]
            )
            ascending = all(map(lt, [self.after, *records], records))
            if not ascending or len(records) != len(self) or records[-1] != self.last or block.total != self.total:
                raise self._untrue()
            self._opened = block
        return self._opened


AnyBlock = Block | PackedBlock


def pack(blocks: Sequence[AnyBlock], last: Sequence[str]) -> Iterator[bytes]:
    """Pages that hold these blocks; `last` are their last records."""
    for start in range(0, len(blocks), _PAGE_BLOCKS):
        chosen = zip(last[start : start + _PAGE_BLOCKS], blocks[start : start + _PAGE_BLOCKS], strict=True)
        yield cbor2.dumps([_packed(name, block) for name, block in chosen])


def _packed(last: str, block: AnyBlock) -> tuple[str, bytes, str, bytes]:
    records = block.records if isinstance(block.records, str) else "\n".join(block.records)
    return last, block.total.to_bytes(_TOTAL_BYTES, "big"), records, bytes(block.digests)


def unpack(pages: Iterable[bytes], untrue: Untrue) -> Iterator[PackedBlock]:
    """The blocks of pages that `pack` made. Raises `ValueError` if something else did."""
    after = ""
    for page in pages:
        try:
            for last, total, records, digests in cbor2.loads(page):
                block = PackedBlock(after, last, int.from_bytes(total, "big"), records, digests, untrue)
                if not isinstance(records, str) or not isinstance(digests, bytes):
                    raise ValueError("columns of another kind")
                if not after < last or not len(block) or len(digests) % DIGEST_BYTES:
                    raise ValueError("blocks that are empty or not in ascending order")
                yield block
                after = last
        except (cbor2.CBORError, TypeError) as error:
            raise ValueError("not the pages of an index") from error
