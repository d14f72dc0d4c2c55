"""Where a space is at a relay that hosts several: its address ends with `/s/NAME`. Any other is that of the default."""

import re

DEFAULT = "default"
"""The space of whoever names none."""

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?", re.ASCII)
_TARGET_LENGTH_MAX = 4096


def is_name(name: str) -> bool:
    """Whether a space may be called so: 1 to 40 small letters, digits and hyphens, none of these at its ends."""
    return _NAME.fullmatch(name) is not None


def at_space(address: str, name: str) -> str:
    """The address of a space at the relay with that address."""
    return address if name == DEFAULT else f"{address.rstrip('/')}/s/{name}"


def named_in(target: str) -> str:
    """The space that the target of a request names; `DEFAULT` where it names none.

    What stands behind `/s/` and may be no name is a space that is not there: taken for none, a slip of the pen would
    lead a company's devices to the default.
    """
    _, named, name = target[:_TARGET_LENGTH_MAX].partition("?")[0].rstrip("/").rpartition("/s/")
    return name if named else DEFAULT
