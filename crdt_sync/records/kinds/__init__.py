"""The kinds of fields, one file each: see `crdt_sync.records.kind`. Whatever stands in this folder is a kind."""

from importlib import import_module
from pkgutil import iter_modules

from crdt_sync.records.kind import FieldKind
from crdt_sync.records.roots import Layout


def _found() -> dict[str, FieldKind]:
    found: dict[str, FieldKind] = {}
    for module in sorted(each.name for each in iter_modules(__path__)):
        kind = import_module(f"{__name__}.{module}").KIND
        if not isinstance(kind, FieldKind) or kind.name in found:
            raise TypeError(f"{__name__}.{module} has no kind of its own")
        found[kind.name] = kind
    return found


KINDS: dict[str, FieldKind] = _found()
"""Every kind by its name in schemas."""

PLAIN: dict[str, FieldKind] = {kind.layout: kind for kind in KINDS.values() if kind.plain}
"""Prefix of a root to the kind that reads it where no schema is here."""

if set(PLAIN) != set(Layout) or sum(kind.plain for kind in KINDS.values()) != len(PLAIN):
    raise TypeError("each layout is read without a schema by one kind")
