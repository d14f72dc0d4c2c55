"""Names and calls that the suites of all ports share."""

import hashlib

from crdt_sync.storage import Batch

ANN, BOB, CID = "customers/ann", "customers/bob", "customers/cid"
PARTNER, OTHER = b"p" * 16, b"q" * 16


def put(store, *changes, **rest):
    return store.commit([Batch(changes=changes, **rest)])[0].seqs


def leaf(record, digest):
    return int.from_bytes(hashlib.blake2b(record.encode() + b"\0" + digest, digest_size=32).digest(), "big")
