"""What programs of one machine say to each other: arrays of CBOR, see `frames`."""

Message = tuple[object, ...]


class BadFrame(ValueError):
    """What came is no message."""
