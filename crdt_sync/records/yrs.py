"""The CRDT library below records, imported when the first document is made: who only reads stored views needs none."""

from typing import TYPE_CHECKING

from crdt_sync.lazy import importer

if TYPE_CHECKING:
    from pycrdt import get_update, merge_updates
    from pycrdt._pycrdt import Array, Doc, Map, Text, Transaction
else:
    __getattr__, __dir__ = importer(
        __name__,
        {
            "pycrdt": ("get_update", "merge_updates"),
            "pycrdt._pycrdt": ("Array", "Doc", "Map", "Text", "Transaction"),
        },
    )

__all__ = ["Array", "Doc", "Map", "Text", "Transaction", "get_update", "merge_updates"]
