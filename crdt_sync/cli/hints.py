"""Commands that hints name, with what is known in them, so that they can be pasted."""

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager

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
