"""What a cell asks of its field: the cell, what its source said before, and what the field holds now.

| the cell | the field | then |
|---|---|---|
| says what its source said before | whatever it holds | stays as it is: this is no news |
| says something else | holds what was said, or nothing | is written |
| says something else | was changed by people, too | keeps what people wrote, see below |

What people wrote is what they typed and what they edited in an export; what a source said is what a table said that is
no export. A cell may say what an export of this device wrote, or what somebody edited in one: that is no news, and what
people wrote all the same.

Where the source itself said nothing of the field yet, anything that any source said is no news either, nor what the
field held before people changed it: the table may be an export of that time, which another device wrote. Nor is another
spelling of what the field holds (an e-mail address, a phone number, a form of Unicode): what was typed stays.

A table that names records by ids that nobody chooses began as an export: where a field of one value was never changed
since it was first written, that is what the export said, and another value is an edit of the export.

Where both changed, a value and a review field keep both values, a set and a log take both sides' edits, and a counter
counts the difference. A text takes both sides' edits where they are of different places in it; else it keeps what
people wrote whole, and the table's text beside it as a conflict. A stage keeps what people wrote alone, and so do a
text and a counter of which nobody knows what was there before, also a text that is too long to be remembered: the cell
is not kept, but reported at each import until both agree.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from crdt_sync.exchange.changes import LogEntry, as_text, log_entries, members, single_value
from crdt_sync.exchange.row_memory import Memory, equal_numbers, sorted_marks
from crdt_sync.exchange.table import MISSING, Cell, Missing
from crdt_sync.exchange.text_base import text_base
from crdt_sync.records.comparing import identity, same_form
from crdt_sync.records.field_values import normalise
from crdt_sync.records.imported import ImportedChange
from crdt_sync.records.memory.merged_text import cleanly_merged_text
from crdt_sync.records.memory.sources import (
    Source,
    account_of,
    counter_said,
    counter_share,
    mark,
    mark_entry,
    mark_text,
    same,
    share_is_unknown,
    text_mark,
    text_of,
    text_said,
    whole_text,
)
from crdt_sync.records.memory.versions import says_same
from crdt_sync.records.roots import Layout
from crdt_sync.records.schema import FieldSpec
from crdt_sync.records.values import Carrier, canonical, exact_sum

Outcome = Literal["written", "unchanged", "both_changed", "older", "emptied"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about one cell. `said` is what to remember of it, MISSING to leave the memory as it is.

    `removed` are marks of members of a set that an export had, that the cell has not, and that were never here.
    `wanted` is the carrier that the cell asks for; `new_to_us` that nothing was said of the field before. The outcome
    is "older" where the table is an old version of its source, and a newer one said something else, see `said_since`;
    "emptied" where a cell is empty that was not, and the field stays as it is. `clearable` tells that `clear_empty`
    would empty that.
    """

    outcome: Outcome
    changes: tuple[ImportedChange, ...] = ()
    said: object | Missing = MISSING
    wanted: object = None
    new_to_us: bool = False
    removed: tuple[object, ...] = ()
    clearable: bool = False


def decide(
    field: str,
    spec: FieldSpec,
    cells: Sequence[Cell],
    now: object | Missing,
    memory: Memory,
    *,
    typed: bool,
    clear_empty: bool,
) -> Decision | None:
    """See the module; None for cells that say nothing. `now` is the carrier that the field shows.

    Several cells are for a set or a log.
    An empty cell says nothing, or with `clear_empty` that a value is empty, in an export a text or a set, too; a JSON
    null says so of a value anyway. `typed` tells whether a text cell is a JSON text itself or stands for a JSON value.
    Raises `InvalidValue`.
    """
    given = [cell for cell in cells if cell is not MISSING and cell is not None]
    layout = spec.rules.layout
    if not given:
        null = layout is Layout.ENTRIES and cells[0] is None
        if not null and now is MISSING and memory.base(field) is MISSING:
            return None
        return _empty(field, spec, now, memory, clear=null or clear_empty)
    if layout is Layout.ENTRIES:
        (cell,) = given
        return _single(field, spec, single_value(field, spec, cell, typed=typed), now, memory)
    match layout:
        case Layout.TEXT:
            return _text(field, spec, str(normalise(field, spec, as_text(given[0]))), now, memory)
        case Layout.COUNTS:
            number = normalise(field, spec, single_value(field, spec, given[0], typed=True))
            return _counter(field, spec, number, now, memory)
        case Layout.MEMBERS:
            named = [member for cell in given for member in members(field, spec, cell, typed)]
            return _set(field, spec, named, now, memory)
        case Layout.LOG:
            entries = [entry for cell in given for entry in log_entries(field, spec, cell, typed)]
            return _log(field, spec, entries, now, memory)


