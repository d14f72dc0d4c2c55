"""Who wrote what a record holds: the author of each entry, and what is known of that."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from crdt_sync.records.document import Document
from crdt_sync.records.entries import Conflict, well_formed
from crdt_sync.records.roots import ARRAY_PREFIXES, SIGNERS_ROOT, is_reserved
from crdt_sync.records.signatures import Standing, standing, tokens_in
from crdt_sync.records.values import canonical

if TYPE_CHECKING:
    from crdt_sync.identity.certified import Verifier


@dataclass(frozen=True, slots=True)
class Authored:
    """An entry of a field: its carrier, when (microseconds; 0: not known) and by whom it was written, as it says, and
    what is known of that.
    """

    field: str
    value: object
    stamp: int
    actor: str
    standing: Standing


def authored(document: Document, record: str, verifier: "Verifier | None") -> Sequence[Authored]:
    """All entries that a record holds in its fields, by field, the newest first. `verifier` is None where no space is
    known by whose keys signatures could be checked: then all is claimed.
    """
    contents = document.contents()
    tokens = tokens_in(contents.get(SIGNERS_ROOT))
    found = []
    for root, held in contents.items():
        if root[:2] not in ARRAY_PREFIXES or is_reserved(root) or not isinstance(held, list):
            continue
        for entry in well_formed(held):
            known = Standing.CLAIMED if verifier is None else standing(verifier, record, root, entry, tokens)
            found.append(Authored(root[2:], entry[0], entry[1], entry[2], known))
    return sorted(found, key=lambda each: (each.field, -each.stamp, each.actor, str(each.value)))


def with_standing(conflict: Conflict, found: Sequence[Authored]) -> Conflict:
    """A conflict of which the entries say what is known of their authors; those that are no entry of a field do not."""
    known: dict[tuple[object, ...], Standing] = {
        (each.field, canonical(each.value), each.stamp, each.actor): each.standing
        for each in reversed(found)
        if each.field == conflict.field
    }
    return replace(
        conflict,
        entries=tuple(
            replace(each, standing=known.get((conflict.field, canonical(each.value), each.stamp, each.actor), ""))
            for each in conflict.entries
        ),
    )
