"""What decides who may hold a record: what it shows, and of a companion what its record shows.

A companion goes where its record goes: it shows, and has shown, what that one does. Only when it came here is its own.
"""

from collections.abc import Sequence

from crdt_sync import ids
from crdt_sync.policy.values import Whereabouts
from crdt_sync.storage.port import Places, Records

_LAST = "\x7f"  # sorts after every character of a record id
_NOWHERE = Whereabouts({})  # whoever may hold all records may hold a companion whose record is not here


def whereabouts(store: Places, record: str, after: int) -> Whereabouts | None:
    """What decides of one; None where it is not there. `after` is a cursor, see `Places.whereabouts`."""
    own = store.whereabouts(record, after)
    if own is None or not ids.section_of(record):
        return own
    return _of_companion(own, store.whereabouts(ids.whole_record(record), after))


def whereabouts_of(store: Places, records: Sequence[str], after: int) -> Sequence[Whereabouts | None]:
    """The same of several."""
    found = store.whereabouts_of(records, after)
    companions = [record for record in records if ids.section_of(record)]
    if not companions:
        return found
    wholes = store.whereabouts_of([ids.whole_record(record) for record in companions], after)
    of_whole = dict(zip(companions, wholes, strict=True))
    return [
        own if own is None or record not in of_whole else _of_companion(own, of_whole[record])
        for record, own in zip(records, found, strict=True)
    ]


def sections_of(store: Records, collection: str) -> list[str]:
    """The sections in which records of a collection hold anything; a read for each."""
    if ids.section_of(collection):
        return []
    found, after, prefix = [], "", f"{collection}{ids.SECTION_MARK}"
    while page := store.records(after, 1, prefix):
        apart = ids.collection_of(page[0])
        found.append(ids.section_of(apart))
        after = f"{apart}/{_LAST}"
    return found


def companions_of(store: Records, record: str) -> list[str]:
    """The companions that a record may have, in all sections in which any has one."""
    return [ids.in_section(record, section) for section in sections_of(store, ids.collection_of(record))]


def _of_companion(own: Whereabouts, whole: Whereabouts | None) -> Whereabouts:
    whole = whole or _NOWHERE
    return Whereabouts(whole.forms, whole.left, own.new)
