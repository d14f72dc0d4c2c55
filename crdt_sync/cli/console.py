"""The console that draws."""

from rich.console import Console as RichConsole


class Console(RichConsole):
    """Rich's, which leaves to the caller what is to be done where nobody reads any more."""

    def on_broken_pipe(self) -> None:
        """Called while a `BrokenPipeError` is handled: raise it again."""
        raise  # noqa: PLE0704 - Rich calls this in its `except` block
