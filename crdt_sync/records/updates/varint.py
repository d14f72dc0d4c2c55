"""Unsigned variable-length integers as lib0 and Yjs write them: seven bits a byte, lowest first."""

from crdt_sync.errors import UpdateRefused

UINT_MAX = (1 << 53) - 1  # Yjs numbers are JavaScript numbers


def read_uint(data: bytes, position: int) -> tuple[int, int]:
    """Read one integer; returns it and the position behind it.

    Raises `IndexError` when the bytes end early, so that callers map truncation once, and `UpdateRefused`
    when the integer exceeds 2**53 - 1.
    """
    byte = data[position]
    position += 1
    if byte < 0x80:
        return byte, position
    value = byte & 0x7F
    shift = 7
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 49:  # an eighth byte is the last that 53 bits can need
            raise UpdateRefused("malformed", "an integer is longer than 53 bits")
    if value > UINT_MAX:
        raise UpdateRefused("malformed", "an integer is larger than 2**53 - 1")
    return value, position


def append_uint(out: bytearray, value: int) -> None:
    """Append one integer, 0 to 2**53 - 1, in its shortest form."""
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
