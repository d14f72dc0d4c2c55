"""The replica: records and storage joined, with editing, reading, and what partners need."""

from typing import TYPE_CHECKING

from crdt_sync.lazy import importer

if TYPE_CHECKING:
    from crdt_sync.replica.carried import Carried, LeftOut
    from crdt_sync.replica.collections import Schemaless
    from crdt_sync.replica.edits import EditedRecord
    from crdt_sync.replica.events import Event
    from crdt_sync.replica.keys import Duplicate, KeyStanding
    from crdt_sync.replica.receipts import Holding
    from crdt_sync.replica.repair import Repair
    from crdt_sync.replica.replica import Replica
    from crdt_sync.replica.source import StoreSource
    from crdt_sync.replica.status import (
        Backlog,
        CallerStatus,
        CarriedStatus,
        PartnerStatus,
        RecordStatus,
        Status,
        Waiting,
    )
    from crdt_sync.replica.views import RecordView
else:
    __getattr__, __dir__ = importer(
        __name__,
        {
            "crdt_sync.replica.carried": (
                "Carried",
                "LeftOut",
            ),
            "crdt_sync.replica.collections": ("Schemaless",),
            "crdt_sync.replica.events": ("Event",),
            "crdt_sync.replica.edits": ("EditedRecord",),
            "crdt_sync.replica.keys": (
                "Duplicate",
                "KeyStanding",
            ),
            "crdt_sync.replica.receipts": ("Holding",),
            "crdt_sync.replica.repair": ("Repair",),
            "crdt_sync.replica.replica": ("Replica",),
            "crdt_sync.replica.source": ("StoreSource",),
            "crdt_sync.replica.status": (
                "Backlog",
                "CallerStatus",
                "CarriedStatus",
                "PartnerStatus",
                "RecordStatus",
                "Status",
                "Waiting",
            ),
            "crdt_sync.replica.views": ("RecordView",),
        },
    )

__all__ = [
    "Backlog",
    "CallerStatus",
    "Carried",
    "CarriedStatus",
    "Duplicate",
    "EditedRecord",
    "Event",
    "Holding",
    "KeyStanding",
    "LeftOut",
    "PartnerStatus",
    "RecordStatus",
    "RecordView",
    "Repair",
    "Replica",
    "Schemaless",
    "Status",
    "StoreSource",
    "Waiting",
]
