"""What texts show of which sources say something, so that what people typed is never joined with that unseen.

What a source says of a text is in its memory. The text of the field is written by people, and
`t._<actor of its account>.<field>` holds what of the source is in there already: its own text. The field shows its text
with what changed from that to what the source says now, where people changed other places. Else it shows what people
wrote, and the source's text waits beside it, a conflict. So no import writes between words that somebody types
meanwhile on another device, and whoever has the same operations is shown the same, whoever imported what, and when.

Who edits the field writes down first what it shows, and in the source's own text what is in it then. Devices that do so
from different versions write both alike, so that the two mix in the same way: first texts stand one after the other.
"""

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import NamedTuple

from crdt_sync.limits import SOURCE_TEXT_BYTES_MAX
from crdt_sync.records.memory.memory_index import MemoryIndex, memories_of
from crdt_sync.records.memory.merged_text import cleanly_merged_text, with_changes
from crdt_sync.records.memory.sources import Source, actor_of, is_apart, mark, text_of, texts_before
from crdt_sync.records.text_diff import Comparing, Replacement, common_length, differences
from crdt_sync.records.values import canonical

MIXED_LENGTH_MAX = 8 * SOURCE_TEXT_BYTES_MAX  # characters; beside what is longer the source's text waits
_PAIRS_A_CHARACTER = 16  # as long as it takes to look at these, a character takes to be compared at all
VERSIONS_JOINED_MAX = 4  # first texts that stand one after the other and are told apart again
PAIRS_OF_RECORD_MAX = 2_000_000  # see `text_diff`; shared by the texts of a record, whoever wrote it


class Said(NamedTuple):
    """What a source says of a text: `own` is what of it is in the field, `said` what it says now, `versions` what
    others say that were imported without knowing of each other, the newest first, and `before` what it said last, as
    `texts_before` has it."""

    own: str
    said: str
    versions: Sequence[str] = ()
    before: Sequence[tuple[int, str]] = ()


def source_text_root(source: str, field: str) -> str:
    """The root of a source's own text."""
    return f"t._{actor_of(source)}.{field}"


def saying(field: str, memories: MemoryIndex) -> list[tuple[str, Source]]:
    """The roots of the sources' own texts for a field, each with the memory that says what it says now, the oldest
    first.

    Texts of earlier versions have no root of their own; of longer ones than imports remember nothing counts.
    """
    return [
        (source_text_root(memory.account, field), memory)
        for memory in memories.said_of(field)
        if _remembered(memory.said[field]) is not None
    ]


def _remembered(said: object) -> str | None:
    text = text_of(said)
    return text if text is not None and len(text) <= SOURCE_TEXT_BYTES_MAX else None


def pending_texts(contents: Mapping[str, object]) -> set[str]:
    """Marks of what sources say of texts, in all versions that stand, as far as it is not in their fields."""
    found = set()
    for source in memories_of(contents).in_accounts:
        for field, said in source.said.items():
            own = contents.get(source_text_root(source.account, field), "")
            if (text := _remembered(said)) is not None and text not in (own, contents.get(f"t.{field}", "")):
                found.add(str(mark(canonical([field, text]), 0)))
    return found


def merged(text: str, said: Said, comparing: Comparing) -> tuple[str, str | None]:
    """A text with what a source says of it, and None; or where people changed the same place, or the work is too much,
    what people wrote, and what of the source is in that."""
    if said.said in (said.own, text):
        return text, None
    if text == said.own:
        return said.said, None
    comparing.pairs_left -= _PAIRS_A_CHARACTER * sum(map(len, (text, *said[:2])))  # however little of them differs
    if max(len(text), len(said.own)) > MIXED_LENGTH_MAX or comparing.pairs_left < 0:
        return text, said.own
    firsts = _first_texts(said)
    if firsts:
        found = _unjoined(firsts, text, said, comparing)
    else:
        clean = cleanly_merged_text(said.own, text, said.said, comparing)
        found = (text, said.own) if clean is None else (clean, None)
    return found if comparing.pairs_left >= 0 else (text, said.own)


class Step(NamedTuple):
    """What a text shows with what one more source says: the `root` of its own text, and what of it is in there then."""

    root: str
    text: str
    own: str


class Shown(NamedTuple):
    """What a text shows; the memories of the sources whose texts wait beside it until somebody decides; and how it came
    about, source by source, the oldest first."""

    text: str
    waiting: tuple[Source, ...]
    steps: tuple[Step, ...]


