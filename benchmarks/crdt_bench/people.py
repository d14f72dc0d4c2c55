"""People as imports bring them, with a field of every kind; guests are told apart by their e-mail address."""

from typing import Final

from crdt_sync.records import parse_schema

FIELDS: Final = """
[fields.name]
[fields.city]
[fields.phone]
kind = "review"
[fields.tags]
kind = "set"
[fields.visits]
kind = "counter"
type = "integer"
[fields.notes]
kind = "text"
[fields.timeline]
kind = "log"
"""
PEOPLE: Final = parse_schema(f'collection = "people"\nversion = 1\n{FIELDS}', "people")
GUESTS: Final = parse_schema(
    f'collection = "guests"\nversion = 1\nnatural_key = ["email"]\n[fields.email]\n{FIELDS}', "guests"
)
