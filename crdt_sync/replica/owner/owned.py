"""The store of a program whose store another one owns: read beside that one, and its own once that one has ended."""

import time
from collections.abc import Sequence

from crdt_sync.errors import StoreInUse, StoreLocked
from crdt_sync.replica.owner import local
from crdt_sync.replica.owner.asking import Owner, find
from crdt_sync.storage.lmdb.shared import SharedStore
from crdt_sync.storage.values import Batch, Committed

_LOOK_S = 0.01


class OwnedStore(SharedStore):
    """The store of an owner: read here, and what is noted in it, beside records, is written by the owner."""

    owner: Owner | None

    @classmethod
    def of(cls, owner: Owner) -> "OwnedStore":
        """The store that `owner` serves."""
        store = cls.beside(owner.path, lambda: _key(owner))
        assert isinstance(store, OwnedStore)
        store.owner = owner
        return store

    def commit(self, batches: Sequence[Batch]) -> list[Committed]:
        """Have notes written. Raises `NotServed` for anything else."""
        if self.owner is None:
            return super().commit(batches)
        for batch in batches:
            if batch != Batch(meta=batch.meta):
                raise self.owner.refusal("changing what is known of partners")
        for batch in batches:
            if batch.meta:
                self.owner.ask("meta", tuple(batch.meta.items()))
        return [Committed(()) for _ in batches]

    def close(self) -> None:
        """Close the store, and the link to the owner."""
        if self.owner is not None:
            self.owner.close()
        super().close()

    def succeed(self) -> Owner | None:
        """Own the store from now on, as its owner has ended; or the program that does by now.

        Raises `StoreInUse` where one has it that serves nobody, and what opening it raises: nothing is written then.
        """
        until = time.monotonic() + local.SERVES_S
        while True:
            try:
                self.own()
            except StoreInUse:
                successor = find(self.path)
                if successor is None and time.monotonic() < until:  # who has it may be about to serve
                    time.sleep(_LOOK_S)
                    continue
                if successor is None:
                    raise
                self.owner = successor
            else:
                self.owner = None
            return self.owner


def _key(owner: Owner) -> bytes:
    """The key of an encrypted store, as its owner has it. Raises `StoreLocked`."""
    key = owner.ask("key")
    if not isinstance(key, bytes):
        raise StoreLocked("the program that owns the store gave no key", "Update both to the same version.")
    return key
