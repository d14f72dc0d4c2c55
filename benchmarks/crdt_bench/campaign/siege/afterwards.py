"""What is wrong with the store of a relay after a siege: damage, records that no worker can load, edits that are gone.

An attacker pushes the same bytes as thousands of records, each of which takes a worker long to load. Whether one can
be loaded depends on its bytes alone, so of those that have the same bytes one is loaded.
"""

import asyncio
import hashlib
from collections.abc import Iterator, Mapping, Sequence

from crdt_sync.errors import StoreCorrupt
from crdt_sync.records import Document
from crdt_sync.runtime.loadable import unloadable
from crdt_sync.storage import Records, Store

_PAGE = 256


def wrong(store: Store, acknowledged: Mapping[str, Sequence[bytes]]) -> list[str]:
    """What is wrong, given the updates of each record that honest devices were told are accepted."""
    found = [f"verify: {finding.problem}" for finding in store.verify().findings]
    examples = list(_different(store))
    for start in range(0, len(examples), _PAGE):
        cannot = asyncio.run(unloadable(store, examples[start : start + _PAGE]))
        found += [f"no worker can load {each.record}" for each in cannot]
    for record, updates in acknowledged.items():
        if lost := _lost(store, record, updates):
            found.append(f"{lost} of {len(updates)} edits of {record} are gone, though acknowledged")
    return found


def _different(store: Records) -> Iterator[str]:
    """One record of each content; one that is damaged is not among them."""
    seen: set[bytes] = set()
    after = ""
    while page := store.records(after, _PAGE):
        after = page[-1]
        for record in page:
            try:
                content = _content(store.load(record).updates)
            except StoreCorrupt:
                continue  # which `verify` has found
            if content not in seen:
                seen.add(content)
                yield record


def _content(updates: Sequence[bytes]) -> bytes:
    whole = hashlib.blake2b(digest_size=16)
    for update in updates:
        whole.update(len(update).to_bytes(8, "big"))
        whole.update(update)
    return whole.digest()


def _lost(store: Records, record: str, updates: Sequence[bytes]) -> int:
    try:
        document = Document.load(store.load(record).updates)
    except StoreCorrupt:
        return len(updates)
    return sum(document.lacks(update) for update in updates)
