"""What names a user: a text of the operator's choice, bounded, and fit for a line of a log."""

import re
import unicodedata

from crdt_sync.limits import USER_LENGTH_MAX

_USER = re.compile(rf"(?!\s)[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{{1,{USER_LENGTH_MAX}}}(?<!\s)\Z")


def is_user(name: object) -> bool:
    """Whether a value can name a user: 1 to 64 characters, none of which breaks a line or is no character at all, and
    no blanks around them.

    A name has one spelling, Unicode NFC: who is disabled as `é` would be let in as `e` with an accent after it.
    """
    return type(name) is str and _USER.match(name) is not None and unicodedata.is_normalized("NFC", name)
