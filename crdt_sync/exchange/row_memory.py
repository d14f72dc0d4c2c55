"""What was said of a record before a table says something of it, and what that tells of the record's fields."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from crdt_sync.exchange.table import MISSING, Missing
from crdt_sync.records.entries import Doubt
from crdt_sync.records.memory.sources import (
    SEEN,
    TEXTS_BEFORE_MAX,
    counter_said,
    mark,
    mark_entry,
    mark_text,
    same,
    text_mark,
    texts_before,
    whole_text,
)
from crdt_sync.records.replaced import Replaced
from crdt_sync.records.roots import Layout
from crdt_sync.records.schema import FieldSpec
from crdt_sync.records.values import canonical
from crdt_sync.replica.former import Former

Said = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Memory:
    """What was said before of one record: by the source itself, the newest first, and by other sources.

    `heard` is what exports of this device wrote, and what people edited in exports, where the table is none of them.
    `share` is what the record holds for the source now, of its counters. `formerly` finds out what fields held before,
    but of the `natural` key: a key that somebody left is not theirs any more. `exported` tells that the table names the
    record by an id that nobody chooses, so that it began as an export; `edited` that it is one, so that its news are
    what people wrote; `unknown` that it is one of another device, of which nothing more is known. `carried` is the
    stamp of an export that says itself what it was edited from, the last of `own`: that may not have arrived here, and
    whoever removed a member of a set removed it, whoever had added it.

    A table and what people edited in an export of its name are one account, see `records.memory.sources`: `share` is
    its share, `beside` what the rest of it said last, and `since` what of that was said after `own`.

    An export that does not say itself what it was edited from may be one that another device wrote later, under the
    same name: `later` is above 0 where its cells rather say what is shown by now, below where they do not.

    Of versions that were imported without knowing of each other, all that they said is no news, unless the `newest`
    alone is compared with: then what an older one says, which is not shown, takes the place of that.
    """

    own: Sequence[Said] = ()
    others: Sequence[Said] = ()
    heard: Sequence[Said] = ()
    share: Said | None = None
    formerly: Callable[[], Former] = Former
    natural: frozenset[str] = frozenset()
    exported: bool = False
    edited: bool = False
    unknown: bool = False
    carried: int | None = None
    beside: Said = field(default_factory=dict)
    since: Said = field(default_factory=dict)
    later: int = 0
    newest: bool = False

    def told(self, field: str) -> list[object]:
        """What is no news of the field: said by the source itself, or if it said nothing, by any, or in exports."""
        return self.said(field) + self.exported_of(field)

    def repeated(self, field: str) -> list[object]:
        """What a cell says again that is no news: of these, where they differ, what was said last or any."""
        return self.said(field)[:1] if self.newest and self.base(field) is not MISSING else self.said(field)

    def said(self, field: str) -> list[object]:
        """What sources said of the field, likewise: where it holds that, the table's news take its place."""
        return _of(self.own, field) or _of(self.others, field)

    def exported_of(self, field: str) -> list[object]:
        """What exports said of the field, and people who edited them; not asked where the source said something."""
        return [] if self.base(field) is not MISSING else _of(self.heard, field)

    def former(self, field: str, spec: FieldSpec) -> list[object]:
        """What the field held before, as a source would say it; not asked where the source itself said something."""
        if field in self.natural or self.base(field) is not MISSING:
            return []
        formerly = self.formerly()
        held = [said_of(spec, values[field]) for values in formerly.values if field in values]
        return [*held, *formerly.replaced.get(field, ())]

    def held(self, field: str, spec: FieldSpec, text: str) -> bool:
        """Whether a text is what the field held before, or what a source is remembered to have said of it."""
        if self.base(field) is not MISSING:
            return False
        was = (len(text), mark(text, 0))
        return any(was in texts_before(each) for each in _of(self.others, field)) or any(
            same(each, mark_text(text)) for each in self.former(field, spec)
        )

    def texts_before(self, field: str, spec: FieldSpec, present: str) -> tuple[list[str], bool]:
        """Texts that the field held before, and whether sources said no others: of more than they keep nobody knows."""
        texts = [text for each in self.former(field, spec) if (text := whole_text(each)) is not None]
        known = {(len(text), mark(text, 0)) for text in (*texts, present)}
        said = [texts_before(each) for each in _of(self.others, field)]
        return texts, all(len(was) < TEXTS_BEFORE_MAX and known.issuperset(was) for was in said)

    def never_changed(self, field: str) -> bool:
        """Whether any export said what the field holds now: then another value is an edit of the export."""
        asked = self.exported and not self.told(field)
        return asked and field in self.formerly().written_once

    def agreed_with(self, field: str) -> bool:
        """Whether a person wrote what the field holds, and other sources alone said the same."""
        return self.base(field) is MISSING and field in self.formerly().by_people

    def takes_place(self, field: str, held: object) -> bool:
        """Whether the field shows what a source says of it, a mark, so that news of the table take its place."""
        return any(same(text_mark(each), held) for each in self.said(field)) and self._is_newer(field)

    def is_said_by_others(self, field: str, text: str) -> bool:
        """Whether a text is the word of other sources alone."""
        said = any(same(text_mark(each), mark_text(text)) for each in self.said(field))
        return self.base(field) is MISSING and said and not self.agreed_with(field)

    def takes_place_of_count(self, field: str, held: object) -> bool:
        """The same of a number to which a field is counted."""
        return any(equal_numbers(counter_said(each), held) for each in self.said(field)) and self._is_newer(field)

    def _is_newer(self, field: str) -> bool:
        return self.base(field) is not MISSING or not (self.may_be_older(field) or self.agreed_with(field))

    def repeats(self, field: str, said: object) -> object | Missing:
        """What to remember where a cell says what was said before, `said`: as its own word, what only others said.

        So news of theirs are not taken back by the next import of the table. What nobody edited in an export is no
        word of its own.
        """
        return MISSING if self.is_edit or self.base(field) is not MISSING else said

    @property
    def is_edit(self) -> bool:
        """Whether what differs from what is shown is likely to be an edit of that, not the word of another list."""
        return self.edited or self.unknown or self.exported

    def may_be_older(self, field: str) -> bool:
        """Whether the table may be from before other sources said last what they say of the field."""
        if self.edited or self.base(field) is not MISSING:
            return False
        said = [each for each in self.others if field in each]
        return len(said) > 1 or any(each.get(SEEN) for each in said)

    def doubt(self, field: str) -> Doubt:
        """What a value that is kept beside that of the field may be, of an export of which nothing is known."""
        if not self.unknown or self.base(field) is not MISSING:
            return None
        return "perhaps old" if self.may_be_older(field) and not self.formerly().values else "unsure"

    def removed(self, field: str) -> set[str]:
        """The members that were in a set before and are not now, in canonical form, likewise."""
        return set() if self.base(field) is not MISSING else (self.formerly().removed or {}).get(field, set())

    def replaced(self, field: str) -> Replaced | None:
        """What people edited in the table, if it says that; that it is held here tells not that it is what arrived."""
        if self.carried is None or field not in self.own[-1]:
            return None
        return self.own[-1][field], self.carried

    def may_be_counted(self, field: str, number: object, before: object, held: object) -> bool:
        """Whether a number may have been exported later than `before`, so that the difference is here already."""
        if self.carried is not None or not (self.edited or self.unknown):
            return False
        if self.later:
            return self.later > 0
        numbers = [*(values.get(field, 0) for values in self.formerly().values), held]
        last = next(
            (at for at in reversed(range(len(numbers))) if equal_numbers(numbers[at], before)), len(numbers) - 2
        )
        return any(equal_numbers(each, number) for each in numbers[last + 1 :])

    def base(self, field: str) -> object | Missing:
        """What the source itself said last."""
        return next((said[field] for said in self.own if field in said), MISSING)

    def before(self, field: str) -> object | Missing:
        """The same, or where it said nothing, the rest of its account."""
        return self.beside.get(field, MISSING) if (said := self.base(field)) is MISSING else said


def said_of(spec: FieldSpec, carrier: object) -> object:
    """What a table says in which the field is written as it is now, None where it holds nothing: an export's memory."""
    match spec.rules.layout:
        case Layout.TEXT:
            return mark_text("" if carrier is None else str(carrier))
        case Layout.COUNTS:
            return {"=": 0 if carrier is None else carrier, "+": 0}
        case Layout.MEMBERS:
            return sorted_marks([mark(member) for member in carrier]) if isinstance(carrier, list) else []
        case Layout.LOG:
            entries = carrier if isinstance(carrier, list) else []
            return sorted_marks([mark_entry(entry["value"], entry["at"], entry["by"]) for entry in entries])
        case Layout.ENTRIES:
            return mark(carrier)


def _of(memories: Sequence[Said], field: str) -> list[object]:
    return [said[field] for said in memories if field in said]


def sorted_marks(marks: list[object]) -> list[object]:
    """The form in which marks of members or lines are remembered."""
    return sorted(marks, key=canonical)


def equal_numbers(one: object, other: object) -> bool:
    """Whether both are numbers, and equal: 1, "1.0" and a decimal are."""
    return one is not None and other is not None and Decimal(str(one)) == Decimal(str(other))
