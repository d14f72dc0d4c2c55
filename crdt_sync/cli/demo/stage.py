"""How the demo is shown: acts, steps with a tick, and tables that put the devices side by side."""

import time
from collections.abc import Mapping, Sequence

from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from crdt_sync.cli.demo.failures import DemoFailed
from crdt_sync.cli.output import Output, table
from crdt_sync.cli.safe_text import lines

_BREATH_S = 0.6  # between two acts, where somebody watches
_STYLES = ("cyan", "magenta", "yellow")


class Stage:
    """Where the demo is shown. `checks` are the statements that were found true, in order."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._began = time.monotonic()
        self.checks: list[str] = []

    @property
    def seconds(self) -> float:
        """Since the demo began."""
        return time.monotonic() - self._began

    def act(self, title: str) -> None:
        """A new part."""
        if not self._output.as_json:
            if self._output.console.is_terminal:
                time.sleep(_BREATH_S)
            self._output.text("")
            self._output.show(Rule(Text(title, style="bold"), align="left", style="dim"))

    def tell(self, text: str, style: str = "") -> None:
        """Something that happens."""
        if not self._output.as_json:
            self._output.text(f"  {text}", style)
            self._output.flush()

    def kill(self, text: str) -> None:
        """Something that dies."""
        self.tell(f"✗ SIGKILL  {text}", "bold red")

    def check(self, holds: bool, statement: str, found: object = "") -> None:
        """Show that `statement` is true. Raises `DemoFailed` with what was `found` when it is not."""
        self.check_quietly(holds, statement, found)
        self.tell(f"✓ {statement}", "green")

    def check_quietly(self, holds: bool, statement: str, found: object = "") -> None:
        """`check` without a line of its own."""
        if not holds:
            raise DemoFailed(f"this should be true and is not: {statement}", f"Found: {found}" if found != "" else "")
        self.checks.append(statement)

    def side_by_side(self, names: Sequence[str], rows: Sequence[tuple[str, Mapping[str, str]]]) -> None:
        """What each device has in some places: one row a place, one column a device."""
        if self._output.as_json:
            return
        made = table(["", *names], [[place, *(values[name] for name in names)] for place, values in rows], wrap=True)
        for column, style in zip(made.columns[1:], _STYLES, strict=False):
            column.header_style = f"bold {style}"
        self._show(made)

    def conflicts(self, found: Sequence[tuple[str, str, str, str, str, bool]]) -> None:
        """Conflicts as rows of (customer, field, value, by, when, shown)."""
        rows: list[list[str | Text]] = [
            [customer, field, Text(lines(value), style="bold" if shown else ""), by, when]
            for customer, field, value, by, when, shown in found
        ]
        if not self._output.as_json:
            self._show(table(("Customer", "Field", "Value", "By", "When, UTC"), rows, wrap=True))

    def receipts(self, rows: Sequence[tuple[str, str, str]]) -> None:
        """Receipts as rows of (who, records, root digest)."""
        if not self._output.as_json:
            self._show(table(("Receipt of", "Records", "Root digest of all records"), rows, wrap=True))

    def _show(self, made: Table) -> None:
        self._output.text("")
        self._output.show(made)
        self._output.text("")
