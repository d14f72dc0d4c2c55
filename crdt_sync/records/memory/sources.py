"""What the sources of imports said last: a memory that travels with the record.

An import must tell news from what its source has said all along, on whatever device it runs, so each record keeps
the memory in the reserved root `c._source`: an array of entries `[said, stamp, actor, source]`, written and superseded
like those of a field. `said` is JSON text, field to what the source said of it:

| kind | form |
|---|---|
| value, review, stage | the value, marked |
| set, log | a list of the marks of the members, sorted; an entry with its time and author is marked as one value |
| text | `{"text": the text, "was": lengths and marks of the last before it}`, see `source_texts`; or a mark |
| counter | `{"=": what the source said, "+": what of it is counted here}`; without "=" both are the same |

A counter without "+" is of an import that did not know how much was counted already: that follows from what another
import of the source knew, see `newest`.

A *mark* is the value itself where it is short, else `#` and a hash of it; a text that begins like a mark is escaped
by `=`. An import says what is new in an entry of its own, with the stamps of the entries of its source that it has
seen (`"<"`) and their digests, see `entry_digest`: what those say of the same fields is superseded, and what an equal
import of another device says, whenever that was. What is left of one field in several entries are imports
that did not know of each other; the newest counts, and what they say differently is a conflict, see `versions`.

What people edited in an export is said under the name of the file, too, and such an entry says so (`"!"`): here its
source is called `NAME (edited)`. The table and the export of one name may be one file, as a device knows that does not
know the export, so they are one *account*: they count together, and have one text of their own. An entry has seen
those of both; each goes on from what was said by the same one, so that a table takes back nothing that people edited.
"""

import hashlib
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter
from typing import Any, TypeGuard

from crdt_sync.errors import InvalidValue
from crdt_sync.limits import ACTOR_LENGTH_MAX, MEMORIES_MAX, SOURCE_LENGTH_MAX, SOURCE_TEXT_BYTES_MAX
from crdt_sync.records.entries import Entry, is_entry
from crdt_sync.records.values import canonical, exact_sum, json_value, parse_decimal

REMOVED = "-"
"""Before the name of a set, where an entry keeps the marks of members that an edit of an export removed and that were
not here yet: whoever added them is not overruled unseen, see `version_conflicts`. No field has such a name."""
COLUMNS = ""
"""Where an entry keeps how its table was read; no field has this name. A list: the headers by which rows were
identified, and where headers were mapped by somebody, None and then each header and its field, or None."""
SEEN = "<"
"""Where an entry keeps the stamps and digests of those that it has seen; no field has this name."""
EDITED = "!"
"""Where an entry says that people edited it in an export, see `Edited`; no field has this name."""
TEXTS_BEFORE_MAX = 3  # of one field that are known by their marks
SEEN_MAX = 32  # stamps of one entry that count: honest ones are about `ENTRIES_APART_MAX`
DIGESTS_SEEN_MAX = 4  # of one entry; what another device says of a version from before these is a conflict
SOURCES = "_source"
IMPORTED = 0
"""The stamp of what an import wrote: the same on every device, and before whatever a person writes."""

_EDITED = " (edited)"
_EDITS = re.compile(r" \((?:edited|export(?: \d{12}(?: [0-9a-f]{8})?)?)\)\Z")
_ACTOR_HASH_BYTES = 3  # of the few sources of one record
_SHORT_LENGTH_MAX = 12  # characters: a hash takes 9
_HASH_BYTES = 6  # two values share a mark once in 10**14: less often than a disk errs

assert len("import ") + SOURCE_LENGTH_MAX <= ACTOR_LENGTH_MAX


@dataclass(frozen=True, slots=True)
class Edited:
    """What is known of an export that people edited: whether no table that was imported before has its name, and its
    own name with its stamp, where it was imported on the device that wrote it."""

    alone: bool
    export: str = ""

    def said(self) -> list[object]:
        """The form that is remembered."""
        return [self.alone, self.export]


