"""Customer records: schema, values, conflicts, and the CRDT document below them."""

from crdt_sync.records.bytes_diff import diff
from crdt_sync.records.document import Document, Reading
from crdt_sync.records.editor import Editor, check_actor
from crdt_sync.records.entries import Conflict, ConflictEntry
from crdt_sync.records.integrate import Integration, Integrator, Verdict, content_digest_of, digest_of
from crdt_sync.records.restamp import restamp
from crdt_sync.records.schema import FieldSpec, Schema, bundled_schema, load_schema, parse_schema
from crdt_sync.records.text_field import TextField
from crdt_sync.records.text_input import parse_text
from crdt_sync.records.update import Scan, scan
from crdt_sync.records.values import Carrier, canonical, normalise, restore

__all__ = [
    "Carrier",
    "Conflict",
    "ConflictEntry",
    "Document",
    "Editor",
    "FieldSpec",
    "Integration",
    "Integrator",
    "Reading",
    "Scan",
    "Schema",
    "TextField",
    "Verdict",
    "bundled_schema",
    "canonical",
    "check_actor",
    "content_digest_of",
    "diff",
    "digest_of",
    "load_schema",
    "normalise",
    "parse_schema",
    "parse_text",
    "restamp",
    "restore",
    "scan",
]
