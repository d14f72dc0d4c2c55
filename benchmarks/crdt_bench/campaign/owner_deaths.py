"""Deaths of owners and of the programs that they serve, at every boundary between two messages, or in a commit.

The programs and the owner are what is shipped, over memory in place of sockets, threads and the disk, in one thread:
`owner_machine`. What must hold is said in `owner_story`.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any
from unittest.mock import patch

from crdt_bench.campaign.owner_machine import Broken, Deaths
from crdt_bench.campaign.owner_story import THEM, US, Script, tell
from crdt_bench.campaign.tally import Tally
from crdt_sync import Replica
from crdt_sync.replica.commits import Commits
from crdt_sync.replica.owner.asking import Owner
from crdt_sync.replica.owner.requests import Requests

SHORT: Script = (
    ("one", "a", "edit", US),
    ("two", "b", "edit", US),
    ("three", "c", "edit", US),
)
LONG: Script = (
    ("one", "a", "edit", US),
    ("two", "a", "edit", THEM),
    ("block of b", "b", "begin"),
    ("three", "c", "edit", US),
    ("both", "c", "batch"),
    ("block of b", "b", "end"),
    ("note", "c", "note"),
    ("two away", "b", "remove", "two"),
    ("block of a", "a", "begin"),
    ("both again", "b", "batch"),
    ("block of a", "a", "end"),
    ("four", "d", "edit", THEM),
    ("five", "c", "edit", US),
)
SYNCED: Script = (
    ("one", "a", "edit", US),
    ("", "a", "sync", "99"),
    ("both", "b", "batch"),
    ("far", "far", "far"),
    ("", "a", "sync", "9"),
    ("two", "c", "edit", US),
    ("", "b", "sync", "99"),
)
_PROGRAMS = "abcd"
_DONE = ("edit", "edit", "them", "batch", "block", "block", "remove", "note", "renew", "sync", "sync", "far")
_STEPS = (4, 14)
_DEATHS = (1, 4)


def run(seed: int, count: int) -> Tally:
    """Tell `count` drawn stories, with drawn deaths."""
    tally = Tally("deaths of owners", "stories", seed)
    for number in range(seed, seed + count):
        rng = random.Random(f"owner deaths {number}")
        script = drawn(rng)
        tally.ran += 1
        try:
            deaths = _drawn_deaths(script, rng)
            tell(script, deaths)
            tally.outcomes[f"{len(deaths)} died"] += 1
        except Broken as error:
            tally.found(f"story {number}: {error}")
    return tally


def drawn(rng: random.Random) -> Script:
    """Steps of up to four programs, blocks that overlap among them."""
    script: list[tuple[str, ...]] = [("step 0", "a", "edit", US)]
    edits: list[str] = []  # of THEM
    blocks: dict[str, str] = {}
    for number in range(1, rng.randint(*_STEPS)):
        name, tag = rng.choice(_PROGRAMS), f"step {number}"
        match rng.choice(
            ("edit", "edit", "them", "batch", "block", "block", "remove", "note", "renew", "sync", "sync", "far")
        ):
            case "batch" if name not in blocks:
                script.append((f"both {number}", name, "batch"))
            case "them":
                edits.append(tag)
                script.append((tag, name, "edit", THEM))
            case "block" if name in blocks:
                script.append((blocks.pop(name), name, "end"))
            case "block":
                blocks[name] = tag
                script.append((tag, name, "begin"))
            case "remove" if edits:
                script.append((tag, name, "remove", edits.pop()))
            case "sync":
                script.append((tag, name, "sync", str(rng.choice((3, 6, 9, 99)))))
            case "far":
                script.append((f"far {number}", "far", "far"))
            case "note" | "renew" as do:
                script.append((tag, name, do))
            case _ if name not in blocks:
                script.append((tag, name, "edit", US))
    return [*script, *((tag, name, "end") for name, tag in blocks.items())]


def _drawn_deaths(script: Script, rng: random.Random) -> Deaths:
    deaths: dict[int, Any] = {}
    for _ in range(rng.randint(*_DEATHS)):
        reached = tell(script, deaths).reached
        later = range(max(deaths, default=-1) + 1, len(reached))
        if not later:
            break
        at = rng.choice(later)
        deaths[at] = rng.choice(reached[at][1])
    return deaths


def each_death(script: Script) -> Iterator[Deaths]:
    """Every boundary of the story, and who may die there."""
    for at, (_, who) in enumerate(tell(script, {}).reached):
        for dead in who:
            yield {at: dead}


def each_pair(script: Script) -> Iterator[Deaths]:
    """Every pair of deaths: the second one where the story comes to after the first."""
    for first in each_death(script):
        (at,) = first
        reached = tell(script, first).reached
        for later in range(at + 1, len(reached)):
            for dead in reached[later][1]:
                yield {**first, later: dead}


# --- bugs that must be found ---------------------------------------------------------------------------------


def planted(name: str) -> ExitStack:
    """The bug of this name, until the stack is closed."""
    stack = ExitStack()
    of, attribute, bug = PLANTED[name]
    stack.enter_context(patch.object(of, attribute, bug(getattr(of, attribute))))
    return stack


def _answers_first(store_edits: Any) -> Any:
    """What was answered is stored with the next commit."""
    late: list[Callable[[], None]] = []

    def promise(replica: Replica, edits: Any) -> None:
        for store in late:
            store()
        late[:] = [partial(store_edits, replica, edits)]

    return promise


def _commits_apart(store_edits: Any) -> Any:
    return lambda replica, edits: [store_edits(replica, [edit]) for edit in edits]


def _looks_too_early(_: Any) -> Any:
    """An edit is looked for before the store was opened to be written."""
    return lambda commits, gone, edits: (
        gone.found(commits._context.store, edits) or (commits._context.succeed(gone) or False)
    )


def _owes_nothing(store_sent: Any) -> Any:
    """What other programs wrote is noted in no outbox."""

    def store(commits: Commits, edits: Any) -> None:
        with patch.object(commits._context, "peers_except", lambda _: ()):
            store_sent(commits, edits)

    return store


def _lends_again(_: Any) -> Any:
    def take(requests: Any, record: str) -> int:
        writer = requests._replica.context.writers.first()
        requests._lent[record, writer] = None
        requests._replica.context.writers._taken.setdefault(record, set()).add(writer)
        return int(writer)

    return take


PLANTED: dict[str, tuple[Any, str, Callable[[Any], Any]]] = {
    "answers before it commits": (Replica, "store_edits", _answers_first),
    "commits a batch apart": (Replica, "store_edits", _commits_apart),
    "takes what is unanswered as stored": (Owner, "found", lambda _: lambda *_: True),
    "takes what is unanswered as not stored": (Owner, "found", lambda _: lambda *_: False),
    "looks before the store shows it": (Commits, "_found", _looks_too_early),
    "owes nobody what others wrote": (Commits, "store_sent", _owes_nothing),
    "lends a writer id twice": (Requests, "_take", _lends_again),
    "keeps what was lent to the dead": (Requests, "close", lambda _: lambda _: None),
}
