"""Writing texts of which sources say something: what imports write, and who edits the field; see `source_texts`."""

from functools import partial

from crdt_sync.limits import STAMP_MAX
from crdt_sync.records.document import Document
from crdt_sync.records.memory.memories import sources_of
from crdt_sync.records.memory.memory_index import MemoryIndex
from crdt_sync.records.memory.source_texts import ShownTexts, saying, source_text_root
from crdt_sync.records.memory.sources import SEEN, Source, text_of, text_said
from crdt_sync.records.text_diff import differences
from crdt_sync.records.text_field import TextField, splice
from crdt_sync.records.write_once import write_once


def bring_text(
    document: Document, account: str, field: str, text: str, said: str | None, base: str | None, *, apart: bool
) -> None:
    """Write what it takes for the field to show `text` once the source is remembered to say `said`: often nothing.

    `said` is None where it is too long to be remembered; it is in the field then. `base` is what it was edited from,
    None where that is what the source said before. `apart` tells that it waits beside what people wrote.
    """
    root = source_text_root(account, field)
    own = _held(document, root)
    if said is None or (base is not None and base != own):
        write_down(document, field)
    if said is None:
        write_once(document, partial(_write, field=field, text=text, own={}))
        return
    begun = {} if base is None or base == own else {root: base}
    # What waits already is compared with the same words as before, whatever of it is news.
    stays = apart or (base is None and _waits(document, account, field))
    if (apart or not stays) and _will_show(document, account, field, said, begun) != text:
        # Beside what the source says now, first texts that stand one after the other may not be told apart any more.
        write_down(document, field)
        if not apart:
            write_once(document, partial(_write, field=field, text=text, own={root: said}))
            return
    if begun:
        write_once(document, partial(_write, field=field, text=_held(document, f"t.{field}"), own=begun))


def _waits(document: Document, account: str, field: str) -> bool:
    return any(memory.account == account for memory in _texts(document)[field].waiting)


def _will_show(document: Document, account: str, field: str, said: str, written: dict[str, str]) -> str:
    """What the field shows once the source says `said`, and this is written into roots."""
    sources = sources_of(document)
    seen = [source.stamp for source in sources if source.account == account]
    news = Source(account, STAMP_MAX, {field: text_said(said), SEEN: seen}, "")
    return ShownTexts({**document.contents(), **written}, MemoryIndex([news, *sources]))[field].text


def write_down(document: Document, field: str, *, waiting: bool = False) -> None:
    """Write what the field shows into its text, before people edit that; where they decide (`waiting`), also that
    nothing waits beside it."""
    if not sources_of(document):
        return
    shown = _texts(document)[field]
    for step in shown.steps:  # by one writer each: who knows of fewer sources begins with the same operations
        if _held(document, step.root) != step.own or _held(document, f"t.{field}") != step.text:
            write_once(document, partial(_write, field=field, text=step.text, own={step.root: step.own}))
    if waiting and shown.waiting:
        own = {source_text_root(each.account, field): str(text_of(each.said[field])) for each in shown.waiting}
        write_once(document, partial(_write, field=field, text=shown.text, own=own))


def shown_beyond(document: Document) -> int:
    """Bytes that the texts show more, or less, than their fields hold, as sources say something of them."""
    contents, memories = document.contents(), MemoryIndex(sources_of(document))
    texts = ShownTexts(contents, memories)
    fields = [field for field in memories.fields if saying(field, memories)]
    return sum(len(texts[field].text.encode()) - len(str(contents.get(f"t.{field}", "")).encode()) for field in fields)


def _texts(document: Document) -> ShownTexts:
    return ShownTexts(document.contents(), MemoryIndex(sources_of(document)))


def _write(document: Document, field: str, text: str, own: dict[str, str]) -> None:
    """One writer for all, so that they mix alike with what other devices write."""
    TextField(document, field).replace(text, differences)
    for root in sorted(own):
        current = _held(document, root)
        splice(document, root, current, differences(current, own[root]))


def _held(document: Document, root: str) -> str:
    with document.transaction() as transaction:
        return document.text(transaction, root).get_string(transaction)
