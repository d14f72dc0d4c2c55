"""The same histories through Yjs and through ours give the same documents, whoever made them.

Yjs comes from npm, into a folder outside of this project: see `missing` for what to do. A history is of three writers
who edit every kind of root and take over from each other; updates are applied in causal order, as the gate sees to.
"""

import base64
import json
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crdt_bench.campaign.tally import Tally
from crdt_sync import bundled_schema, ids
from crdt_sync.clock import HybridClock
from crdt_sync.records import Document, Editor, Integrator
from crdt_sync.records.roots import ARRAY_PREFIXES, MAP_PREFIXES
from crdt_sync.records.updates import state_vector as vectors

YJS = "13.6.33"
_FOLDER = "CRDT_SYNC_YJS"
_RECORD = "customers/a"
_WRITERS = 3
_STEPS = 40
_STAMP = 1_700_000_000_000_000
_WORDS = ("", "Müller", "北京", "x" * 40, "a b", "O'Brien", "a😀😀b", "👍")


def folder() -> Path:
    """Where Yjs is installed: `$CRDT_SYNC_YJS`, or a folder in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get(_FOLDER) or cache / "crdt-sync" / "yjs")


def missing() -> str:
    """Why nothing can be compared here and what to do about it, or nothing."""
    if shutil.which("node") is None:
        return "node is not installed"
    try:
        found = json.loads((folder() / "node_modules" / "yjs" / "package.json").read_text("utf-8"))["version"]
    except (OSError, ValueError, KeyError):
        found = "none"
    if found == YJS:
        return ""
    return f"Yjs {YJS} is not in {folder()}: npm install --prefix {folder()} yjs@{YJS} (or name a folder in {_FOLDER})"


def run(seed: int, count: int) -> Tally:
    """`count` histories made by each side and given to the other."""
    tally = Tally("differential", "histories", seed, skipped=missing())
    if not tally.skipped:
        with _yjs() as ask:
            for number in range(seed, seed + count):
                for made, compare in (("ours", _made_by_ours), ("Yjs's", _made_by_yjs)):
                    tally.ran += 1
                    tally.outcomes[f"made by {made}"] += 1
                    if problem := compare(random.Random(number), ask):
                        tally.found(f"history {number} made by {made}: {problem}")
    return tally


def _made_by_ours(rng: random.Random, ask: Any) -> str:
    documents = [Document(ids.new_writer(rng)) for _ in range(_WRITERS)]
    clock = HybridClock(lambda: _STAMP)
    schema = bundled_schema("customers")
    updates: list[bytes] = []
    for _ in range(_STEPS):
        document, other = rng.sample(documents, 2)
        if rng.random() < 0.3:
            other.apply(document.diff(other.state_vector()))
            continue
        before = document.state_vector()
        editor = Editor(document, schema, clock, "anna", "customers")
        for _ in range(rng.randrange(1, 4)):
            _edit(editor, rng)
        updates.append(document.diff(before))
    if refused := _refused(updates)[0]:
        return refused
    whole = Document.load(document.diff() for document in documents)
    theirs = ask({"apply": [base64.b64encode(update).decode() for update in updates]})
    return _difference(whole, theirs) or _exchanged(whole, theirs)


def _edit(editor: Editor, rng: random.Random) -> None:
    word = rng.choice(_WORDS) or "x"
    if editor.deleted:
        editor.restore()
    match rng.randrange(8):
        case 0 | 1:
            field = rng.choice(("name", "phone", "city"))
            if editor.conflict(field) is None:
                editor[field] = word
            else:
                editor.resolve(field, word)
        case 2:
            editor.add("tags", word)
        case 3:
            editor.remove("tags", word)
        case 4:
            editor.increment("visits", rng.randrange(-3, 4))
        case 5:
            editor.append("timeline", word)
        case 6:
            editor.text("notes").replace(word * rng.randrange(3))
        case 7:
            editor.delete()


def _made_by_yjs(rng: random.Random, ask: Any) -> str:
    writers = [ids.new_writer(rng) for _ in range(_WRITERS)]
    steps: list[list[object]] = []
    for _ in range(_STEPS):
        one, other = rng.sample(range(_WRITERS), 2)
        if rng.random() < 0.3:
            steps.append(["take", one, other])
        else:
            steps.append(["edit", one, [_drawn(rng, writers[one]) for _ in range(rng.randrange(1, 4))]])
    theirs = ask({"writers": writers, "steps": steps})
    updates = [base64.b64decode(update) for update in theirs["updates"]]
    refused, snapshot = _refused(updates)
    if refused:
        return refused
    whole = Document.load([snapshot])
    at_once = base64.b64decode(theirs["update"])
    for before in ([], updates):
        if again := _refused([*before, at_once])[0]:
            return f"all of it at once, after {len(before)} updates: {again}"
    return _difference(whole, theirs) or _exchanged(whole, theirs)


def _refused(updates: list[bytes]) -> tuple[str, bytes]:
    """What the gate refuses of honest updates, and the record that they lead to."""
    result = Integrator(documents_max=1).integrate(_RECORD, [], updates, stamp_max=None, checked=True, snapshot=True)
    refused = [f"{verdict.code}: {verdict.reason}" for verdict in result.verdicts if verdict.code != "accepted"]
    told = f"{len(refused)} updates are not accepted, the first {refused[0]}" if refused else ""
    assert result.snapshot is not None
    return told, result.snapshot


def _drawn(rng: random.Random, writer: int) -> list[object]:
    """One edit in the layout of a record, in the driver's words."""
    word = rng.choice(_WORDS)
    match rng.randrange(9):
        case 0:
            return ["clear", rng.choice(("c.name", "c.phone"))]
        case 1 | 2:
            return ["push", rng.choice(("c.name", "c.phone", "l.timeline")), [word, _STAMP + rng.randrange(99), "bob"]]
        case 3:
            return ["set", "n.visits", str(writer), rng.randrange(-9, 9)]
        case 4:
            return ["set", "s.tags", f'"{word}"\n{writer}', word]
        case 5:
            return ["unset", "s.tags", f'"{word}"\n{writer}']
        case 6:
            return ["insert", "t.notes", rng.randrange(99), word or "-"]
        case 7:
            root, entry = rng.choice(("c.name", "l.timeline")), [word, _STAMP + rng.randrange(99), "bob"]
            return ["put", root, rng.randrange(9), entry]
    return ["remove", "t.notes", rng.randrange(99), rng.randrange(1, 9)]


