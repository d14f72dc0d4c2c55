"""The dialect of CBOR that strangers may speak to us.

It is small: integers, byte strings, texts, arrays of definite length, false, true and null. Maps, tags, indefinite
lengths and bytes after the value are refused here. Floats (also integral ones), undefined and other simple values are
refused by the checks of the fields, each of which has one type. Integers and lengths need not be in their shortest
form, though `dumps` writes them so.
"""

from collections.abc import Callable
from io import BytesIO
from typing import NoReturn

import cbor2

from crdt_sync.limits import KIB

# Bytes are decoded before their limits are checked, which takes up to 300 ns a byte for hostile ones (4 MiB of
# simple values: 1.3 s). Beyond this size the items are counted first, 0.2 µs each.
UNCOUNTED_BYTES_MAX = 16 * KIB

_LENGTH_BYTES = {24: 1, 25: 2, 26: 4, 27: 8}  # by the low five bits of an item's first byte
_SIZES = {size: low for low, size in _LENGTH_BYTES.items()}
_BYTE_STRING, _TEXT = 2, 3  # major types whose length is in bytes
_ARRAY = 4
_ONE_BYTE = [bytes((byte,)) for byte in range(256)]


def dumps(value: object) -> bytes:
    """The bytes of a value made of tuples, lists, integers, texts, byte strings, booleans and None."""
    return cbor2.dumps(
        value,
        datetime_as_timestamp=False,
        timezone=None,
        value_sharing=False,
        encoders=None,
        default=None,
        canonical=False,
        date_as_datetime=False,
        string_referencing=False,
        indefinite_containers=False,
    )


def uint(value: int) -> bytes:
    """What `dumps` makes of an integer of 0 and more."""
    return _head(0, value)


def text(value: str) -> bytes:
    """What `dumps` makes of a text."""
    body = value.encode()
    return _head(_TEXT, len(body)) + body


def array_of(length: int) -> bytes:
    """How an array of that many values begins; they follow, each as `dumps` makes it."""
    return _head(_ARRAY, length)


def _head(major: int, value: int) -> bytes:
    if value < 24:
        return _ONE_BYTE[major << 5 | value]
    size = 1 if value < 0x100 else 2 if value < 0x10000 else 4 if value < 0x1_0000_0000 else 8
    return _ONE_BYTE[major << 5 | _SIZES[size]] + value.to_bytes(size, "big")


def loads(body: bytes, *, items_max: int, depth_max: int) -> object:
    """The one value in `body`, arrays as tuples. Raises `ValueError`, and nothing else, whatever the bytes are."""
    if len(body) > UNCOUNTED_BYTES_MAX:
        _count_items(body, items_max)
    stream = BytesIO(body)
    decoder = cbor2.CBORDecoder(
        stream,
        tag_hook=_refuse_tag,
        object_hook=_refuse_map,
        semantic_decoders=_ALL_TAGS,
        str_errors="strict",
        read_size=4096,
        max_depth=depth_max,
        allow_indefinite=False,
        allow_duplicate_keys=False,
        strict_hashable_types=True,
    )
    try:
        value: object = decoder.decode(immutable=True)
    except cbor2.CBORError as error:
        raise ValueError(str(error.__cause__ or error)) from None
    if stream.tell() != len(body):
        raise ValueError(f"{len(body) - stream.tell()} bytes follow the message")
    return value


def _count_items(body: bytes, items_max: int) -> None:
    """Walk over the first bytes of all items, whatever their nesting, and stop at the limit."""
    position, end = 0, len(body)
    for _ in range(items_max):
        major, length = body[position] >> 5, body[position] & 31
        position += 1
        if length > 23:
            length_bytes = _LENGTH_BYTES.get(length)
            if length_bytes is None:
                raise ValueError("an item of indefinite or reserved length")
            length = int.from_bytes(body[position : position + length_bytes], "big")
            position += length_bytes
        if major in {_BYTE_STRING, _TEXT}:
            position += length
        if position >= end:
            return  # whether it ends exactly here is for the decoder to say
    raise ValueError(f"more than {items_max} items")


class _Tags(dict[int, Callable[..., object]]):
    """Meets every tag, also those that the decoder would interpret by itself, with a refusal."""

    def __missing__(self, tag: int) -> Callable[..., object]:
        return _refuse_tag


def _refuse_tag(*_: object) -> NoReturn:
    raise ValueError("a tag is not allowed")


def _refuse_map(*_: object) -> NoReturn:
    raise ValueError("a map is not allowed")


_ALL_TAGS = _Tags()
