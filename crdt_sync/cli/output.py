"""What the command prints: tables and sentences for people on standard output, or JSON, one object a line.

Rules:

1. Results go to standard output, everything else (errors, notes, progress) to standard error.
2. With `--json` standard output holds JSON objects only, and so does standard error.
3. Text of customers goes through `safe_text`, and never through Rich's markup.
"""

import errno
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import IO

from crdt_sync.cli import drawing, safe_text
from crdt_sync.errors import CrdtSyncError, OutputNotWritten

_FORCE = {"FORCE_COLOR", "TTY_COMPATIBLE"}  # environment variables that Rich takes for a terminal
_PIPE_WIDTH = 160  # columns of a table in a pipe or a file, where nobody says how wide it may be
_NARROW = 60  # columns, under which a table of many is squeezed to letters
_WIDE = 10_000  # columns, to measure what a table would take


PIPE_CLOSED = 141
"""The exit code where whoever reads our output has gone."""


class PipeClosed(Exception):
    """Whoever reads our output has gone."""


class Output:
    """The two streams of one run of the command."""

    def __init__(self, *, as_json: bool, complete: Callable[[str], str] = str) -> None:
        """`complete` makes the commands in a text such that they can be pasted."""
        self.as_json = as_json
        self._complete = complete
        for stream in (sys.stdout, sys.stderr):
            _never_fail_to_encode(stream)

    @cached_property
    def console(self) -> "drawing.Console":
        """Draws on standard output."""
        return _console(stderr=False)

    @cached_property
    def errors(self) -> "drawing.Console":
        """Draws on standard error."""
        return _console(stderr=True)

    @property
    def animated(self) -> bool:
        """Whether progress may be drawn and redrawn."""
        return not self.as_json and os.environ.get("TERM") != "dumb" and self._drawn(errors=True)

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
        self._say(safe_text.json_line(data))

    def text(self, text: str, style: str = "") -> None:
        """A sentence, or text of several lines, on standard output."""
        self._say(safe_text.lines(self._complete(text)), style)

    def show(self, renderable: "drawing.RenderableType") -> None:
        """A table or something like it on standard output; texts in it are the caller's to make safe."""
        if isinstance(renderable, drawing.Table) and _is_squeezed(renderable, self.console):
            renderable = _one_below_another(renderable)
        self._write(lambda: self.console.print(renderable))

    def note(self, text: str, style: str = "dim") -> None:
        """Something that people may want to know; programs are not told."""
        if not self.as_json:
            self._say(safe_text.lines(self._complete(text)), style, errors=True)

    def warning(self, data: Mapping[str, object], text: str) -> None:
        """Something that went wrong without stopping the command."""
        if self.as_json:
            self._say(safe_text.json_line(data), errors=True)
        else:
            self.note(text, "yellow")

    def error(self, error: CrdtSyncError) -> None:
        """An error with its code and the next step, on standard error."""
        hint = self._complete(error.hint)
        if self.as_json:
            self._say(safe_text.json_line({**error.as_dict(), "hint": hint}), errors=True)
            return
        message = error.message if error.message.endswith((".", "!", "?")) else f"{error.message}."
        self._say("Error", "bold red", f" ({error.code}): {safe_text.lines(message)}", errors=True)
        for line in safe_text.lines(hint).split("\n") if hint else ():
            self._say(f"  {line}", errors=True)

    def flush(self) -> None:
        """Write out what is buffered. Raises `PipeClosed`, `OutputNotWritten`."""
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            raise PipeClosed from None
        except OSError as error:
            raise not_written(error) from None

    def _drawn(self, *, errors: bool) -> bool:
        """Whether somebody looks at the stream, who sees colours."""
        stream = sys.stderr if errors else sys.stdout
        if not stream.isatty() and not os.environ.keys() & _FORCE:
            return False
        return (self.errors if errors else self.console).is_terminal

    def _say(self, text: str, style: str = "", rest: str = "", *, errors: bool = False) -> None:
        """Lines: `text` in this style, and `rest` in none."""
        if style and self._drawn(errors=errors):
            console = self.errors if errors else self.console
            self._write(
                lambda: console.print(drawing.Text.assemble((text, style), rest), soft_wrap=True), errors=errors
            )
            return
        stream = sys.stderr if errors else sys.stdout
        self._write(lambda: print(text + rest, file=stream, flush=True), errors=errors)

    def _write(self, write: Callable[[], None], *, errors: bool = False) -> None:
        """Print; where standard error cannot be written to, nothing can be said.

        Raises `PipeClosed`, `OutputNotWritten`.
        """
        try:
            write()
        except BrokenPipeError:
            raise PipeClosed from None
        except OSError as error:
            if not errors:
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
    columns: Sequence[str],
    rows: "Iterable[Sequence[str | drawing.Text]]",
    *,
    wrap: bool = False,
    width_max: int | None = None,
) -> "drawing.Table":
    """A table of texts, each made safe; cells are cut to fit unless `wrap`. The first column is never cut."""
    made = drawing.Table(box=drawing.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    filled = [[cell(value, wrap=wrap) for value in row] for row in rows]
    for number, column in enumerate(columns):
        header = drawing.Text(safe_text.one_line(column))
        if number:
            # Only their texts are `no_wrap`: Rich narrows no column that is, but cuts whole lines, without a mark.
            header.no_wrap = not wrap
            made.add_column(header, overflow="fold" if wrap else "ellipsis", max_width=width_max)
        else:
            made.add_column(header, no_wrap=True, min_width=max((row[0].cell_len for row in filled), default=0))
    for row in filled:
        made.add_row(*row)
    return made


def _is_squeezed(table: "drawing.Table", console: "drawing.Console") -> bool:
    """Whether the longest words of its columns have no room beside one another; of two columns, one has."""
    if console.width >= _NARROW or len(table.columns) < 3:
        return False
    wide = console.options.update_width(_WIDE)  # a measure is never more than what there is
    return console.measure(table, options=wide).minimum > console.width


def _one_below_another(table: "drawing.Table") -> "drawing.Text":
    """The table for a terminal in which its words have no room beside one another: a line a cell, a block a row."""
    headers = [str(column.header) for column in table.columns]
    blocks = []
    for row in zip(*(column.cells for column in table.columns), strict=True):
        named = [(header, each) for header, each in zip(headers, row, strict=True) if str(each)]
        lines = [drawing.Text.assemble((f"{header}: " if header else "", "bold"), each) for header, each in named]
        blocks.append(drawing.Text("\n").join(lines))
    return drawing.Text("\n\n").join(blocks)


def cell(value: "str | drawing.Text", *, wrap: bool = False) -> "drawing.Text":
    """A safe cell."""
    if isinstance(value, drawing.Text):
        return value
    return drawing.Text(safe_text.lines(value)) if wrap else drawing.Text(safe_text.one_line(value), no_wrap=True)


def _console(*, stderr: bool) -> "drawing.Console":
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else _PIPE_WIDTH
    return drawing.Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)


def _never_fail_to_encode(stream: IO[str]) -> None:
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
