"""What comes is handed on in small pieces, each to the connection on which it came."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from crdt_sync.runtime.transports.pieces import PIECE_BYTES, InPieces


class Kept(asyncio.Protocol):
    """Keeps what it is handed."""

    def __init__(self) -> None:
        self.came: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        self.came.append(data)


def read_into(connection: InPieces, data: bytes) -> None:
    connection.get_buffer(-1)[: len(data)] = data


def test_a_piece_is_handed_on_as_it_came_and_stays_as_it_is():
    kept = Kept()
    connection = InPieces(kept)
    assert len(connection.get_buffer(-1)) == PIECE_BYTES
    for data in (b"first", b"last"):
        read_into(connection, data)
        connection.buffer_updated(len(data))
    assert kept.came == [b"first", b"last"]


def test_what_another_thread_reads_meanwhile_is_not_mixed_with_it():
    here, there = Kept(), Kept()
    ours, theirs = InPieces(here), InPieces(there)
    read_into(ours, b"ours")
    with ThreadPoolExecutor(1) as other:
        other.submit(read_into, theirs, b"theirs").result()
        ours.buffer_updated(len(b"ours"))
        other.submit(theirs.buffer_updated, len(b"theirs")).result()
    assert here.came == [b"ours"]
    assert there.came == [b"theirs"]
