"""Delete sets: which operations of each writer are deleted, as `(clock, length)` ranges."""

from bisect import bisect_right

from crdt_sync.errors import UpdateRefused
from crdt_sync.limits import CLIENTS_MAX
from crdt_sync.records.updates.state_vector import CLOCK_MAX
from crdt_sync.records.updates.varint import append_uint, read_uint

Ranges = dict[int, list[tuple[int, int]]]


def malformed(message: str) -> UpdateRefused:
    """The refusal of bytes that are no update."""
    return UpdateRefused("malformed", message)


def read_deletes(update: bytes) -> Ranges:
    """The delete set of an update that holds no structs, as yrs gives it for a state vector that it covers."""
    try:
        return read_delete_set(update, 1)
    except IndexError:
        raise malformed("a delete set is cut off") from None


def merge_ranges(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sorted `(clock, length)` ranges with touching and overlapping ones joined."""
    if len(ranges) < 2:
        return ranges
    merged: list[tuple[int, int]] = []
    start, end = -1, -1
    for clock, length in sorted(ranges):
        if clock <= end:
            end = max(end, clock + length)
            continue
        if start >= 0:
            merged.append((start, end - start))
        start, end = clock, clock + length
    merged.append((start, end - start))
    return merged


def merged(*several: Ranges) -> Ranges:
    """All of these ranges, merged, without writers that have none."""
    together: Ranges = {}
    for deletes in several:
        for writer, ranges in deletes.items():
            together[writer] = together[writer] + ranges if writer in together else ranges
    return {writer: merge_ranges(ranges) for writer, ranges in together.items() if ranges}


def range_covered(ranges: list[tuple[int, int]], clock: int, length: int) -> bool:
    """Whether one of the merged, sorted `ranges` holds all of `length` operations from `clock`."""
    index = bisect_right(ranges, (clock, CLOCK_MAX)) - 1
    return index >= 0 and clock + length <= ranges[index][0] + ranges[index][1]


def covered(deletes: Ranges, known: Ranges) -> bool:
    """Whether every range of `deletes` lies inside a range of `known`, whose ranges are merged."""
    for writer, ranges in deletes.items():
        held = known.get(writer, [])
        if not all(range_covered(held, clock, length) for clock, length in ranges):
            return False
    return True


def without(deletes: Ranges, known: Ranges) -> Ranges:
    """The operations of `deletes` that `known` does not hold; both, and the result, have merged ranges."""
    rest: Ranges = {}
    for writer, ranges in deletes.items():
        held = known.get(writer, [])
        if ranges == held:
            continue
        left: list[tuple[int, int]] = []
        place = 0
        for clock, length in ranges:
            begin, end = clock, clock + length
            while place < len(held) and held[place][0] < end:
                known_begin, known_end = held[place][0], sum(held[place])
                if begin < known_begin:
                    left.append((begin, known_begin - begin))
                begin = max(begin, known_end)
                if known_end > end:
                    break  # it may reach into the next range
                place += 1
            if begin < end:
                left.append((begin, end - begin))
        if left:
            rest[writer] = left
    return rest


def encode_delete_set(deletes: Ranges) -> bytes:
    """A delete set as it stands at the end of an update."""
    encoded = bytearray()
    append_uint(encoded, len(deletes))
    for writer in sorted(deletes):
        append_uint(encoded, writer)
        append_uint(encoded, len(deletes[writer]))
        for clock, length in deletes[writer]:
            append_uint(encoded, clock)
            append_uint(encoded, length)
    return bytes(encoded)


def read_delete_set(data: bytes, position: int) -> Ranges:
    """Read a delete set that fills `data` from `position` to its end. Raises `UpdateRefused` and `IndexError`."""
    size = len(data)
    writers = data[position]
    position += 1
    if writers == 0 and position == size:
        return {}
    if writers > 0x7F:
        writers, position = read_uint(data, position - 1)
    if writers > CLIENTS_MAX or writers * 2 > size - position:  # yrs leaves writers without ranges when it merges
        raise malformed(f"a delete set announces {writers} writers in {size - position} bytes")
    deletes: Ranges = {}
    for _ in range(writers):
        writer, position = read_uint(data, position)
        count, position = read_uint(data, position)
        if count * 2 > size - position or writer in deletes:
            raise malformed(f"a delete set announces {count} ranges in {size - position} bytes")
        ranges: list[tuple[int, int]] = []
        for _ in range(count):
            clock, position = read_uint(data, position)
            length, position = read_uint(data, position)
            if clock + length > CLOCK_MAX:
                raise malformed("a delete set reaches beyond the last possible clock")
            ranges.append((clock, length))
        deletes[writer] = ranges
    if position != size:
        raise malformed("an update has trailing bytes")
    return deletes
