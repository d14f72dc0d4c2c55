"""Which operations of a record stand in text roots, so that no item of another kind gets in among them.

yrs lets an item stand beside any other. Text among the values of an array makes reading that array loop for ever, and
values inside a text shift the offsets of every later edit. An item names its root only when it has no neighbours,
so the gate keeps the operations of texts by writer and follows the neighbours of each new item to one of them.
"""

from bisect import bisect_right

from crdt_sync.records.delete_set import range_covered
from crdt_sync.records.update import Item

Spans = dict[int, list[tuple[int, int]]]

TEXT_PREFIX = "t."


def concerns_texts(items: list[Item], texts: Spans) -> bool:
    """Whether there is anything to look at: most records have no text, and most updates bring none."""
    return bool(texts) or any(
        item.text or (item.root is not None and item.root.startswith(TEXT_PREFIX)) for item in items
    )


def misplaced(items: list[Item], texts: Spans) -> bool:
    """Whether an item holds text outside a text root, or something else inside one, or stands between the two."""
    standing = _Standing(items, texts)
    for item in items:
        inside = standing.of(item)
        if not item.deleted and item.text != inside:
            return True
        if item.right is not None and item.left is not None and standing.at(*item.right) != inside:
            return True
    return False


def add_texts(items: list[Item], texts: Spans) -> None:
    """Take the operations of `items` that stand in text roots into `texts`."""
    standing = _Standing(items, texts)
    inside = [item for item in items if standing.of(item)]
    for item in inside:
        spans = texts.setdefault(item.writer, [])
        last = spans[-1] if spans else (0, 0)
        if spans and last[0] + last[1] >= item.clock:
            end = max(last[0] + last[1], item.clock + item.length)
            spans[-1] = (last[0], end - last[0])
        else:
            spans.append((item.clock, item.length))


class _Standing:
    """Finds out where items stand: by their root, or by that of their neighbours, here or in `texts`."""

    def __init__(self, items: list[Item], texts: Spans) -> None:
        self._texts = texts
        self._known: dict[tuple[int, int], bool] = {}
        self._by_writer: dict[int, list[Item]] = {}
        for item in items:
            self._by_writer.setdefault(item.writer, []).append(item)

    def of(self, item: Item) -> bool:
        """Whether `item` stands in a text. Neighbours that lead in a circle or nowhere are in none."""
        path: list[tuple[int, int]] = []
        inside: bool | None = None
        current: Item | None = item
        while current is not None and inside is None:
            key = (current.writer, current.clock)
            inside = self._known.get(key)
            if inside is not None:
                break
            path.append(key)
            self._known[key] = False
            neighbour = current.left or current.right
            if neighbour is None:
                inside = current.root is not None and current.root.startswith(TEXT_PREFIX)
                break
            current = self._item_at(*neighbour)
            if current is None:
                inside = range_covered(self._texts.get(neighbour[0], []), neighbour[1], 1)
        for key in path:
            self._known[key] = bool(inside)
        return bool(inside)

    def at(self, writer: int, clock: int) -> bool:
        """Whether the operation `clock` of `writer` stands in a text."""
        item = self._item_at(writer, clock)
        return range_covered(self._texts.get(writer, []), clock, 1) if item is None else self.of(item)

    def _item_at(self, writer: int, clock: int) -> Item | None:
        items = self._by_writer.get(writer)
        if items is None:
            return None
        index = bisect_right(items, clock, key=lambda item: item.clock) - 1
        if index < 0 or clock >= items[index].clock + items[index].length:
            return None
        return items[index]
