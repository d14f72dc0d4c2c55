"""Texts that imports write, so that what people changed in them can be told from what a source says.

An import edits the text of the field, and alike a text of the source's own that people never touch:
`t._<actor of its account>.<field>`. Devices that import different versions, or one version beside unsynced edits, edit
both alike, so that the two mix in the same way. Wherever the source's own text is not what its newest memory says, the
field shows what the memory says with what people changed.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import permutations

from crdt_sync.limits import SOURCE_TEXT_BYTES_MAX
from crdt_sync.records.memory.memory_index import MemoryIndex
from crdt_sync.records.memory.merged_text import merged_text, with_changes
from crdt_sync.records.memory.sources import actor_of, is_apart
from crdt_sync.records.text_diff import Comparing, Replacement, common_length, differences

MIXED_LENGTH_MAX = 8 * SOURCE_TEXT_BYTES_MAX  # characters; beyond it a text is shown as it is
VERSIONS_JOINED_MAX = 4  # first texts that stand one after the other and are told apart again
PAIRS_OF_RECORD_MAX = (
    2_000_000  # see `text_diff`: some 0.2 s of reading one record, shared by its texts, whoever wrote it
)


def source_text_root(source: str, field: str) -> str:
    """The root of a source's own text."""
    return _root(actor_of(source), field)


def _root(actor: str, field: str) -> str:
    return f"t._{actor}.{field}"


def said_texts(field: str, memories: MemoryIndex) -> dict[str, str]:
    """The roots of the sources' own texts for a field, to what each says; it differs where versions have mixed.

    Texts of earlier versions, and those that are too long, have no root of their own.
    """
    return {_root(actor, field): text for actor, text in _said_by(field, memories).items()}


def _said_by(field: str, memories: MemoryIndex) -> dict[str, str]:
    found = {}
    for memory in memories.said_last(field):
        said = memory.said[field]
        if isinstance(said, Mapping) and isinstance(text := said.get("text"), str):
            found[actor_of(memory.name)] = text
    return found


def shown_texts(contents: Mapping[str, object], memories: MemoryIndex) -> Callable[[str], str]:
    """Field to the text that it shows, see the module.

    `contents` has at least the texts of these fields and all of the sources' own, so that whoever asks for one field
    and whoever asks for all are told the same: the fields in which versions have mixed share the work evenly.
    """
    mixed = sum(
        any(contents.get(root, "") != said for root, said in said_texts(field, memories).items())
        for field in memories.fields
    )
    pairs = PAIRS_OF_RECORD_MAX // max(1, mixed)
    return lambda field: _shown(field, contents, memories, Comparing(pairs))


def _shown(field: str, contents: Mapping[str, object], memories: MemoryIndex, comparing: Comparing) -> str:
    held = contents.get(f"t.{field}")
    text = held if isinstance(held, str) else ""
    # What waits beside the field is not in it, and mixed only there.
    apart = {actor_of(memory.name) for memory in memories.said_last(field) if is_apart(memory.said[field])}
    for actor, said in _said_by(field, memories).items():
        own = contents.get(_root(actor, field), "")
        if own == said or not isinstance(own, str) or actor in apart:
            continue
        if text == own:
            text = said
        elif max(len(text), len(own)) <= MIXED_LENGTH_MAX and comparing.pairs_left >= 0:
            comparing.pairs_left -= len(text) + len(own) + len(said)  # however little of them differs
            versions = memories.texts(actor, field)
            merged = _unjoined(own, text, versions, comparing) or merged_text(own, text, said, comparing)
            text = merged if comparing.pairs_left >= 0 else text
    return text


def _unjoined(own: str, text: str, versions: Sequence[str], comparing: Comparing) -> str | None:
    """The newest version with what people changed in any, where all were a first text and stand one after the other.

    None where they do not.
    """
    if not 1 < len(versions) <= VERSIONS_JOINED_MAX:
        return None
    order = next((each for each in permutations(versions) if "".join(each) == own), None)
    if order is None:
        return None
    changes = [_trimmed(own, change) for change in differences(own, text, comparing)]
    edits: dict[str, list[Replacement]] = {version: [] for version in order}
    end = 0
    for version in order:
        start, end = end, end + len(version)
        last = version == order[-1]
        while changes and start <= changes[0][0] and changes[0][1] <= end and (last or not _is_before(end, changes[0])):
            low, high, new = changes.pop(0)
            edits[version].append((low - start, high - start, new))
    if changes:
        return None  # across two versions
    newest, *older = versions
    shown = with_changes(newest, edits[newest], [])
    for version in older:
        shown = with_changes(version, differences(version, shown, comparing), edits[version])
    return shown


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
