"""Bundles: files that carry records from one device to another, by USB stick or mail.

    frames      magic, frames, and the chain of checksums that covers the whole file
    header      what a bundle says of itself
    protection  encryption with a key made of the space's token
    chunk       updates of records, packed
    writer, reader
    partner     whom a bundle is for
    contents    what a partner is not known to have
    creating, applying, inspecting
    port        who examines foreign updates

docs/bundles.md specifies the format and says what is guaranteed.
"""

from crdt_sync.exchange.bundle.applying import Applied, apply
from crdt_sync.exchange.bundle.creating import Created, create
from crdt_sync.exchange.bundle.header import Header
from crdt_sync.exchange.bundle.inspecting import Inspection, inspect, list_records
from crdt_sync.exchange.bundle.port import Vetting

__all__ = [
    "Applied",
    "Created",
    "Header",
    "Inspection",
    "Vetting",
    "apply",
    "create",
    "inspect",
    "list_records",
]
