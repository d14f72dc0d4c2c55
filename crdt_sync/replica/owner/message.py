"""What programs of one machine say to each other: arrays of CBOR, see `frames`."""

Message = tuple[object, ...]
NO_ROLE = "a program"  # of one that says no more of itself


class BadFrame(ValueError):
    """What came is no message."""
