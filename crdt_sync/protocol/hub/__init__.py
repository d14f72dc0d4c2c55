"""The hub of many sessions over one store: pure, like the sessions in it.

effects   what the hub asks of its host, and the answers
presence  who has which record open, and who is to be told
lanes     whose push is integrated next, and how much of it
pipeline  the way of a push
hub       the sessions
"""

from crdt_sync.protocol.hub.effects import (
    Arrived,
    Commit,
    Deliver,
    Finished,
    Forget,
    GaveTo,
    Hangup,
    HubEffect,
    Integrate,
    Integrated,
    IntegrationItem,
    MakeCheck,
    MakeReceipt,
    NoteReports,
    PinAudit,
    PinIndex,
    Refused,
    SaidBy,
    Stored,
    StoredUpdates,
)
from crdt_sync.protocol.hub.hub import Hub

__all__ = [
    "Arrived",
    "Commit",
    "Deliver",
    "Finished",
    "Forget",
    "GaveTo",
    "Hangup",
    "Hub",
    "HubEffect",
    "Integrate",
    "Integrated",
    "IntegrationItem",
    "MakeCheck",
    "MakeReceipt",
    "NoteReports",
    "PinAudit",
    "PinIndex",
    "Refused",
    "SaidBy",
    "Stored",
    "StoredUpdates",
]