def _empty(field: str, spec: FieldSpec, now: object | Missing, memory: Memory, *, clear: bool) -> Decision | None:
    """What an empty cell asks for: `clear` tells that it is to empty its field, if it can."""
    layout, said = spec.rules.layout, memory.base(field)
    in_export = layout in (Layout.TEXT, Layout.MEMBERS) and memory.edited and said is not MISSING
    clearable = not spec.required and (spec.rules.emptiable if layout is Layout.ENTRIES else in_export)
    if clear and clearable:
        match layout:
            case Layout.TEXT:
                return _text(field, spec, "", now, memory)
            case Layout.MEMBERS:
                return _set(field, spec, [], now, memory)
            case _:
                return _single(field, spec, None, now, memory)
    held = None if now is MISSING else now
    if layout is Layout.COUNTS:
        emptied = _says_a_count(counter_said(said)) and _says_a_count(held)
    else:
        emptied = not any(each in (MISSING, None, "", []) for each in (text_mark(said), held))
    return Decision("emptied", clearable=clearable) if emptied else None


def _says_a_count(number: object) -> bool:
    return number is not None and not equal_numbers(number, 0)


def said_since(field: str, decision: Decision, source: str, sources: Sequence[Source], stamp: int) -> int | None:
    """When the account of `source` said something else of a field than a cell does, if after `stamp`; else None.

    `sources` have the newest first.
    """
    last = next((each for each in sources if each.account == account_of(source) and field in each.said), None)
    if last is None or last.stamp <= stamp or not (decision.changes or decision.said is not MISSING):
        return None
    return None if decision.said is not MISSING and says_same(decision.said, last.said[field]) else last.stamp


def _single(field: str, spec: FieldSpec, value: object, now: object | Missing, memory: Memory) -> Decision:
    carrier = normalise(field, spec, value)
    said = mark(carrier)
    told = memory.told(field)
    if any(same(each, said) for each in memory.repeated(field)):
        return Decision("unchanged", (), memory.repeats(field, said), carrier)
    if any(same(each, said) for each in memory.exported_of(field)):
        return Decision("unchanged", (), said, carrier)
    new_to_us = not told
    held = None if now is MISSING else mark(now)
    equal = now is not MISSING and same(now, carrier)
    said_by_any = memory.takes_place(field, held)
    free = said_by_any or (held is None and not any(each is not None for each in told))
    if not equal and not said_by_any and any(same(each, said) for each in memory.former(field, spec)):
        return Decision("unchanged", (), said, carrier, new_to_us)
    alike = equal or (now is not MISSING and identity(now, spec) == identity(carrier, spec))
    if alike and not equal and memory.base(field) is MISSING:
        return Decision("unchanged", (), said, carrier, new_to_us)  # another spelling of what was typed
    replaced = memory.replaced(field)
    if not equal and (free or memory.never_changed(field)):
        write = ImportedChange("write", field, value, replaced=replaced)
        return Decision("written", (write,), said, carrier, new_to_us)
    beside = ImportedChange("beside", field, value, replaced=replaced, doubt=memory.doubt(field))
    if alike and replaced is not None:
        return Decision("unchanged", (beside,), said, carrier, new_to_us)
    if alike:
        agree = () if new_to_us or spec.rules.restricted else (ImportedChange("agree", field, value),)
        return Decision("unchanged", agree, said, carrier, new_to_us)
    if spec.rules.restricted:
        if not memory.edited:
            return Decision("both_changed", wanted=carrier, new_to_us=new_to_us)
        _check_move(field, spec, memory.base(field), carrier)
    return Decision("both_changed", (beside,), said, carrier, new_to_us)


def _check_move(field: str, spec: FieldSpec, base: object, carrier: Carrier) -> None:
    """Raise `InvalidTransition` where a stage may not go from what people edited in an export to what they wrote."""
    before = next((state for state in spec.states if same(mark(state), base)), None)
    if before is not None:
        spec.rules.check_move(field, spec, before, carrier)


