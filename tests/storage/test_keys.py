import hashlib

from crdt_sync.storage.keys import leaf


def test_a_leaf_is_the_hash_of_record_and_digest() -> None:
    digest = bytes(range(16))
    expected = hashlib.blake2b(b"customers/a\x00" + digest, digest_size=32).digest()
    assert leaf("customers/a", digest) == int.from_bytes(expected, "big")
