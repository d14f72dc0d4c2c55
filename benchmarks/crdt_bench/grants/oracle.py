"""What is allowed, by the plainest means: what anybody may see is worked out anew, from documents and the policy."""

from collections.abc import Mapping
from typing import TypeVar

from crdt_sync import ids
from crdt_sync.policy.in_force import InForce
from crdt_sync.policy.rights import Rights
from crdt_sync.policy.values import Values
from crdt_sync.protocol import codec
from crdt_sync.protocol.messages import (
    Ack,
    Changes,
    Checked,
    Dropped,
    Message,
    Presence,
    Standing,
    Updates,
)
from crdt_sync.protocol.versions import NEWEST
from crdt_sync.records import Document, Schema
from crdt_sync.records.filtered import values_shown
from crdt_sync.storage.port import Store

T = TypeVar("T")


class NotAllowed(AssertionError):
    """Somebody was told what the policy does not allow, or holds it."""


class Oracle:
    """What each user may hold of what a store has, now and ever since the beginning.

    A drop names a record that one of a user's grants chose, by anything that it has shown, at whatever times: a device
    may hold it from then.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._rights: dict[str, list[Rights]] = {}  # by user, all that it ever had
        self._shown: dict[str, list[Values]] = {}  # by record, all that it ever showed
        self._read: dict[str, tuple[int, Values]] = {}  # by record, as of which of its updates

    def values(self, store: Store, record: str) -> Values | None:
        """What a record shows; None where it is not there."""
        head = store.record_head(record)
        if head is None:
            return None
        if ids.section_of(record):
            return self.values(store, ids.whole_record(record)) or {}  # without it whoever may hold all may hold it
        known = self._read.get(record)
        if known is None or known[0] != head.seq:
            schema = self._schema if ids.collection_of(record) == self._schema.collection else None
            known = (head.seq, values_shown(Document.load(store.load(record).updates), schema))
            self._read[record] = known
        return known[1]

    def allowed(self, store: Store, in_force: InForce, user: str) -> set[str]:
        """All that a user may hold of what is there."""
        rights = in_force.rights(user)
        found = set()
        for record in store.records("", store.count()):
            values = self.values(store, record)
            collection = ids.collection_of(record)
            if values is not None and (collection == ids.SCHEMAS or _may_hold(rights, record, values)):
                found.add(record)
        return found

    def look(self, store: Store, in_force: InForce) -> Mapping[str, set[str]]:
        """Note what everybody may hold now; call it whenever something was stored, or the policy changed."""
        for user in in_force.policy.users:
            _note(self._rights.setdefault(user, []), in_force.rights(user))
        for record in store.records("", store.count()):
            if not ids.section_of(record) and (values := self.values(store, record)) is not None:
                _note(self._shown.setdefault(record, []), values)
        return {user: self.allowed(store, in_force, user) for user in in_force.policy.users}

    def _ever(self, user: str, record: str) -> bool:
        return any(
            _may_hold(rights, record, values)
            for values in self._shown.get(ids.whole_record(record), ())
            for rights in self._rights.get(user, ())
        )

    def check(self, frame: bytes, user: str, allowed: set[str], own: set[str]) -> None:
        """Raise `NotAllowed` for a frame that tells more than its user may know; `own` are records that it named."""
        message = decoded(frame)
        if isinstance(message, Dropped):
            told = {record for record in message.records if record not in own and not self._ever(user, record)}
        else:
            told = named(message) - allowed
        if isinstance(message, Checked):
            told = {entry.record for entry in message.entries if entry.standing is not Standing.ABSENT} - allowed
        if told:
            raise NotAllowed(f"{user} is told of {sorted(told)} by {type(message).__name__}")


def _may_hold(rights: Rights, record: str, values: Values) -> bool:
    """Whether a user with these rights may hold a record, or a companion of one, that shows this."""
    grants = rights.on(ids.whole_collection(ids.collection_of(record)), values).grants
    section, (field, mask) = ids.section_of(record), ids.mask_of(record)
    if mask:
        return any(field in grant.read and grant.masks.get(field) == mask for grant in grants)
    return any(not section or (section in grant.read and not grant.masks) for grant in grants)


def _note(known: list[T], found: T) -> None:
    if found not in known:
        known.append(found)


def decoded(frame: bytes) -> Message:
    """A frame, of whichever version it is."""
    return codec.decode(frame, version=NEWEST)


def named(message: Message) -> set[str]:
    """The records that a message tells of."""
    match message:
        case Changes() | Updates() | Presence():
            return {entry.record for entry in message.entries}
        case Ack():
            return set()
    return set()