def _text(field: str, spec: FieldSpec, text: str, now: object | Missing, memory: Memory) -> Decision:
    said = mark_text(text)
    told = memory.told(field)
    present = now if isinstance(now, str) else ""
    edited_from = whole_text(memory.before(field))
    apart = False
    if any(same(text_mark(each), said) for each in memory.repeated(field)):
        # By its mark alone, which a field shows nothing of: it is there already.
        return Decision("unchanged", (), memory.repeats(field, said), text)
    respelled = memory.base(field) is MISSING and present not in ("", text) and same_form(present) == same_form(text)
    if respelled or any(same(text_mark(each), said) for each in memory.exported_of(field)):
        merged, edited_from = present, text
    elif present == text:
        merged, edited_from = text, text if edited_from is None else edited_from
    elif memory.takes_place(field, mark_text(present)):
        merged, edited_from = text, present
    elif memory.held(field, spec, text):
        merged, edited_from = present, text
    elif not present and not told:
        merged, edited_from = text, ""
    elif edited_from is not None:
        merged, apart = _merged(edited_from, present, text)
    elif memory.is_said_by_others(field, present):
        if memory.unknown:
            before, known = memory.texts_before(field, spec, present)
            edited_from = text_base(text, present, before, known=known)
        merged, apart = (present, True) if edited_from is None else _merged(edited_from, present, text)
        edited_from = edited_from or ""
    else:
        return Decision("both_changed", wanted=text, new_to_us=not told)
    remembered = text_said(text, (memory.share or {}).get(field))
    whole = whole_text(remembered)
    if apart and whole is None:  # the table's text could not be shown later
        return Decision("both_changed", wanted=text, new_to_us=not told)
    base = whole_text(text_said(edited_from))
    if base is None:  # it is too long to be compared with later
        base = whole
    elif text_of(last := (memory.share or {}).get(field)) is not None and same(text_mark(last), mark_text(base)):
        base = None  # its source said so last, and goes on from there
    changes = (ImportedChange("replace", field, merged, said=whole, edited_from=base, apart=apart),)
    outcome: Outcome = "both_changed" if apart else "written" if merged != present else "unchanged"
    return Decision(outcome, changes, remembered, text, not told)


def _merged(base: str, present: str, text: str) -> tuple[str, bool]:
    """What is shown of a text that both have edited, and whether the table's is apart from that."""
    clean = cleanly_merged_text(base, present, text)
    return (present, True) if clean is None else (clean, False)


def _counter(field: str, spec: FieldSpec, number: object, now: object | Missing, memory: Memory) -> Decision:
    told = memory.told(field)
    held: object = 0 if now is MISSING or now is None else now
    shared = (memory.share or {}).get(field)
    unknown, counted = share_is_unknown(shared), counter_share(shared)
    before = counter_said(memory.before(field))
    if unknown:  # an export of this device may know what the table was edited from
        known = [
            counter_said(said[field]) for said in memory.own if field in said and not share_is_unknown(said[field])
        ]
        before = known[0] if known else before
    if any(equal_numbers(counter_said(each), number) for each in memory.repeated(field)) and not (unknown and known):
        return Decision("unchanged", (), memory.repeats(field, {"=": number, "+": counted}), number)
    alike = equal_numbers(counter_said(memory.since.get(field)), number)  # what both changed alike is counted once
    if alike or any(equal_numbers(counter_said(each), number) for each in memory.exported_of(field)):
        share = _plus(counted, 0, 0)
    elif before is not None and not unknown and memory.may_be_counted(field, number, before, held):
        return Decision("both_changed", (), {"=": number, "+": counted}, number, not told)
    elif before is not None:
        share = _plus(counted, number, before)
    elif equal_numbers(held, number):
        share = _plus(counted, 0, 0)
    elif memory.takes_place_of_count(field, held):
        share = _plus(counted, number, held)
    elif any(equal_numbers(counter_said(each), number) for each in memory.former(field, spec)):
        share = _plus(counted, 0, 0)
    elif now is MISSING:
        share = _plus(counted, number, held)
    else:
        # What of the difference was counted here already is not known: nothing of it is, and what the source says next.
        return Decision("both_changed", (), {"=": number}, number, not told)
    news = _plus(share, 0, counted)
    counted = normalise(field, spec, share if spec.type == "decimal" else int(share))
    said = {"+": counted} if same(counted, number) else {"=": number, "+": counted}
    outcome: Outcome = "unchanged" if (before is None or alike) and not news else "written"
    return Decision(outcome, (), said, number, not told)


