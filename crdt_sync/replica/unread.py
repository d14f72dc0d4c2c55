"""What partners have and is not here: updates that were not taken, and records that a partner could not read; and why.

The cursor may have passed them. So each is asked for again, from that partner, until a diff of the record that it made
from our state vector was taken whole. What else was taken of the record says nothing: it need not build on what is
missing. But where a relay brings the record, what the policy forbade others to bring of it is waited for no more: what
may be held here is there, or comes from there.

No more than `_RECORDS_MAX` records are named. Where there are more, the next session with that partner compares all.
"""

import json
from collections.abc import Collection, Mapping

from crdt_sync.errors import StoreCorrupt
from crdt_sync.storage.port import Settings
from crdt_sync.verdicts import VerdictCode

_META = "unreadable"
_RECORDS_MAX = 1000  # there is none as long as relays check what they accept
_ANYBODY = ""
MORE = ""  # no record: stands for those that are not named
_FORBIDDEN = VerdictCode.FORBIDDEN.value
_UNSERVED = "cannot read it: it may be damaged there"

Known = Mapping[str, Mapping[str, str]]
"""By record and partner (its id in hex), why something of it was not taken."""


def known(store: Settings) -> Known:
    """What is noted."""
    try:
        noted: dict[str, dict[str, str] | str] = json.loads(store.meta(_META) or b"{}")
    except StoreCorrupt:
        return {MORE: {_ANYBODY: "the notes are damaged"}}  # all is compared
    return {record: {_ANYBODY: why} if isinstance(why, str) else why for record, why in noted.items()}


def reasons(store: Settings) -> dict[str, str]:
    """The records, and why."""
    return {record: next(iter(why.values())) for record, why in known(store).items() if record != MORE}


def reasons_of(noted: Known, partner: bytes) -> dict[str, str]:
    """Those of which something is to be asked for again from this partner, and why."""
    return {record: noted[record].get(partner.hex(), noted[record].get(_ANYBODY, "")) for record in of(noted, partner)}


def of(noted: Known, partner: bytes) -> list[str]:
    """The records of which something is to be asked for again from this partner, sorted."""
    return sorted(
        record for record, why in noted.items() if record != MORE and (partner.hex() in why or _ANYBODY in why)
    )


def unserved(url: str) -> str:
    """Why nothing came of a record that the partner at `url` left out of its answer."""
    return f"{url} {_UNSERVED}"


def is_unserved(why: str) -> bool:
    """Whether that is the reason: it did not come. All else came, and was not taken."""
    return why.endswith(_UNSERVED)


def is_forbidden(why: str) -> bool:
    """Whether the policy is the reason: who brought it, or whom it names, may not do that."""
    return why.startswith(_FORBIDDEN)


def overflowed(noted: Known, partner: bytes) -> bool:
    """Whether more is missing of this partner than is named."""
    return not {partner.hex(), _ANYBODY}.isdisjoint(noted.get(MORE, ()))


def void_once_compared(noted: Known, partner: bytes) -> set[str]:
    """What need not be asked for again once all was compared with the partner, to be given to `note` as complete."""
    return {*of(noted, partner), MORE}


def note(
    before: Known,
    partner: bytes,
    refused: Mapping[str, str],
    complete: Collection[str],
    relayed: Collection[str] = (),
) -> dict[str, bytes | None]:
    """The meta to commit after `partner` sent updates.

    `refused` are records with updates that were not taken, and why; `complete` those of which now everything is here
    that the partner has, and `relayed` those that came from a relay.
    """
    after = {record: dict(why) for record, why in before.items()}
    for record in complete:
        for whose in (partner.hex(), _ANYBODY):
            after.get(record, {}).pop(whose, None)
    for record in relayed:
        after[record] = {whose: why for whose, why in after.get(record, {}).items() if not is_forbidden(why)}
    for record, reason in refused.items():
        after.setdefault(record, {})[partner.hex()] = reason
    after = {record: why for record, why in after.items() if why}
    if after == before:
        return {}
    more = after.pop(MORE, {})
    for record in list(after)[_RECORDS_MAX:]:
        more |= dict.fromkeys(after.pop(record), "more than are named")
    return {_META: json.dumps({**after, **({MORE: more} if more else {})}).encode()}
