"""The first content of a record whose id follows from a natural key: several devices may enter it, offline.

What accumulates must not double then: five visits entered on two devices are five. So each counter, set and text is
written by a writer that writes once, whose id follows from what it writes, and log entries are marked as first content,
of which equal ones are shown once. Whose values and which entries these are stays as it was. What was begun with
different content is told by `beginnings`.
"""

from functools import partial
from typing import Any

from crdt_sync.records.document import Document
from crdt_sync.records.entries import FIRST, is_entry
from crdt_sync.records.member_keys import member_key, member_of
from crdt_sync.records.memory.beginnings import begun
from crdt_sync.records.roots import ARRAY_PREFIXES, BEGUN_ROOT, MAP_PREFIXES, TEXT_PREFIX, Layout, is_reserved
from crdt_sync.records.signatures import Signing
from crdt_sync.records.write_once import write_once


def as_first_content(document: Document, stamp: int, actor: str, signing: Signing | None = None) -> Document:
    """The same content as that of `document`, of a single writer and new, in the form that other devices share.

    `stamp` and `actor` say when and by whom, where something is to be compared with what others begin it with.
    `signing` signs what is in fields: only now the record's id is known.
    """
    shared = Document(document.writer)
    contents = document.contents()
    for root in sorted(contents):
        content: Any = contents[root]
        if not content:
            continue
        if root[:2] in ARRAY_PREFIXES:
            entries = _marked(content) if root.startswith(Layout.LOG) else content
            if signing is not None and not is_reserved(root):
                entries = [signing.signed(root, entry) if is_entry(entry) else entry for entry in entries]
                signing.leave_token(shared)
            with shared.transaction() as transaction:
                array = shared.array(transaction, root)
                for entry in entries:
                    array.insert(transaction, array.len(transaction), entry)
        else:
            write_once(shared, partial(_write, root=root, content=content))
    if beginnings := begun(contents):
        with shared.transaction() as transaction:
            array = shared.array(transaction, BEGUN_ROOT)
            for said in beginnings:
                array.insert(transaction, array.len(transaction), [said, stamp, actor])
    return shared


def _write(document: Document, root: str, content: Any) -> None:
    assert document.writer is not None
    with document.transaction() as transaction:
        if root.startswith(TEXT_PREFIX):
            document.text(transaction, root).insert(transaction, 0, content)
        elif root[:2] in MAP_PREFIXES:
            fields = document.map(transaction, root)
            for key in sorted(content):
                own = (
                    member_key(member_of(key), document.writer)
                    if root.startswith(Layout.MEMBERS)
                    else str(document.writer)
                )
                fields.insert(transaction, own, content[key])


def _marked(entries: list[Any]) -> list[Any]:
    """Each with how many equal ones come before it."""
    seen: list[object] = []
    marked = []
    for entry in entries:
        if is_entry(entry):
            marked.append([*entry[:3], FIRST, seen.count(entry[0])])
            seen.append(entry[0])
        else:
            marked.append(entry)
    return marked
