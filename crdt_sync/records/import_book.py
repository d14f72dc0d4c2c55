"""Books of imported tables: which versions of a source were imported on any device, and when first.

Each source of a collection has a record of a reserved collection, see `crdt_sync.ids.import_book`. Its field `versions`
is a set of texts `DIGEST STAMP`: what a version is known by, 32 hex digits, and when its first import began
(microseconds). Where several members name one version the lowest stamp counts: it was imported on devices that had not
met. Whoever writes into a space can write anything here: what is no such text says nothing.
"""

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import islice

from crdt_sync import ids
from crdt_sync.limits import STAMP_MAX, VERSIONS_OF_SOURCE_MAX
from crdt_sync.records.schema import FieldSpec, Schema

SOURCE = "source"
VERSIONS = "versions"
IMPORT_BOOKS = Schema(
    collection=ids.IMPORTS,
    version=1,
    label="Imported tables",
    fields={SOURCE: FieldSpec(label="Source"), VERSIONS: FieldSpec(kind="set", label="Versions")},
)
"""The schema of the reserved collection, which every device has."""

_MEMBER = re.compile(r"([0-9a-f]{32}) ([0-9]{1,16})")


def kept(root: str, values: Sequence[object]) -> Set[int]:
    """Which values in a book stay where there is no room for everything, by their places: the newest versions."""
    if root != f"s.{VERSIONS}":
        return frozenset()
    places = {each: place for place, each in enumerate(values) if isinstance(each, str)}
    members = sorted(_well_formed(list(places), STAMP_MAX), key=lambda found: (found[2], found[1]))
    return {places[text] for text, _, _ in members[-VERSIONS_OF_SOURCE_MAX:]}


def member(digest: str, stamp: int) -> str:
    """The member that tells of the first import of a version."""
    return f"{digest} {stamp}"


def read_versions(members: object, until: int = STAMP_MAX) -> dict[str, int]:
    """The newest `VERSIONS_OF_SOURCE_MAX` versions that a carrier of the set tells of, each with its stamp.

    What is stamped later than `until` says nothing: a wrong clock, or somebody who wants all versions to be new.
    """
    found: dict[str, int] = {}
    for _, digest, stamp in _well_formed(members, until):
        found[digest] = min(stamp, found.get(digest, stamp))
    return newest_versions(found)


def newest_versions(versions: Mapping[str, int]) -> dict[str, int]:
    """The `VERSIONS_OF_SOURCE_MAX` that were imported last, the newest last."""
    return dict(sorted(versions.items(), key=lambda version: (version[1], version[0]))[-VERSIONS_OF_SOURCE_MAX:])


def outdated(members: object, kept: Mapping[str, int], until: int) -> Sequence[str]:
    """The members of a carrier of the set that `kept` has no more, or otherwise; not more than one edit takes out."""
    found = (text for text, digest, stamp in _well_formed(members, until) if kept.get(digest) != stamp)
    return list(islice(found, VERSIONS_OF_SOURCE_MAX))


def _well_formed(members: object, until: int) -> Iterator[tuple[str, str, int]]:
    for each in members if isinstance(members, list) else ():
        matched = _MEMBER.fullmatch(each) if isinstance(each, str) else None
        if matched is not None and (stamp := int(matched[2])) <= until:
            yield each, matched[1], stamp
