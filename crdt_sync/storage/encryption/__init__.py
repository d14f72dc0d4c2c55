"""A store encrypted at rest: the cipher of its rows, and its key, which is kept wrapped beside it.

It knows nothing of LMDB. What is encrypted, and what a thief still learns, is in docs/storage.md.
"""
