"""What moves on a terminal while a session with a partner goes on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from crdt_sync.cli import drawing
from crdt_sync.cli.output import Output
from crdt_sync.runtime import Progress


@contextmanager
def spinner(output: Output, what: str) -> Iterator[Callable[[Progress], None] | None]:
    """Show `what` and how far it has come. Gives what hears of the progress, None where nothing may move."""
    if not output.animated:
        yield None
        return
    text = drawing.Text(what)
    with drawing.Live(drawing.Spinner("dots", text), console=output.errors, refresh_per_second=12, transient=True):

        def moved(progress: Progress) -> None:
            text.plain = f"{what}: {moving(progress)}"

        yield moved


def moving(progress: Progress) -> str:
    """Both directions, and how much of everything both sides hold."""
    done = "" if progress.percent is None else f"{progress.percent} %, "
    still = "" if not progress.to_send else f" ({progress.to_send} to go)"
    behind = "" if not progress.to_fetch else f" (at most {progress.to_fetch} to go)"
    return f"{done}{progress.received} received{behind}, {progress.pushed} sent{still}"