@dataclass(frozen=True, slots=True)
class Source:
    """What an import of one source said: its name, when (stamp, microseconds), and what of it is not superseded.

    `text` is all that it said, as it is stored. `edited` is there where people edited it in an export that does not say
    what it was edited from.
    """

    name: str
    stamp: int
    said: Mapping[str, Any]
    text: str
    edited: Edited | None = None

    @property
    def account(self) -> str:
        """The name under which it counts, and is stored."""
        return account_of(self.name)


def edits_of(file: str) -> str:
    """The source of what people edited in an export that does not say what it was edited from, by the file's name."""
    return account_of(file) + _EDITED


def earlier_edits_of(file: str) -> str:
    """The source of the same in earlier releases, which was an account of its own."""
    return _called(file, " (export)")


def edits_of_based(export: str, made: str) -> str:
    """The source of what people edited in an export for editing of that name, `made` then (`YYMMDDhhmmss`, a blank, and
    what was drawn for it)."""
    return _called(export, f" (export {made})")


def _called(name: str, suffix: str) -> str:
    return name[: SOURCE_LENGTH_MAX - len(suffix)] + suffix


def account_of(source: str) -> str:
    """The name that a table and what people edited in an export of that name have in common."""
    return source.removesuffix(_EDITED)


def is_edits(source: str) -> bool:
    """Whether what a source says is what people edited in an export; no file's name makes such a source."""
    return _EDITS.search(source) is not None


def is_plain_edits(source: str) -> bool:
    """The same of exports that do not say what they were edited from."""
    return is_edits(source) and source in (edits_of(source), earlier_edits_of(source.removesuffix(" (export)")))


@lru_cache(1024)
def actor_of(source: str) -> str:
    """Who the entries of an import are signed by: `@` and a hash of the source's name, which is there but once.

    Lines of logs and texts are those of its account.
    """
    digest = hashlib.blake2b(source.encode(), digest_size=_ACTOR_HASH_BYTES).digest()
    return "@" + urlsafe_b64encode(digest).decode("ascii")


def mark(carrier: object, bytes_max: int = _SHORT_LENGTH_MAX) -> object:
    """The mark of a value, see the module."""
    if not isinstance(carrier, str):
        return carrier
    if len(carrier) <= bytes_max and len(carrier.encode()) <= bytes_max:
        return f"={carrier}" if carrier.startswith(("#", "=")) else carrier
    digest = hashlib.blake2b(carrier.encode("utf-8", "surrogatepass"), digest_size=_HASH_BYTES).digest()
    return "#" + urlsafe_b64encode(digest).decode("ascii")


def mark_text(text: str) -> object:
    """The mark of a text."""
    return mark(text, SOURCE_TEXT_BYTES_MAX)


def text_said(text: str, before: object = None) -> object:
    """What a source is remembered to have said of a text; `before` is what it was remembered to have said last."""
    if len(text.encode()) > SOURCE_TEXT_BYTES_MAX:
        return mark_text(text)
    last = text_of(before)
    was = [] if last is None else [*_was(before), f"{len(last)}{mark(last, 0)}"]
    return {"text": text, "was": " ".join(was[-TEXTS_BEFORE_MAX:])} if was else {"text": text}


def texts_before(said: object) -> list[tuple[int, str]]:
    """Length in characters and mark of texts that a source said before this one; anybody may have written them."""
    parted = [each.partition("#") for each in _was(said)]
    return [(int(length), f"#{digest}") for length, _, digest in parted if length.isdecimal() and len(length) < 5]


def _was(said: object) -> list[str]:
    was = said.get("was") if isinstance(said, Mapping) else None
    return was.split(" ")[-TEXTS_BEFORE_MAX:] if isinstance(was, str) else []


def text_of(said: object) -> str | None:
    """The text that a source said, of what can be nothing but a text."""
    text = said.get("text") if isinstance(said, Mapping) else None
    return text if isinstance(text, str) else None


