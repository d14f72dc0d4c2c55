"""Names of fields and columns, however they are spelt, and the names of people in fields that are called so."""

import unicodedata
from collections.abc import Mapping
from functools import lru_cache


@lru_cache(maxsize=1024)  # the names of fields and columns, asked for in every row
def loose(text: str) -> str:
    """`text` without case, spaces, punctuation, accents and width: `E-Mail ` and `e_mail` are one."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    kept = "".join(character for character in plain if character.isalnum())
    return kept or plain.strip()


def is_name(field: str) -> bool:
    """Whether a field holds a name."""
    return "name" in loose(field)


def name_of(carriers: Mapping[str, object]) -> str:
    """All names in some fields, for people."""
    return " ".join(str(value) for field, value in carriers.items() if is_name(field) and value not in (None, ""))
