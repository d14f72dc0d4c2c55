"""Writing what sources say of texts: into the field, and alike into the source's own text, see `source_texts`."""

from functools import partial

from crdt_sync.records.document import Document
from crdt_sync.records.memory.memories import sources_of
from crdt_sync.records.memory.memory_index import MemoryIndex
from crdt_sync.records.memory.source_texts import said_texts, source_text_root
from crdt_sync.records.text_diff import differences
from crdt_sync.records.text_field import TextField, splice
from crdt_sync.records.write_once import write_once


def bring_text(
    document: Document, source: str, field: str, text: str, said: str | None, said_before: str | None = None
) -> None:
    """Make the field `text` and the source's own text `said`, which is None where it is too long for one.

    `said_before` is what the source said before, for records of earlier versions, which have no such text; or what it
    was edited from.
    """
    texts = {} if said is None else {source_text_root(source, field): said}
    if said_before and texts and not any(_held(document, root) for root in texts):
        write_once(document, partial(_rewrite, texts=dict.fromkeys(texts, said_before)))
    write_once(document, partial(_write, field=field, text=text, texts=_mixed(document, field) | texts))


def unmix(document: Document, field: str, shown: str) -> None:
    """Write what the field shows into its root, where versions of a source have mixed there, before it is edited."""
    if mixed := _mixed(document, field):
        write_once(document, partial(_write, field=field, text=shown, texts=mixed))


def _mixed(document: Document, field: str) -> dict[str, str]:
    """The roots of the sources' own texts in which versions have mixed, to what each says."""
    texts = said_texts(field, MemoryIndex(sources_of(document)))
    return {root: said for root, said in texts.items() if _held(document, root) != said}


def _write(document: Document, field: str, text: str, texts: dict[str, str]) -> None:
    """One writer for all, so that they mix alike with what other devices write."""
    TextField(document, field).replace(text, differences)
    _rewrite(document, texts)


def _rewrite(document: Document, texts: dict[str, str]) -> None:
    for root in sorted(texts):
        current = _held(document, root)
        splice(document, root, current, differences(current, texts[root]))


def _held(document: Document, root: str) -> str:
    with document.transaction() as transaction:
        return document.text(transaction, root).get_string(transaction)
