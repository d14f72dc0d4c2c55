"""Text: characters merge."""

from typing import TYPE_CHECKING

from crdt_sync.errors import InvalidValue
from crdt_sync.limits import TEXT_BYTES_MAX
from crdt_sync.records.comparing import filled
from crdt_sync.records.kind import ABSENT, FieldKind, Held
from crdt_sync.records.kinds.value import emptied
from crdt_sync.records.roots import Layout
from crdt_sync.records.values import Carrier, text_carrier

if TYPE_CHECKING:
    from crdt_sync.records.field_settings import FieldSettings
    from crdt_sync.records.pen import Pen
    from crdt_sync.records.text_field import TextField


class Text(FieldKind):
    """A text that several people edit at once."""

    name = "text"
    merging = "characters merge"
    layout = Layout.TEXT
    plain = True
    types = ("string",)
    adds_up = True
    long = True
    empty = ""

    def normalise(self, field: str, spec: "FieldSettings", value: object) -> Carrier:
        """A text may be longer than a value."""
        if value is None:
            raise InvalidValue(field, "a value is needed here", "Leave the field out instead of emptying it.")
        return text_carrier(field, value, TEXT_BYTES_MAX)

    def restore(self, spec: "FieldSettings", carrier: object) -> object:
        """As it is."""
        return carrier

    def parse(self, field: str, spec: "FieldSettings", text: str) -> object:
        """As it is, blanks too."""
        return text

    def shown(self, field: str, spec: "FieldSettings | None", held: Held) -> object:
        """See `source_texts`."""
        return held.text[field].text or ABSENT

    def write(self, pen: "Pen", field: str, spec: "FieldSettings", value: object) -> None:
        """Rewrite what differs."""
        text = text_carrier(field, "" if value is None else value, TEXT_BYTES_MAX)
        if spec.required and not filled(text):
            raise emptied(field)
        self.text(pen, field).replace(text)

    def decide(self, pen: "Pen", field: str, spec: "FieldSettings", value: object) -> None:
        """Of versions, and of what waits beside it."""
        pen.end_waiting(field)
        self.write(pen, field, spec, value)

    def text(self, pen: "Pen", field: str) -> "TextField":
        """The text itself."""
        return pen.open_text(field)

    def replay(self, pen: "Pen", field: str, spec: "FieldSettings", carrier: object) -> None:
        """Put after the text that is there, unless that says so already."""
        entered, text = str(carrier), self.text(pen, field)
        present = str(text)
        if entered not in present:
            text.insert(len(text), f"\n{entered}" if present else entered)


KIND = Text()