def is_apart(said: object) -> bool:
    """Whether a text that a source said waits beside what people wrote until somebody decides, as earlier releases
    wrote it; by now that follows from what the field holds, see `source_texts`."""
    return isinstance(said, Mapping) and said.get("apart") is True and text_of(said) is not None


def text_mark(said: object) -> object:
    """The mark of a text that a source said."""
    text = text_of(said)
    return said if text is None else mark_text(text)


def whole_text(said: object) -> str | None:
    """The text that a source said, where it is there whole."""
    if isinstance(said, Mapping):
        return text_of(said)
    if not isinstance(said, str) or said.startswith("#"):
        return None
    return said.removeprefix("=")


def mark_entry(value: object, at: int | None = None, by: str | None = None) -> object:
    """The mark of a log entry; `at` and `by` where the source said them."""
    return mark(canonical([value, at, by])) if by is not None else mark(value)


def same(one: object, other: object) -> bool:
    """Whether two marks are of one value. True == 1 in Python, but not as a value of a customer."""
    return one.__class__ is other.__class__ and one == other


def counter_said(said: object) -> object:
    """The number that a source said of a counter; None where it said none."""
    number = said.get("=", said.get("+")) if isinstance(said, Mapping) else None
    return number if _is_number(number) else None


def counter_share(said: object) -> object:
    """What of a counter is counted for a source."""
    number = said.get("+", 0) if isinstance(said, Mapping) else 0
    return number if _is_number(number) else 0


def is_memory(entry: object) -> TypeGuard[Entry]:
    """Whether `entry` has the form `[said, stamp, actor, source]`: anybody may have written something else."""
    return is_entry(entry) and len(entry) > 3 and isinstance(entry[0], str) and isinstance(entry[3], str)


def read_sources(raw: object, count_max: int | None = MEMORIES_MAX) -> list[Source]:
    """The memories in a record, the newest first, up to `count_max`, without what is superseded.

    What was not written by this program is left out. Whoever takes memories away reads all of them (None): what is not
    read is not what nobody says.
    """
    if not isinstance(raw, list) or not raw:
        return []
    entries = sorted([entry for entry in raw if is_memory(entry)], key=_place, reverse=True)
    parsed = map(parse_entry, entries[:count_max])
    return standing([source for source in parsed if source is not None])


def entry_digest(source: Source) -> str:
    """What a memory has in common with that of the same import, after the same ones, on another device."""
    whole = parse_source(source.account, source.stamp, source.text)  # nothing of it is superseded
    said = {} if whole is None else whole.said
    fields = {field: each for field, each in said.items() if field != SEEN}
    return str(mark(canonical([source.name, fields, digests_in(said.get(SEEN))])))


def digests_in(seen: object) -> list[str]:
    """The digests of the entries that an entry has seen, the oldest first, in what it keeps under `SEEN`."""
    return [each for each in seen if isinstance(each, str)][-DIGESTS_SEEN_MAX:] if isinstance(seen, list) else []


def parse_entry(entry: object) -> Source | None:
    """The memory in one entry; None for what no import writes."""
    return parse_source(entry[3], entry[1], entry[0]) if is_memory(entry) else None


def _place(entry: Entry) -> tuple[Any, ...]:
    return entry[1], entry[2], entry[0], entry[3]


def standing(sources: Sequence[Source], name: Callable[[Source], str] = attrgetter("name")) -> list[Source]:
    """The memories without what later imports of the same source, which knew of it, say of the same fields.

    `name` tells what one source is: itself, or its account.
    """
    if len(sources) < 2:
        return list(sources)
    later: dict[tuple[str, int], set[str]] = {}  # source and stamp of an entry to fields that others say anew
    known_again: dict[tuple[str, str], set[str]] = {}  # likewise, source and digest
    stamps = {source.stamp for source in sources}
    for source in sources:
        seen = source.said.get(SEEN)
        known = stamps.intersection(each for each in seen if isinstance(each, int)) if isinstance(seen, list) else set()
        for stamp in sorted(known)[-SEEN_MAX:]:
            if stamp < source.stamp:
                later.setdefault((name(source), stamp), set()).update(source.said)
        for digest in digests_in(seen):
            known_again.setdefault((source.name, digest), set()).update(source.said)
    for source in sources if known_again else ():
        again = known_again.get((source.name, entry_digest(source)))
        if again is not None:  # whatever the stamps: it is what was known there
            later.setdefault((name(source), source.stamp), set()).update(again)
    return [
        replace(source, said={f: said for f, said in source.said.items() if f not in superseded})
        if (superseded := later.get((name(source), source.stamp), set()) - {SEEN})
        else source
        for source in sources
    ]


