"""Commands that hints name, with what is known in them, so that they can be pasted."""

import re
import shlex
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import pairwise

from crdt_sync.errors import CrdtSyncError


@contextmanager
def filled_in(**known: str) -> Iterator[None]:
    """What is raised inside has these values where its hint has their names, as `RECORD`, in capitals."""
    try:
        yield
    except CrdtSyncError as error:
        for name, value in known.items():
            error.hint = re.sub(rf"\b{name}\b", shlex.quote(value).replace("\\", r"\\"), error.hint)
        raise


_CLAUSE = re.compile(r"[.;]\s|\n")
_ELSEWHERE = re.compile(r"other device|that device|device there|Owned by process|\bor there:|' there\b", re.IGNORECASE)


def with_store(text: str, store: str, commands: Collection[str]) -> str:
    """A text whose `commands` name the store that was given, as this call did; not those for another device."""
    command = re.compile(rf"\bcrdt-sync (?=(?:{'|'.join(commands)})\b)")
    named = f"crdt-sync --store {shlex.quote(store)} "
    ends = [*(found.end() for found in _CLAUSE.finditer(text)), len(text)]
    clauses = (text[start:end] for start, end in pairwise([0, *ends]))
    return "".join(each if _ELSEWHERE.search(each) else command.sub(lambda _: named, each) for each in clauses)
