"""What a policy needs to know of schemas; those of records fit."""

from collections.abc import Mapping, Sequence
from typing import Protocol


class Field(Protocol):
    """One field."""

    @property
    def section(self) -> str | None:
        """The group of fields that it is in."""

    @property
    def filter(self) -> bool:
        """Whether records may be chosen by it."""

    @property
    def can_filter(self) -> bool:
        """Whether a newer schema may say so."""

    @property
    def can_mask(self) -> bool:
        """Whether a part of it can be shown: it is in a section and holds one value."""

    @property
    def kind(self) -> str:
        """How it merges."""

    @property
    def type(self) -> str:
        """What it holds."""

    @property
    def states(self) -> Sequence[str]:
        """What a stage may be."""

    @property
    def choices(self) -> Sequence[str]:
        """What an enum may be."""


class Collection(Protocol):
    """The schema of one collection."""

    @property
    def fields(self) -> Mapping[str, Field]:
        """Its fields by name."""


def section_of(schema: Collection | None, name: str) -> str | None:
    """The section of a field, empty where it is in none, None where the field is not known; see `model.covers`."""
    known = None if schema is None else schema.fields.get(name)
    return None if known is None else known.section or ""
