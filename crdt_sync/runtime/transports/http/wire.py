"""What the requests of a channel look like, for both ends."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlsplit

FIELD = "crdt-sync"  # of the query: "open", or the id of a channel
OPEN = "open"
PROTOCOL_HEADER = "Crdt-Sync-Protocol"  # of every request and every answer of a relay, whatever else answers on the way
KEY_HEADER = "Crdt-Sync-Key"
TOKEN_BYTES = 16  # of ids and keys, which are written in hexadecimal
_PATH_SAFE = "/%:@!$&'()*+,;=~"
_QUERY_SAFE = _PATH_SAFE + "?"
_NUMBER_DIGITS_MAX = 18
_ID = re.compile(r"[0-9a-f]{32}\Z")
_OURS = re.compile(rb"(?:GET|POST) [^ \r\n]*[?&]crdt-sync=")


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is about. `offset` is of its first byte, `acknowledged` of the other direction's next one.

    `most` bytes are asked for, and `wait` says for how many seconds the answer may be waited for, None: as a stream.
    A POST without `offset` abandons the channel.
    """

    channel: str
    offset: int | None = None
    acknowledged: int = 0
    most: int = 0
    wait: int | None = None

    def of(self, url: str) -> str:
        """The target of a request to the relay with this address."""
        parts = urlsplit(url)
        said = {"from": self.offset, "ack": self.acknowledged or None, "most": self.most or None, "wait": self.wait}
        query = "&".join((f"{FIELD}={self.channel}", *(f"{k}={v}" for k, v in said.items() if v is not None)))
        before = f"{quote(parts.query, safe=_QUERY_SAFE)}&" if parts.query else ""
        return f"{quote(parts.path or '/', safe=_PATH_SAFE)}?{before}{query}"

    @classmethod
    def read(cls, target: str) -> "Target | None":
        """What a request is about, None where it is not well-formed."""
        try:
            said = dict(parse_qsl(urlsplit(target).query, keep_blank_values=True, max_num_fields=16))
        except ValueError:
            return None
        channel = said.get(FIELD, "")
        if channel != OPEN and not _ID.match(channel):
            return None
        numbers = {name: said[name] for name in ("from", "ack", "most", "wait") if name in said}
        if any(not (n.isascii() and n.isdigit() and len(n) <= _NUMBER_DIGITS_MAX) for n in numbers.values()):
            return None
        read = {name: int(text) for name, text in numbers.items()}
        return cls(channel, read.get("from"), read.get("ack", 0), read.get("most", 0), read.get("wait"))


def is_ours(first_line: bytes) -> bool:
    """Whether a request is of a channel over HTTP; `first_line` may be cut, or more than that line."""
    return _OURS.match(first_line) is not None


def is_key(text: str) -> bool:
    """Whether this can be the key of a channel."""
    return _ID.match(text) is not None
