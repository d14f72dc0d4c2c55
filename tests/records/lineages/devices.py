"""Devices that edit, exchange and renew one record, each beside a twin of its document that is never renewed.

The twin is edited and merged at the same moments: it says what must be shown.
"""

from crdt_sync.clock import HybridClock
from crdt_sync.records import Document, Editor, bundled_schema, reading_of
from crdt_sync.records.deleted import is_deleted
from crdt_sync.records.imported import ImportedChange, bring
from crdt_sync.records.lineages import renewal
from crdt_sync.records.lineages.lineage import lineage_of
from crdt_sync.records.memory.memories import remember
from crdt_sync.records.text_field import TextField
from crdt_sync.records.updates import state_vector as vectors

SCHEMA = bundled_schema("customers")
START = 1_700_000_000_000_000
DEVICES = 3
LIFE = 1 << 40  # ids of one life follow it
EDITS = (
    "company",
    "phone",
    "add",
    "remove",
    "visits",
    "timeline",
    "type",
    "erase",
    "stage",
    "delete",
    "import",
    "remember",
)
VALUES = ("Ann", "張偉", "Zoë 😀", "")


class Device:
    """A document that is renewed now and then, and its twin, which never is."""

    def __init__(self, number: int, company: "Company") -> None:
        self.number = number
        self.company = company
        self.writer = 0
        self.document = Document()
        self.twin = Document()

    def edit(self, what: str, detail: int) -> None:
        """The same edit of both, by one writer at one time."""
        self.company.time += 1000
        if not self.writer or detail % 3 == 0 or self.writer in lineage_of(self.document).cover:
            self.writer = self.company.new_writer()
        letter = self.company.letter()
        self.document = self._edited(self.document, what, detail, letter)
        self.twin = self._edited(self.twin, what, detail, letter)
        self.check()

    def _edited(self, document: Document, what: str, detail: int, letter: str) -> Document:
        copy = Document.load((document.diff(),), self.writer)
        clock = HybridClock(lambda: self.company.time)
        name = f"device{self.number}"
        editor = Editor(copy, SCHEMA, clock, name, "customers")
        if what == "delete":
            editor.delete()
            return copy
        source = f"source{self.number} {self.company.time}"
        if what == "remember":  # which is no edit
            remember(copy, clock, name, f"source{self.number}" if detail % 2 else source, {"company": letter})
            return copy
        if is_deleted(copy):
            editor.restore()
        if what == "import":
            value = VALUES[detail % len(VALUES)]
            bring(
                copy, SCHEMA, source, [ImportedChange("beside", "company", value), ImportedChange("add", "tags", value)]
            )
            remember(copy, clock, name, source, {"company": value, "tags": [value]})
        else:
            _edit(copy, editor, what, detail, letter)
        return copy

    def receive(self, other: "Device") -> None:
        """Take over everything that `other` holds."""
        self.document = merged(self.document, other.document)
        self.twin.apply(other.twin.diff(self.twin.state_vector()))
        self.check()

    def renew(self) -> None:
        before = reading_of(self.document, SCHEMA)
        self.document = renewal.renewed(self.document)
        assert reading_of(self.document, SCHEMA) == before
        assert self.writer == 0 or self.writer not in vectors.decode(self.document.state_vector())
        self.check()

    def check(self) -> None:
        """The document shows what its twin shows; of texts the same letters, in an order that joins may choose."""
        assert shown(self.document) == shown(self.twin)


class Company:
    """Some devices that edit one record."""

    def __init__(self, count: int = DEVICES) -> None:
        self.time = START
        self._writers = 0
        self._letters = 0
        self.devices = [Device(number, self) for number in range(count)]

    def new_writer(self) -> int:
        self._writers += 1
        return (1 << 52) - 7919 * self._writers

    def letter(self) -> str:
        """A letter that nobody has typed yet; every third takes two UTF-16 units."""
        self._letters += 1
        return chr((0x20000 if self._letters % 3 == 0 else 0x4E00) + self._letters)

    def play(self, script: list[tuple[int, str, int]]) -> None:
        for who, what, detail in script:
            device = self.devices[who % len(self.devices)]
            if what == "receive":
                device.receive(self.devices[detail % len(self.devices)])
            elif what == "renew":
                device.renew()
            else:
                device.edit(what, detail)

    def meet(self) -> None:
        """Exchange until nothing changes any more, which must come to an end."""
        for _ in range(len(self.devices) + 3):
            before = [device.document.digest() for device in self.devices]
            for device in self.devices:
                for other in self.devices:
                    if other is not device:
                        device.receive(other)
            if before == [device.document.digest() for device in self.devices]:
                break
        digests = {device.document.digest() for device in self.devices}
        assert len(digests) == 1, "devices that hold the same differ"
        assert len({device.document.content_digest() for device in self.devices}) == 1
        assert len({str(reading_of(device.document, SCHEMA)) for device in self.devices}) == 1


def merged(one: Document, other: Document) -> Document:
    """A document with all of both."""
    if lineage_of(one).writer == lineage_of(other).writer:
        together = Document.load((one.diff(),))
        together.apply(other.diff(one.state_vector()))
        return together
    return renewal.carried(one, other)


def shown(document: Document) -> tuple[object, ...]:
    """What a record shows, texts as their letters."""
    reading = reading_of(document, SCHEMA, all_kinds=True)
    values = dict(reading.values)
    letters = sorted(str(values.pop("notes", "")))
    return values, letters, reading.conflicts, reading.deleted, reading.sources


def _edit(document: Document, editor: Editor, what: str, detail: int, letter: str) -> None:
    value = VALUES[detail % len(VALUES)]
    match what:
        case "company":
            editor["company"] = value + letter
        case "phone" | "stage":
            wanted = value + letter if what == "phone" else SCHEMA.fields["stage"].states[detail % 2]
            if editor.conflict(what) is None:
                editor[what] = wanted
            else:
                editor.resolve(what, wanted)
        case "add":
            editor.add("tags", value)
        case "remove":
            editor.remove("tags", value)
        case "visits":
            editor.increment("visits", detail - 1)
        case "timeline":
            editor.append("timeline", {"note": value})
        case "type":  # beside a letter that both have, wherever it stands in them
            text = TextField(document, "notes")
            text.insert(_place(str(text), detail), letter * (1 + detail % 2))
        case "erase":
            text = TextField(document, "notes")
            if str(text):
                place = _place(str(text), detail)
                place = min(place, len(text) - 1)
                text.delete(place, place + 1)


def _place(text: str, detail: int) -> int:
    """Where the letter stands that is at a place of all letters in order."""
    return text.index(sorted(text)[detail % len(text)]) if text else 0


def person(document: Document, writer: int, time: int = START) -> tuple[Document, Editor]:
    """A copy of the document that this writer goes on with, and an editor over it."""
    copy = Document.load((document.diff(),), writer)
    return copy, Editor(copy, SCHEMA, HybridClock(lambda: time), f"writer{writer}", "customers")
