"""Imported by the process of the guided fuzzer: a reader that fails on what is rarely drawn."""

from crdt_sync.records.updates import state_vector

_decode = state_vector.decode


def decode(data: bytes) -> dict[int, int]:
    decoded = _decode(data)
    if len(decoded) == 3 and data[0] == 3:
        raise RuntimeError("planted: three writers")
    return decoded


state_vector.decode = decode
