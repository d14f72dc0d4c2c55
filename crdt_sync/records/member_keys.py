"""The keys under which the members of a set stand in its map: by member and writer, so that an add survives a removal
that has not seen it.
"""

_IMPORTED_KEY = "\nimport"


def member_key(canonical_member: str, writer: int, source: str | None = None) -> str:
    """The key under which a writer adds a member; `source` is the actor of an import. Canonical JSON has no newline."""
    key = f"{canonical_member}\n{writer}"
    return key if source is None else f"{key}\n{source}{_IMPORTED_KEY}"


def member_of(key: str) -> str:
    """The canonical member of a key."""
    return key.partition("\n")[0]


def is_imported(key: str) -> bool:
    """Whether an import added the member of that key."""
    return key.endswith(_IMPORTED_KEY)


def source_of(key: str) -> str | None:
    """The actor of the source whose import added the member of that key, where the key names it."""
    parts = key.split("\n")
    return parts[2] if len(parts) == 4 and is_imported(key) else None
