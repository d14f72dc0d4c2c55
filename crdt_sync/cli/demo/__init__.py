"""`crdt-sync demo`: a relay and three devices as real processes, which edit at once, die, come back and agree."""

import signal
from typing import Annotated

import typer

from crdt_sync.cli.invocation import invocation
from crdt_sync.errors import NotOnThisSystem


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    context: typer.Context,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the stores, to look at them afterwards.")] = False,
) -> None:
    """See it work: a relay and three devices edit the same customers offline, get killed, and converge."""
    call = invocation(context)
    if not hasattr(signal, "SIGHUP"):
        raise NotOnThisSystem("the demo starts a relay, and relays run on Linux", "Use this device with a relay there.")
    from crdt_sync.cli.demo import playing  # noqa: PLC0415 - it needs what only some systems have

    playing.run(call.output, keep)
