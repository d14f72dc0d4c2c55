"""Every edit that a device accepted: what it added and removed, so that the end can be foretold.

An edit *survives* when its operations are in the final state. It must, unless it was `at_risk`: no store held it any
more at some moment, because the only ones that did were wiped or rolled back.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from crdt_bench.simulator.contents import Contents, Name, State
from crdt_bench.simulator.disk import Disk
from crdt_bench.simulator.lineages import dots
from crdt_sync.records.updates import state_vector as vectors


@dataclass(slots=True)
class Intent:
    """What an edit meant to do, where that cannot be told from what is shown before and after it."""

    counted: dict[str, int] = field(default_factory=dict)
    tagged: set[str] = field(default_factory=set)
    untagged: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Edit:
    """One accepted edit of one record. `writer` 0: it only deleted, and made no operation of its own."""

    number: int
    device: str
    record: str
    writer: int
    clock: int  # of `writer`, after the edit
    added: Mapping[str, frozenset[Name]]
    removed: Mapping[str, frozenset[Name]]
    intent: "Intent"
    seen: Mapping[int, int]  # state vector before the edit
    at_risk: bool = False

    def held_by(self, vector: Mapping[int, int]) -> bool:
        """Whether a state vector covers the edit."""
        return vector.get(self.writer, 0) >= self.clock


def changes(before: Contents, after: Contents) -> tuple[Contents, Contents]:
    """What is in `after` only, and what is in `before` only, by root."""
    nothing: frozenset[Name] = frozenset()
    roots = sorted(before.keys() | after.keys())
    added = {root: after.get(root, nothing) - before.get(root, nothing) for root in roots}
    removed = {root: before.get(root, nothing) - after.get(root, nothing) for root in roots}
    return (
        {root: names for root, names in added.items() if names},
        {root: names for root, names in removed.items() if names},
    )


@dataclass(slots=True)
class Ledger:
    """All edits of a run, by record."""

    edits: dict[str, list[Edit]] = field(default_factory=dict)
    restamped: set[str] = field(default_factory=set)  # records that were stamped again: values may have come back
    count: int = 0

    def add(
        self,
        device: str,
        record: str,
        before: State,
        after: State,
        intent: Intent,
        is_ours: Callable[[int], bool] = lambda _: False,
    ) -> Edit:
        """Note an edit, given the record before and after it.

        `is_ours` tells the device's own writers, where the edit may also write as others would: it writes down what an
        import says of a text.
        """
        old, new = vectors.decode(before.vector), vectors.decode(after.vector)
        grown = [writer for writer, clock in new.items() if clock > old.get(writer, 0)]
        grown = [writer for writer in grown if is_ours(writer)] or grown
        assert len(grown) <= 1, "one edit has one writer"
        writer = grown[0] if grown else 0
        added, removed = changes(before.contents, after.contents)
        self.count += 1
        edit = Edit(self.count, device, record, writer, new.get(writer, 0), added, removed, intent, old)
        self.edits.setdefault(record, []).append(edit)
        return edit

    def shares_writer(self, record: str, device: str, writer: int) -> bool:
        """Whether another device, or a life of this one that was lost, wrote into the record under this writer id.

        A second one who did would be lost, or could not be told from the first.
        """
        return any(
            edit.writer == writer and (edit.device != device or edit.at_risk) for edit in self.edits.get(record, ())
        )

    def all(self) -> Iterator[Edit]:
        """Every edit."""
        for edits in self.edits.values():
            yield from edits

    def assess(self, stores: Iterable[Disk]) -> None:
        """After a loss: whatever no store holds any more is at risk."""
        stores = list(stores)
        for record, edits in self.edits.items():
            heads = [store.true_head(record) for store in stores]
            held = [dots(head.state_vector) for head in heads if head is not None]
            for edit in edits:
                if not edit.at_risk:
                    edit.at_risk = edit.writer == 0 or not any(edit.held_by(vector) for vector in held)
