"""Updates written byte by byte, as another program may write them."""

import struct

from crdt_sync.records.updates.varint import append_uint

INFINITY = struct.pack(">Bd", 123, float("inf"))
NOT_A_NUMBER = struct.pack(">Bd", 123, float("nan"))


def uint(value):
    """A number, in its shortest form."""
    out = bytearray()
    append_uint(out, value)
    return bytes(out)


def _text(text):
    encoded = text.encode()
    return uint(len(encoded)) + encoded


def value(given):
    """One value; bytes are taken as they are."""
    match given:
        case bytes():
            return given
        case None:
            return b"\x7e"
        case bool():
            return b"\x78" if given else b"\x79"
        case str():
            return b"\x77" + _text(given)
        case int():
            rest = abs(given) >> 6
            first = (abs(given) & 0x3F) | (0x40 if given < 0 else 0) | (0x80 if rest else 0)
            return bytes([0x7D, first]) + (uint(rest) if rest else b"")
        case float():
            return struct.pack(">Bd", 123, given)
        case list():
            return b"\x75" + uint(len(given)) + b"".join(map(value, given))
        case dict():
            return b"\x76" + uint(len(given)) + b"".join(_text(key) + value(each) for key, each in given.items())
    raise TypeError(given)


def array(root, values):
    """Items that fill an array root."""
    return [b"\x08\x01" + _text(root) + uint(len(values)) + b"".join(map(value, values))]


def mapping(root, members):
    """Items that fill a map root."""
    return [b"\x28\x01" + _text(root) + _text(key) + b"\x01" + value(each) for key, each in members.items()]


def text(root, content):
    """An item that fills a text root."""
    return [b"\x04\x01" + _text(root) + _text(content)]


def update(parts, writer=8500):
    """An update of one writer from such items."""
    items = [item for part in parts for item in part]
    return b"\x01" + uint(len(items)) + uint(writer) + b"\x00" + b"".join(items) + b"\x00"


def text_struct(content, left, right, root="t.a"):
    """One item of text between two origins, each `(writer, clock)` or None."""
    out = bytearray([4 | (0x80 if left else 0) | (0x40 if right else 0)])
    for number in (*(left or ()), *(right or ())):
        out += uint(number)
    if left is None and right is None:
        out += b"\x01" + _text(root)
    return bytes(out) + _text(content)


def struct_update(writers):
    """An update from the first clock and the structs of each writer, in the order given."""
    out = bytearray(uint(len(writers)))
    for writer, (start, structs) in writers.items():
        out += uint(len(structs)) + uint(writer) + uint(start) + b"".join(structs)
    return bytes(out) + b"\x00"