def _difference(ours: Document, theirs: dict[str, Any]) -> str:
    held, other = filled(roots_of(ours)), filled(theirs["roots"])
    for name in sorted({*held, *other}):
        if held.get(name) != other.get(name):
            return f"{name} is {held.get(name)!r} with us and {other.get(name)!r} with Yjs"
    vector = {client: clock for client, clock in theirs["vector"] if clock}
    return "" if vectors.decode(ours.state_vector()) == vector else "the state vectors differ"


def _exchanged(ours: Document, theirs: dict[str, Any]) -> str:
    """What Yjs writes of the document is the same document to us."""
    read = Document.load([base64.b64decode(theirs["update"])])
    if read.digest() != ours.digest():
        return "what Yjs writes of it has another digest"
    return "" if filled(roots_of(read)) == filled(roots_of(ours)) else "what Yjs writes of it is read otherwise"


def roots_of(document: Document) -> dict[str, object]:
    """What each root of a record shows."""
    roots: dict[str, object] = {}
    with document.transaction() as transaction:
        for name in document.root_names(transaction):
            if name[:2] in ARRAY_PREFIXES:
                roots[name] = json.loads(document.array(transaction, name).to_json(transaction))
            elif name[:2] in MAP_PREFIXES:
                roots[name] = json.loads(document.map(transaction, name).to_json(transaction))
            else:
                roots[name] = document.text(transaction, name).get_string(transaction)
    return roots


def filled(roots: dict[str, object]) -> dict[str, object]:
    """Without the roots that are empty: an implementation may name one before it is written."""
    return {name: content for name, content in roots.items() if content}


@contextmanager
def _yjs() -> Iterator[Any]:
    process = subprocess.Popen(
        ["node", str(Path(__file__).with_name("differential.cjs"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "NODE_PATH": str(folder() / "node_modules")},
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def ask(history: dict[str, object]) -> Any:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(history) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    try:
        yield ask
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()
