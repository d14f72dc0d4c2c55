"""Bytes as text that travels in headers and tokens: base64url without padding, in its one canonical form.

Some letters of another form stand for the same bytes: what is compared, hashed or kept as text would not be the same.
"""

import base64
import binascii


def encoded(raw: bytes) -> str:
    """The text."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def decoded(text: str) -> bytes | None:
    """The bytes; None where `text` is not what `encoded` makes of any."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        return None
    return raw if encoded(raw) == text else None
