"""How old what is known is, in words for people."""

_UNITS = (("day", 24 * 3600), ("hour", 3600), ("minute", 60))


def as_of(age_us: int | None) -> str:
    """As in "revocations as of 3 days ago"."""
    if age_us is None:
        return "never heard of"
    seconds = age_us // 1_000_000
    for unit, size in _UNITS:
        if count := seconds // size:
            return f"as of {count} {unit}{'s' if count > 1 else ''} ago"
    return "as of just now"