def _set(field: str, spec: FieldSpec, wanted: list[object], now: object | Missing, memory: Memory) -> Decision:
    by_key: dict[str, tuple[object, Carrier]] = {}
    for member in wanted:
        carrier = normalise(field, spec, member)
        by_key.setdefault(identity(carrier, spec), (member, carrier))
    present = {identity(member, spec): member for member in now} if isinstance(now, list) else {}
    carriers = [carrier for _, carrier in by_key.values()]
    keys = {_key(mark(each)): identity(each, spec) for each in (*present.values(), *carriers)}
    told = memory.told(field)
    known = {_member_key(each, spec, keys) for members in told if isinstance(members, list) for each in members}
    news = sorted(by_key.keys() - known - present.keys())
    left = {identity(json.loads(each), spec) for each in memory.removed(field)} if news else set()
    added = [by_key[key][0] for key in news if key not in left]
    base = memory.before(field)
    before = {_member_key(each, spec, keys): each for each in base} if isinstance(base, list) else {}
    removed = [present[key] for key in sorted((before.keys() - by_key.keys()) & present.keys())]
    changes = [ImportedChange("add", field, member) for member in added]
    drop = memory.edited
    changes += [ImportedChange("drop" if drop else "remove", field, member) for member in removed]
    # What the record holds for the source goes by the form in which the source said it first.
    said = sorted_marks([before.get(key, mark(carrier)) for key, (_, carrier) in by_key.items()])
    if any(same(each, said) for each in memory.repeated(field)):
        return Decision("unchanged", (), memory.repeats(field, said), carriers)
    unseen = [before[key] for key in sorted(before.keys() - by_key.keys() - present.keys())] if drop else []
    if unseen:
        gone = {_key(mark(json.loads(each))) for each in (memory.formerly().removed or {}).get(field, ())}
        unseen = [each for each in unseen if _key(each) not in gone]
    outcome: Outcome = "written" if changes else "unchanged"
    return Decision(outcome, tuple(changes), said, carriers, not told, tuple(unseen))


def _log(field: str, spec: FieldSpec, wanted: list[LogEntry], now: object | Missing, memory: Memory) -> Decision:
    present = now if isinstance(now, list) else []
    exact = Counter(canonical([entry["value"], entry["at"], entry["by"]]) for entry in present)
    values = Counter(identity(entry["value"], spec) for entry in present)
    told = memory.told(field)
    known: Counter[str] = Counter()
    for marks in told:
        if isinstance(marks, list):
            known |= Counter(map(_key, marks))
    former = memory.former(field, spec) if any(by is not None for _, _, by in wanted) else []
    gone = {_key(each) for lines in former if isinstance(lines, list) for each in lines}
    seen: Counter[str] = Counter()
    changes = []
    marks_now = []
    for value, at, by in wanted:
        carrier = normalise(field, spec, value)
        entry_mark = mark_entry(carrier, at, by)
        marks_now.append(entry_mark)
        text, line = canonical(carrier), identity(carrier, spec)
        count = seen[text]
        seen[text] += 1
        if known[_key(entry_mark)]:
            known[_key(entry_mark)] -= 1
            values[line] -= 1
        elif by is None and values[line] > 0:
            values[line] -= 1
        elif by is not None and (exact[canonical([carrier, at, by])] or _key(entry_mark) in gone):
            pass
        else:
            changes.append(ImportedChange("append", field, value, at, by, count if by is None else 0))
    said = sorted_marks(marks_now)
    if any(same(each, said) for each in memory.repeated(field)):
        return Decision("unchanged", (), memory.repeats(field, said), said)
    carriers = [normalise(field, spec, entry[0]) for entry in wanted]
    return Decision("written" if changes else "unchanged", tuple(changes), said, carriers, not told)


def _key(marked: object) -> str:
    return canonical(marked)


def _member_key(marked: object, spec: FieldSpec, keys: Mapping[str, str]) -> str:
    """The identity of the member that a mark stands for; the mark of a long one that is not among `keys` is its own."""
    if isinstance(marked, str) and not marked.startswith("#"):
        return identity(marked.removeprefix("="), spec)
    return keys.get(_key(marked), _key(marked))


def _plus(share: object, number: object, before: object) -> Decimal:
    return exact_sum([Decimal(str(share)), Decimal(str(number)), Decimal(str(before)).copy_negate()])