def standing_in_accounts(sources: Sequence[Source]) -> list[Source]:
    """The memories without what later imports of the same account, which knew of it, say of the same fields."""
    return standing(sources, attrgetter("account"))


def newest(sources: Sequence[Source], name: Callable[[Source], str] = attrgetter("name")) -> dict[str, Source]:
    """Source name to what it said last of each field. `sources` have the newest first; `name` is as in `standing`."""
    said: dict[str, dict[str, Any]] = {}
    last: dict[str, Source] = {}
    for source in reversed(sources):
        before = said.setdefault(name(source), {})
        before.update({field: _counted_on(before.get(field), now) for field, now in source.said.items()})
        last[name(source)] = source
    return {name: replace(source, name=name, said=said[name]) for name, source in last.items()}


def accounts(sources: Sequence[Source]) -> dict[str, Source]:
    """Account to what it said last of each field, likewise."""
    return newest(sources, attrgetter("account"))


def share_is_unknown(said: object) -> bool:
    """Whether a source said a number of a counter of which nobody knew how much was counted already."""
    return isinstance(said, Mapping) and "=" in said and "+" not in said


def _counted_on(before: object, said: object) -> object:
    """What a source said of a field; where its share of a counter was not known, it follows from what is known of
    another import: that one's, and the difference."""
    if not share_is_unknown(said) or share_is_unknown(before):
        return said
    number, now = counter_said(before), counter_said(said)
    if number is None or now is None:
        return said
    parts = (counter_share(before), now, number)
    counted, later, earlier = (Decimal(str(part)) for part in parts)
    share = exact_sum([counted, later, earlier.copy_negate()])
    return {"=": now, "+": int(share) if all(isinstance(part, int) for part in parts) else format(share, "f")}


def shares(last: Mapping[str, Source]) -> dict[str, list[object]]:
    """Counter to what is counted in it for each account; `last` is what each said last, see `accounts`."""
    found: dict[str, list[object]] = {}
    for source in last.values():
        for field, said in source.said.items():
            if isinstance(said, dict) and "+" in said and _is_number(said["+"]):
                found.setdefault(field, []).append(said["+"])
    return found


def encode_said(said: Mapping[str, object]) -> str:
    """The form that is stored."""
    return canonical(dict(said))


def parse_source(name: str, stamp: int, text: str) -> Source | None:
    """A memory from its stored text, which anybody may have written: what no import writes is left out.

    `name` is that of its source, or of its account.
    """
    try:
        said = json_value(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    kept = {field: value for field, value in said.items() if _is_flat(value)}
    if "\\u" in text:
        kept = {field: value for field, value in kept.items() if _is_whole([field, value])}
    match kept.pop(EDITED, None):
        case None:
            return Source(name, stamp, kept, text)
        case [bool() as alone, str() as export]:
            return Source(edits_of(name), stamp, kept, text, Edited(alone, export))
        case _:
            return Source(edits_of(name), stamp, kept, text, Edited(alone=False))


def _is_flat(value: object) -> bool:
    members = value if isinstance(value, list) else value.values() if isinstance(value, dict) else (value,)
    return not any(isinstance(member, (list, dict)) for member in members)


def _is_whole(value: object) -> bool:
    """Whether no text in it ends within a character (a lone surrogate): such texts cannot be written again."""
    try:
        canonical(value).encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_number(value: object) -> bool:
    try:
        parse_decimal("", value)
    except InvalidValue:
        return False
    return True
