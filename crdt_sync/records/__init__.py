"""Customer records: schema, values, conflicts, and the CRDT document below them.

Where to begin reading: `document` (a record as a CRDT), `roots` (how it is laid out), `kind` and `kinds` (what fields
mean), `schema`, `reading` (what a record shows), `editor` (how it is written). `updates` has the bytes that devices
exchange, `gate` what of them is let in, `memory` what imports said, `lineages` how a record is renewed.
"""

from typing import TYPE_CHECKING

from crdt_sync.lazy import importer
from crdt_sync.records.updates.state_vector import EMPTY as EMPTY_STATE_VECTOR
from crdt_sync.records.updates.state_vector import covers as covers_state_vector
from crdt_sync.records.updates.state_vector import decode as decode_state_vector
from crdt_sync.records.updates.state_vector import encode as encode_state_vector
from crdt_sync.records.updates.state_vector import merge as merge_state_vectors

if TYPE_CHECKING:
    from crdt_sync.records.document import Document
    from crdt_sync.records.editor import Editor, check_actor
    from crdt_sync.records.entries import Conflict, ConflictEntry
    from crdt_sync.records.field_values import normalise, parse_text, restore
    from crdt_sync.records.gate.integrate import Integration, Integrator, content_digest_of, digest_of
    from crdt_sync.records.reading import Reading, conflicts_of, reading_of, value_of, values_of
    from crdt_sync.records.schema import FieldSpec, Schema, bundled_schema, load_schema, parse_schema
    from crdt_sync.records.text_field import TextField
    from crdt_sync.records.updates.update import Scan, scan
    from crdt_sync.records.values import Carrier, canonical
else:
    __getattr__, __dir__ = importer(
        __name__,
        {
            "crdt_sync.records.document": ("Document",),
            "crdt_sync.records.editor": ("Editor", "check_actor"),
            "crdt_sync.records.entries": ("Conflict", "ConflictEntry"),
            "crdt_sync.records.field_values": ("normalise", "parse_text", "restore"),
            "crdt_sync.records.gate.integrate": ("Integration", "Integrator", "content_digest_of", "digest_of"),
            "crdt_sync.records.reading": ("Reading", "conflicts_of", "reading_of", "value_of", "values_of"),
            "crdt_sync.records.schema": ("FieldSpec", "Schema", "bundled_schema", "load_schema", "parse_schema"),
            "crdt_sync.records.text_field": ("TextField",),
            "crdt_sync.records.updates.update": ("Scan", "scan"),
            "crdt_sync.records.values": ("Carrier", "canonical"),
        },
    )

__all__ = [
    "EMPTY_STATE_VECTOR",
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
    "bundled_schema",
    "canonical",
    "check_actor",
    "conflicts_of",
    "content_digest_of",
    "covers_state_vector",
    "decode_state_vector",
    "digest_of",
    "encode_state_vector",
    "load_schema",
    "merge_state_vectors",
    "normalise",
    "parse_schema",
    "parse_text",
    "reading_of",
    "restore",
    "scan",
    "value_of",
    "values_of",
]
