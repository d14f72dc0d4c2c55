"""People whose devices sign what they write, and records that they write into."""

from collections.abc import Callable

from crdt_sync.clock import HybridClock
from crdt_sync.identity.certified import DeviceSigner, Verifier
from crdt_sync.identity.keys import KeyPair
from crdt_sync.identity.tokens import claims_for, issue
from crdt_sync.principal import Issuer
from crdt_sync.records import Document, Editor, parse_schema
from crdt_sync.records.roots import SIGNERS_ROOT
from crdt_sync.records.signatures import Signing, Standing, standing, tokens_in

SPACE = bytes(range(16))
SPACE_KEY, OTHER_KEY = KeyPair(b"s" * 32), KeyPair(b"o" * 32)
NOW = 1_790_000_000_000_000
RECORD = "people/1"
SCHEMA = parse_schema(
    """
collection = "people"
version = 1
signed = true

[fields.name]

[fields.age]
type = "integer"

[fields.phone]
kind = "review"

[fields.score]
kind = "rating"
type = "integer"

[fields.calls]
kind = "log"

[fields.tags]
kind = "set"

[fields.visits]
kind = "counter"

[fields.notes]
kind = "text"
""",
    "a test",
)
VERIFIER = Verifier(Issuer(SPACE, (SPACE_KEY.public.raw,)))


def signer(user: str, seed: int, by: KeyPair = SPACE_KEY, space: bytes = SPACE) -> DeviceSigner:
    """A device of that user."""
    pair = KeyPair(bytes([seed]) * 32)
    token = issue(claims_for(space, user, pair.public, bytes(16), NOW), by)
    return DeviceSigner(Verifier(Issuer(space, (by.public.raw,))), user, token, pair)


ANNA, BEN = signer("anna", 1), signer("ben", 2)


def edit(
    document: Document,
    change: Callable[[Editor], object],
    by: DeviceSigner = ANNA,
    record: str = RECORD,
    actor: str = "",
    time: int = NOW,
) -> None:
    """Have somebody edit a document."""
    clock = HybridClock(lambda: time)
    change(Editor(document, SCHEMA, clock, actor or by.user, "people", Signing(by, record)))


def written(writer: int, change: Callable[[Editor], object], by: DeviceSigner = ANNA, **how: object) -> Document:
    """A new record that somebody wrote."""
    document = Document(writer)
    edit(document, change, by, **how)  # type: ignore[arg-type]
    return document


def standings(document: Document, record: str = RECORD, verifier: Verifier = VERIFIER) -> dict[str, list[Standing]]:
    """What is known of who wrote each entry of the fields."""
    contents = document.contents()
    tokens = tokens_in(contents.get(SIGNERS_ROOT))
    return {
        root: [standing(verifier, record, root, entry, tokens) for entry in held]
        for root, held in sorted(contents.items())
        if root[:2] in ("c.", "l.") and not root.startswith("_", 2) and isinstance(held, list) and held
    }