class ShownTexts:
    """What the texts of a record show, see the module: `texts[field]`.

    `contents` has at least all texts and all of the sources' own, so that whoever asks for one field and whoever asks
    for all are told the same: the fields of which a source says something that is not in them share the work evenly.
    """

    def __init__(self, contents: Mapping[str, object], memories: MemoryIndex) -> None:
        self._contents = contents
        self._memories = memories
        self._found: dict[str, Shown] = {}
        pending = sum(
            any(contents.get(root, "") != text_of(memory.said[field]) for root, memory in saying(field, memories))
            for field in memories.fields
        )
        self._pairs = PAIRS_OF_RECORD_MAX // max(1, pending)

    def __getitem__(self, field: str) -> Shown:
        if field not in self._found:
            self._found[field] = self._read(field)
        return self._found[field]

    def _read(self, field: str) -> Shown:
        held = self._contents.get(f"t.{field}")
        text = held if isinstance(held, str) else ""
        comparing = Comparing(self._pairs)
        waiting, steps = [], []
        for root, memory in saying(field, self._memories):
            said, own = str(text_of(memory.said[field])), str(self._contents.get(root, ""))
            if is_apart(memory.said[field]):  # as earlier releases say it
                base = None if text == said else own
            else:
                versions = self._memories.texts(actor_of(memory.account), field)
                before = texts_before(memory.said[field])
                text, base = merged(text, Said(own, said, versions, before), comparing)
            if base is not None:
                waiting.append(memory)
            steps.append(Step(root, text, said if base is None else base))
        return Shown(text, tuple(waiting), tuple(steps))


def _first_texts(said: Said) -> Sequence[str]:
    """The versions in the order in which they stand one after the other in the source's own text, as each was written
    down first on another device. Nothing where they do not."""
    if 1 < len(said.versions) <= VERSIONS_JOINED_MAX:
        order = next((each for each in permutations(said.versions) if "".join(each) == said.own), ())
        if order:
            return order
    texts = {said.said, *said.versions}
    for length in [*map(len, texts), *(length for length, _ in said.before)]:
        for place in (length, len(said.own) - length):
            parts = said.own[:place], said.own[place:]
            if all(each and (each in texts or (len(each), mark(each, 0)) in said.before) for each in parts):
                return parts
    return ()


def _unjoined(order: Sequence[str], text: str, said: Said, comparing: Comparing) -> tuple[str, str | None]:
    """What the source says now with what people changed in any of the versions that stand one after the other; else
    those that people changed, each whole, and what of the source they are of: nothing, where it is several."""
    changes = [_trimmed(said.own, change) for change in differences(said.own, text, comparing)]
    edits: list[list[Replacement]] = [[] for _ in order]
    end = 0
    for place, version in enumerate(order):
        start, end = end, end + len(version)
        last = place == len(order) - 1
        while changes and start <= changes[0][0] and changes[0][1] <= end and (last or not _is_before(end, changes[0])):
            low, high, new = changes.pop(0)
            edits[place].append((low - start, high - start, new))
    if changes:
        return text, ""  # across two versions: what people make of it is not told apart any more
    edited = [(each, with_changes(each, changed, [])) for each, changed in zip(order, edits, strict=True) if changed]
    shown: str | None = said.said
    for version, now in sorted(edited, key=lambda each: each[0] != said.said):
        shown = None if shown is None else cleanly_merged_text(version, now, shown, comparing)
    if shown is not None:
        return shown, None
    if len(edited) == 1:
        return edited[0][1], edited[0][0]
    return "".join(now if now[-1:].isspace() else f"{now}\n" for _, now in edited).removesuffix("\n"), ""


def _is_before(place: int, change: Replacement) -> bool:
    """Whether what is inserted where two versions touch belongs to the one after it, as a word and a space do."""
    return change[:2] == (place, place) and change[2][-1:].isspace() and not change[2][:1].isspace()


def _trimmed(old: str, change: Replacement) -> Replacement:
    """A replacement without the characters at both ends that it leaves as they are: words of two versions touch."""
    start, stop, new = change
    head = common_length(old[start:stop], new)
    start, new = start + head, new[head:]
    tail = common_length(old[start:stop][::-1], new[::-1])
    return start, stop - tail, new[: len(new) - tail]
