"""Customer records of 1 to 2 KB, as documents and in stores, made quickly and the same in every run."""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from crdt_sync import Replica, bundled_schema, ids
from crdt_sync.clock import HybridClock
from crdt_sync.records import Document, Editor
from crdt_sync.replica.views import encode_view
from crdt_sync.storage.lmdb import LmdbStore
from crdt_sync.storage.port import Store
from crdt_sync.storage.values import Batch, Change

COLLECTION = "customers"
_PER_COMMIT = 2000
_TEMPLATES = 200
_TEXT = (
    "order offer call visit invoice delivery Müller Łódź 北京 contract renewal meeting sample discount warehouse "
    "support quarterly pricing follow-up reference décembre account"
)
_WORDS = _TEXT.split()


@dataclass(frozen=True, slots=True)
class Content:
    """The content of one record: the whole document as an update, and what a store keeps beside it."""

    update: bytes
    state_vector: bytes
    digest: bytes
    view: bytes


def contents(seed: int) -> list[Content]:
    """Documents of about 1 to 2 KB each. They do not know their record, so each may serve several."""
    rng = random.Random(seed)
    schema = bundled_schema(COLLECTION)
    now = time.time_ns() // 1000
    clock = HybridClock(lambda: now)
    made = []
    for number in range(_TEMPLATES):
        document = Document(ids.new_writer(rng))
        _fill(Editor(document, schema, clock, "bench", COLLECTION), rng, number)
        update = document.diff()
        made.append(Content(update, document.state_vector(), document.digest(), encode_view(document, schema)))
    return made


def _fill(editor: Editor, rng: random.Random, number: int) -> None:
    editor["name"] = f"Customer {number} {rng.choice(_WORDS)}"
    editor["company"] = f"{rng.choice(_WORDS).title()} {rng.choice(_WORDS)} GmbH"
    editor["phone"] = f"+49 30 {rng.randrange(10**7):07d}"
    editor["email"] = f"person{rng.randrange(10**6)}@example.com"
    editor["website"] = f"https://example.com/{rng.randrange(10**6)}"
    editor["address"] = f"{rng.choice(_WORDS).title()}straße {rng.randrange(200)}"
    editor["city"], editor["postal_code"], editor["country"] = "Łódź", f"{rng.randrange(10**5):05d}", "Poland"
    editor["owner"], editor["amount"] = rng.choice(_WORDS), f"{rng.randrange(10**6)}.50"
    for tag in rng.sample(_WORDS, 3):
        editor.add("tags", tag)
    editor.increment("visits", rng.randrange(1, 9))
    editor.text("notes").replace(" ".join(rng.choices(_WORDS, k=rng.randrange(40, 150))))


def fill(store: Store, records: int, seed: int, views: bool) -> int:
    """Put that many records into an empty store; returns the bytes of their documents."""
    rng = random.Random(seed)
    templates = contents(seed)
    size = 0
    for batch in _batches(records):
        changes = []
        for number in batch:
            content = templates[number % len(templates)]
            size += len(content.update)
            changes.append(
                Change(
                    ids.new_record(COLLECTION, rng),
                    (content.update,),
                    bytes(15) + b"\x01",
                    "",
                    time.time_ns() // 1000,
                    content.state_vector,
                    content.update,
                    content.view if views else None,
                    content.digest,
                )
            )
        store.commit([Batch(changes=tuple(changes))])
    return size


def _batches(records: int) -> Iterator[range]:
    for start in range(0, records, _PER_COMMIT):
        yield range(start, min(start + _PER_COMMIT, records))


@dataclass(frozen=True, slots=True)
class Made:
    """A store on disk: its epoch, its head, and the bytes of its documents."""

    epoch: bytes
    head: int
    size: int


def make_relay_store(path: Path, records: int, seed: int = 3) -> Made:
    """A relay's data directory with that many records."""
    with LmdbStore.open(path, create=True) as store:
        size = fill(store, records, seed, views=False)
        return Made(store.epoch, store.head(), size)


def make_device(path: Path, records: int = 0, seed: int = 3) -> None:
    """A device's directory with that many records."""
    with Replica.create(path, path.name, [bundled_schema(COLLECTION)]) as replica:
        fill(replica.store, records, seed, views=True)


def make_filtered(path: Path, *filters: str) -> None:
    """A store that holds the bundled schema as a record, with these fields as filters."""
    schema = bundled_schema(COLLECTION)
    fields = {name: replace(spec, filter=True) if name in filters else spec for name, spec in schema.fields.items()}
    Replica.create(path, path.name, [replace(schema, version=2, fields=fields)]).close()
