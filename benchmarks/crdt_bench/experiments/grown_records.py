"""What a record takes that many device lives have edited, where it is renewed as it grows."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from crdt_bench.results import Measurement, Outcome, Target
from crdt_sync import Replica, bundled_schema
from crdt_sync.records import Document, Editor
from crdt_sync.records.lineages.lineage import lineage_of
from crdt_sync.records.lineages.renewal import carried
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch

NAME = "grown"
_RECORD = "customers/grown"
_SIZE_MAX = 10.0  # times the visible content
_UPDATE_MAX = 1000.0  # bytes
_WORDS = (
    *("call", "again", "about", "the", "offer", "for", "new", "machines", "before", "they", "close", "in", "summer"),
    *("and", "ask", "whether", "Ann", "got", "it"),
)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Edits of the record, the device lives that they are spread over, and the words of its note: three records."""

    edits: int = 100_000
    lives: int = 200
    words: tuple[int, ...] = (100, 200, 400)
    rounds: int = 1


SMALL = Sizes(edits=1_500, lives=10, words=(200,))


def run(sizes: Sizes) -> list[Outcome]:
    """A small record and larger ones."""
    return [outcome for words in sizes.words for outcome in _grown(sizes, words)]


def _grown(sizes: Sizes, words: int) -> list[Outcome]:
    """One record is edited by one life after the other; one device saw the first of them only, and comes back."""
    rng = random.Random(1)
    store = MemoryStore(rng=rng)
    store.commit([Batch(meta={"name": b"ann"})])
    largest = content = update = lineages = 0
    late: Document | None = None
    ratio = 0.0
    begun = time.process_time()
    for life in range(sizes.lives):
        replica = Replica.over(store, rng=rng)
        if not life:
            replica.add_schema(bundled_schema("customers"))
        for number in range(sizes.edits // sizes.lives):
            with replica.edit(_RECORD, create=True) as customer:
                if not life and not number:
                    customer.update({"name": "Müller & Sons", "city": "Bonn", "email": "office@mueller.example"})
                    customer["notes"] = " ".join(rng.choice(_WORDS) for _ in range(words))
                _edit(customer, rng)
            head = store.record_head(_RECORD)
            assert head is not None
            (entry,) = store.log(head.seq - 1, 1, 1 << 30)
            if head.tail:  # a renewal sends the whole record, once
                update = max(update, len(entry.update))
        document = replica.document(_RECORD)
        late = late or document
        largest, content = max(largest, document.size), document.content_bytes()
        if life >= sizes.lives // 2:
            ratio = max(ratio, document.size / content)
        lineages = lineage_of(document).generation
    taken = (time.process_time() - begun) * 1e6 / sizes.edits
    if late is None or late.lineage_writer() == document.lineage_writer():
        raise AssertionError("nothing was renewed since the first life: more edits are needed")
    back = Document.load((late.diff(),), 7)
    Editor(back, bundled_schema("customers"), replica.clock, "late", "customers").increment("visits")
    both = carried(replica.document(_RECORD), back)
    name = f"{sizes.edits:,} edits by {sizes.lives} lives, {words} words"
    return [
        Measurement(NAME, f"{name}: what it shows", "B", (float(content),)),
        Measurement(NAME, f"{name}: size over what it shows", "", (document.size / content,), _at_most(_SIZE_MAX)),
        Measurement(NAME, f"{name}: the most that it was, of the second half", "", (ratio,), _at_most(_SIZE_MAX)),
        Measurement(NAME, f"{name}: the largest it ever was", "KiB", (largest / 1024,)),
        Measurement(NAME, f"{name}: largest update of an edit", "B", (float(update),), _at_most(_UPDATE_MAX)),
        Measurement(NAME, f"{name}: times renewed", "", (float(lineages),)),
        Measurement(NAME, f"{name}: times renewed in 1,000 edits", "", (1000 * lineages / sizes.edits,)),
        Measurement(NAME, f"{name}: an edit", "µs of processor", (taken,)),
        Measurement(NAME, f"{name}: with a late edit of the first life", "", (both.size / both.content_bytes(),)),
    ]


def _at_most(bound: float) -> Target:
    return Target("at most", bound)


def _edit(customer: Editor, rng: random.Random) -> None:
    """What people do with a customer, so that it shows about as much in the end as in the beginning."""
    acts: list[Callable[[], object]] = [
        lambda: customer.update({"phone": f"+49 228 {rng.randrange(10**6)}"}),
        lambda: customer.update({"city": rng.choice(("Bonn", "Köln", "Berlin"))}),
        lambda: customer.increment("visits"),
        lambda: customer.add("tags", rng.choice(("vip", "new", "lost", "fair"))),
        lambda: customer.remove("tags", rng.choice(("vip", "new", "lost", "fair"))),
        lambda: _reword(customer, rng),
        lambda: _reword(customer, rng),
    ]
    rng.choice(acts)()


def _reword(customer: Editor, rng: random.Random) -> None:
    words = str(customer.text("notes")).split()
    words[rng.randrange(len(words))] = rng.choice(_WORDS)
    customer["notes"] = " ".join(words)
