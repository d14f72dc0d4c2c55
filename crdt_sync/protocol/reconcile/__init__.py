"""Range-based set reconciliation: two replicas find out which records differ, at a cost in proportion to that.

After Aljoscha Meyer's "Range-Based Set Reconciliation" and negentropy's protocol V1, adapted so that both sides
learn the differences. docs/reconciliation.md is the specification. Pure: no clock, no randomness, no I/O.

* `Reconciler` is the state machine of one run, over a pinned `View` of what this side holds;
* `Index` keeps such views in memory: built from pages of digests, kept current at every commit, `pin()`ned for a run;
* `Ranges` is the message; `encode` and `decode` turn it into a tuple for CBOR and back.
"""

from crdt_sync.protocol.reconcile.fingerprint import leaf
from crdt_sync.protocol.reconcile.index import Index, Pinned
from crdt_sync.protocol.reconcile.messages import Ranges
from crdt_sync.protocol.reconcile.packing import decode, encode
from crdt_sync.protocol.reconcile.reconciler import Owed, Reconciler, Wanted
from crdt_sync.protocol.reconcile.view import View

__all__ = ["Index", "Owed", "Pinned", "Ranges", "Reconciler", "View", "Wanted", "decode", "encode", "leaf"]
