"""Writing the memory of what sources said, see `sources`."""

import json
from collections.abc import Callable, Mapping, Sequence

from crdt_sync.clock import HybridClock
from crdt_sync.records.document import Document
from crdt_sync.records.entries import well_formed
from crdt_sync.records.memory.beginnings import without_field
from crdt_sync.records.memory.sources import (
    DIGESTS_SEEN_MAX,
    EDITED,
    REMOVED,
    SEEN,
    SEEN_MAX,
    Source,
    account_of,
    digests_in,
    encode_said,
    entry_digest,
    is_memory,
    newest,
    parse_entry,
    read_sources,
)
from crdt_sync.records.memory.versions import (
    NO_FIELDS,
    differing,
    having_seen,
    joined,
    only,
    seen_by,
    without,
)
from crdt_sync.records.roots import BEGUN_ROOT, SOURCES_ROOT

ENTRIES_APART_MAX = 16  # of one source, before its next import says again what all of them say


def sources_of(document: Document) -> list[Source]:
    """What sources of imports said last, the newest first; see `Reading`."""
    with document.transaction() as transaction:
        return read_sources(document.content(transaction, SOURCES_ROOT))


def remember(document: Document, clock: HybridClock, actor: str, source: str, said: Mapping[str, object]) -> None:
    """Write what `source` says now of some fields; what it said of them before is superseded, wherever that stands.

    Of what people edited in an export, `said` has `EDITED`. What the rest of its account said is seen, and stays.
    """
    assert (EDITED in said) == (source != account_of(source))
    with document.transaction() as transaction:
        array = document.array(transaction, SOURCES_ROOT)
        entries = json.loads(array.to_json(transaction))
        for entry in well_formed(entries):
            clock.observe(entry[1])
        parsed = [parse_entry(entry) for entry in entries]
        name = account_of(source)
        # What cannot be read is of the table: whoever wrote it, it goes.
        mine = [
            is_memory(entry) and entry[3] == name and (each.name if each else name) == source
            for entry, each in zip(entries, parsed, strict=True)
        ]
        versions = read_sources([entry for entry, own in zip(entries, mine, strict=True) if own], None)
        if len(versions) > ENTRIES_APART_MAX:  # so that what is read of a record stays bounded
            before = newest(versions)[source].said
            disputed = differing(versions)
            said = {**{field: each for field, each in before.items() if field not in disputed}, **said}
        left = {(version.stamp, version.text) for version in versions if version.said.keys() - said.keys() - NO_FIELDS}
        beside = {each.stamp for each in parsed if each is not None and each.account == name and each.name != source}
        seen = set(sorted(beside)[-SEEN_MAX // 2 :])
        digests = _digests([each for each, own in zip(parsed, mine, strict=True) if each is not None and own])
        for index in reversed(range(len(entries))):
            entry = entries[index]
            if mine[index] and (entry[1], entry[0]) in left:
                seen.add(entry[1])
            elif mine[index]:
                array.remove_range(transaction, index, 1)
        now = {
            **{field: each for field, each in said.items() if field != SEEN},
            **({SEEN: [*sorted(seen), *digests]} if seen or digests else {}),
        }
        array.insert(transaction, array.len(transaction), [encode_said(now), clock.tick(), actor, name])


def _digests(seen: Sequence[Source]) -> list[str]:
    """The digests of entries of a source and of those that they had seen, as many as are kept, the oldest first."""
    found: dict[str, None] = {}
    for entry in sorted(seen, key=lambda each: (each.stamp, each.text)):
        for digest in (*digests_in(entry.said.get(SEEN)), entry_digest(entry)):
            found.pop(digest, None)
            found[digest] = None
    return [*found][-DIGESTS_SEEN_MAX:]


def settle(document: Document, field: str) -> None:
    """Forget what older versions of a source say of a field, that a text is apart, and how it was begun: somebody
    decided."""
    rewrite_beginnings(document, lambda entry: without_field(entry, field))
    with document.transaction() as transaction:
        array = document.array(transaction, SOURCES_ROOT)
        entries = json.loads(array.to_json(transaction)) if array.len(transaction) else []
        sources = [source for source in read_sources(entries, None) if field in source.said]
        newest = {(source.name, source.stamp) for source in {each.name: each for each in reversed(sources)}.values()}
        first = {each.account: (each.name, each.stamp) for each in reversed(sources)}
        for index in reversed(range(len(entries))):
            entry = entries[index]
            if (source := parse_entry(entry)) is not None:
                place = (source.name, source.stamp)
                again = [joined(entry, field) if place in newest else without(entry, {field})]
                if first.get(source.account) == place and (beside := _beside(sources, source)):
                    again = [without(again[0], {field}), having_seen(only(again[0], field), beside)]
                again = [without(each, {REMOVED + field}) for each in again]
                if again != [entry]:
                    array.remove_range(transaction, index, 1)
                    for each in again:
                        if each is not None:
                            array.insert(transaction, array.len(transaction), each)


def _beside(sources: Sequence[Source], last: Source) -> set[int]:
    """The stamps of what the rest of the account of a memory said, as far as that has not seen it."""
    others = {each.stamp for each in sources if each.account == last.account and each.name != last.name}
    return others - seen_by(last)


def rewrite_beginnings(document: Document, again: Callable[[object], object]) -> None:
    """Put what `again` makes of each entry of `BEGUN_ROOT` in its place; nothing for None."""
    with document.transaction() as transaction:
        if BEGUN_ROOT not in document.root_names(transaction):
            return
        array = document.array(transaction, BEGUN_ROOT)
        entries = json.loads(array.to_json(transaction)) if array.len(transaction) else []
        kept: list[
            object
        ] = []  # of equal ones, as several may have written at once, the last in order stays everywhere
        for index in reversed(range(len(entries))):
            entry = again(entries[index])
            if entry is not entries[index] or entry in kept:
                array.remove_range(transaction, index, 1)
                if entry is None or entry in kept:
                    continue
                array.insert(transaction, array.len(transaction), entry)
            kept.append(entry)
