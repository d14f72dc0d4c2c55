"""The table of invented companies that comes with the library, for trying things out."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources

from crdt_sync.exchange.reading import open_table
from crdt_sync.exchange.table import Table


@contextmanager
def demo_table() -> Iterator[Table]:
    """About 200 companies that fit the bundled schema `customers`: many scripts, untidy on purpose."""
    with resources.as_file(resources.files("crdt_sync.exchange") / "companies.csv") as path:
        yield open_table(path)
