"""What Rich draws, imported when something is drawn: a sentence, or JSON, needs none of it."""

from typing import TYPE_CHECKING

from crdt_sync.lazy import importer

if TYPE_CHECKING:
    from rich.box import SIMPLE_HEAD
    from rich.cells import cell_len
    from rich.console import Group, RenderableType
    from rich.filesize import decimal
    from rich.live import Live
    from rich.spinner import Spinner
    from rich.table import Table
    from rich.text import Text

    from crdt_sync.cli.console import Console
else:
    __getattr__, __dir__ = importer(
        __name__,
        {
            "rich.box": ("SIMPLE_HEAD",),
            "rich.cells": ("cell_len",),
            "crdt_sync.cli.console": ("Console",),
            "rich.console": ("Group", "RenderableType"),
            "rich.filesize": ("decimal",),
            "rich.live": ("Live",),
            "rich.spinner": ("Spinner",),
            "rich.table": ("Table",),
            "rich.text": ("Text",),
        },
    )

__all__ = [
    "SIMPLE_HEAD",
    "Console",
    "Group",
    "Live",
    "RenderableType",
    "Spinner",
    "Table",
    "Text",
    "cell_len",
    "decimal",
]
