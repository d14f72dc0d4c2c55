"""What the command prints: tables and sentences for people on standard output, or JSON, one object a line.

Rules:

1. Results go to standard output, everything else (errors, notes, progress) to standard error.
2. With `--json` standard output holds JSON objects only, and so does standard error.
3. Text of customers goes through `safe_text`, and never through Rich's markup.
"""

import errno
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import IO

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from crdt_sync.cli import safe_text
from crdt_sync.errors import CrdtSyncError, OutputNotWritten

_PIPE_WIDTH = 160  # columns of a table in a pipe or a file, where nobody says how wide it may be


class PipeClosed(Exception):
    """Whoever reads our output has gone."""


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise PipeClosed


class Output:
    """The two streams of one run of the command."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        for stream in (sys.stdout, sys.stderr):
            _never_fail_to_encode(stream)
        self.console = _console(stderr=False)
        self.errors = _console(stderr=True)

    @property
    def animated(self) -> bool:
        """Whether progress may be drawn and redrawn."""
        return not self.as_json and self.errors.is_terminal and os.environ.get("TERM") != "dumb"

    @property
    def can_ask(self) -> bool:
        """Whether somebody sits at a terminal who can be asked, and answer on standard input."""
        return not self.as_json and sys.stdin is not None and sys.stdin.isatty() and self.errors.is_terminal

    def result(self, data: Mapping[str, object], text: str) -> None:
        """The result of a command: `data` for programs, `text` for people."""
        if self.as_json:
            self.emit(data)
        else:
            self.text(text)

    def emit(self, data: Mapping[str, object]) -> None:
        """One JSON object on standard output."""
        self._print(self.console, Text(safe_text.json_line(data)), soft_wrap=True)

    def text(self, text: str, style: str = "") -> None:
        """A sentence, or text of several lines, on standard output."""
        self._print(self.console, Text(safe_text.lines(text), style=style), soft_wrap=True)

    def show(self, renderable: RenderableType) -> None:
        """A table or something like it on standard output; texts in it are the caller's to make safe."""
        self._print(self.console, renderable)

    def note(self, text: str, style: str = "dim") -> None:
        """Something that people may want to know; programs are not told."""
        if not self.as_json:
            self._print(self.errors, Text(safe_text.lines(text), style=style), soft_wrap=True)

    def warning(self, data: Mapping[str, object], text: str) -> None:
        """Something that went wrong without stopping the command."""
        if self.as_json:
            self._print(self.errors, Text(safe_text.json_line(data)), soft_wrap=True)
        else:
            self.note(text, "yellow")

    def error(self, error: CrdtSyncError) -> None:
        """An error with its code and the next step, on standard error."""
        if self.as_json:
            self._print(self.errors, Text(safe_text.json_line(error.as_dict())), soft_wrap=True)
            return
        message = error.message if error.message.endswith((".", "!", "?")) else f"{error.message}."
        self._print(
            self.errors,
            Text.assemble(("Error", "bold red"), f" ({error.code}): ", safe_text.lines(message)),
            soft_wrap=True,
        )
        for line in safe_text.lines(error.hint).split("\n") if error.hint else ():
            self._print(self.errors, Text(f"  {line}"), soft_wrap=True)

    def flush(self) -> None:
        """Write out what is buffered. Raises `PipeClosed`, `OutputNotWritten`."""
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            raise PipeClosed from None
        except OSError as error:
            raise not_written(error) from None

    def _print(self, console: Console, what: RenderableType, *, soft_wrap: bool = False) -> None:
        """Print; where standard error cannot be written to, nothing can be said."""
        try:
            console.print(what, soft_wrap=soft_wrap)
        except OSError as error:
            if console is self.console:
                raise not_written(error) from None


def check_streams() -> None:
    """Raise `OutputNotWritten` where standard output is closed. A closed standard error is written to nowhere."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the process ends
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the process ends
        raise OutputNotWritten("standard output is closed", "Run it without '>&-', or send its output to /dev/null.")


def silence() -> None:
    """Send standard output nowhere: without this the interpreter would complain at its own exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def not_written(error: OSError) -> OutputNotWritten:
    """The error for output that cannot be written."""
    if error.errno == errno.ENOSPC:
        return OutputNotWritten("the disk is full: the output was not written", "Free space, and run it again.")
    return OutputNotWritten(
        f"the output cannot be written: {error.strerror or error}", "Send it somewhere else, and run it again."
    )


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str | Text]], *, wrap: bool = False, width_max: int | None = None
) -> Table:
    """A table of texts, each made safe; cells are cut to fit unless `wrap`. The first column is never cut."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    filled = [[cell(value, wrap=wrap) for value in row] for row in rows]
    for number, column in enumerate(columns):
        header = Text(safe_text.one_line(column))
        if number:
            made.add_column(header, no_wrap=not wrap, overflow="fold" if wrap else "ellipsis", max_width=width_max)
        else:
            made.add_column(header, no_wrap=True, min_width=max((row[0].cell_len for row in filled), default=0))
    for row in filled:
        made.add_row(*row)
    return made


def cell(value: str | Text, *, wrap: bool = False) -> Text:
    """A safe cell."""
    if isinstance(value, Text):
        return value
    return Text(safe_text.lines(value) if wrap else safe_text.one_line(value))


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else _PIPE_WIDTH
    return _Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)


def _never_fail_to_encode(stream: IO[str]) -> None:
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
