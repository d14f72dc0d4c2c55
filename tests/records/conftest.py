"""People who edit one customer, together and apart."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest

from crdt_sync.clock import HybridClock
from crdt_sync.records import Document, Editor, Schema, bundled_schema
from crdt_sync.records.deleted import is_deleted
from crdt_sync.records.updates.update import scan

START = 1_700_000_000_000_000
VALUES = ("Ann", "張偉", "Zoë 😀", "e\u0301clair", "", "0170 / 123")


@dataclass
class Person:
    """One device's copy of the record, with an editor over it. `sent` are the updates of its own edits, in order."""

    document: Document
    editor: Editor
    clock: HybridClock
    sent: list[bytes] = field(default_factory=list)

    def edit(self, change: Callable[[Editor], None]) -> bytes:
        """Make one edit and return its update."""
        before, digest = self.document.state_vector(), self.document.digest()
        change(self.editor)
        update = self.document.diff(before)
        if self.document.digest() != digest:
            self.sent.append(update)
        return update

    def receive(self, other: "Person") -> None:
        """Take over everything that `other` holds."""
        self.document.apply(other.document.diff(self.document.state_vector()))


class Office:
    """Makes people and plays scripts of edits."""

    def __init__(self) -> None:
        self.schema: Schema = bundled_schema("customers")

    def person(self, writer: int, updates: Iterable[bytes] = (), actor: str = "", time: int = START) -> Person:
        ticks = iter(range(time, time + 10_000_000, 10))
        clock = HybridClock(lambda: next(ticks))
        document = Document.load(updates, writer)
        return Person(document, Editor(document, self.schema, clock, actor or f"actor{writer}", "customers"), clock)

    def meet(self, *people: Person) -> None:
        """Exchange until everybody holds everything."""
        for one in people:
            for other in people:
                one.receive(other)
        for one in people:
            one.receive(people[-1])

    def play(self, script: list[tuple[int, int, int]], people_count: int = 3) -> list[Person]:
        """Let people edit. Each step is (who, what, detail); a deleted record is restored before it is edited."""
        people = [self.person(writer + 1) for writer in range(people_count)]
        for who, what, detail in script:
            person = people[who % people_count]
            if what == 0:
                person.receive(people[detail % people_count])
            elif what == 1 and not is_deleted(person.document):
                person.edit(lambda editor: editor.delete())
            else:
                if is_deleted(person.document):
                    person.edit(lambda editor: editor.restore())
                person.edit(lambda editor, what=what, detail=detail: _change(editor, what, detail))  # type: ignore[misc]
        return people


def _change(editor: Editor, what: int, detail: int) -> None:
    value = VALUES[detail % len(VALUES)]
    match what:
        case 2 | 3:
            editor["company"] = value
        case 4:
            put(editor, "phone", value)
        case 5:
            editor.add("tags", value)
        case 6:
            editor.remove("tags", value)
        case 7:
            editor.increment("visits", detail - 1)
        case 8:
            editor.append("timeline", {"note": value})
        case 9:
            text = editor.text("notes")
            text.insert(detail % (len(text) + 1), value)
        case 10:
            text = editor.text("notes")
            text.delete(min(detail, len(text)), len(text))
        case _:
            put(editor, "stage", editor["stage"] or "lead")


def put(editor: Editor, field: str, value: str) -> None:
    """Decide the conflict of a field, or write it where there is none."""
    if editor.conflict(field) is None:
        editor[field] = value
    else:
        editor.resolve(field, value)


@pytest.fixture(scope="session")
def office() -> Office:
    return Office()


@pytest.fixture(scope="session")
def schema(office: Office) -> Schema:
    return office.schema


@pytest.fixture(scope="session")
def one_entry_update(office: Office) -> bytes:
    """The update of one overwritten field, as the relay sees it most."""
    person = office.person((1 << 52) + 5)
    person.edit(lambda editor: editor.update({"company": "Ann"}))
    update = person.edit(lambda editor: editor.update({"company": "Bert and sons"}))
    assert scan(update).stamps > START
    return update
