"""Devices that hold records of a schema."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from crdt_sync.records import Schema
from crdt_sync.replica import Replica


@pytest.fixture
def make_replica(tmp_path: Path) -> Iterator[Callable[[Schema], Replica]]:
    numbers = count(1)
    with ExitStack() as opened:
        yield lambda schema: opened.enter_context(
            Replica.create(tmp_path / f"store{(number := next(numbers))}", f"device{number}", [schema])
        )
