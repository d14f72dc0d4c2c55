"""`crdt-sync space`: whose records a store holds, and how it goes over to another space on purpose."""

import asyncio
import sys
from pathlib import Path

import click

from crdt_sync.cli import partners
from crdt_sync.cli.commands import Commands
from crdt_sync.cli.invocation import Invocation, invocation
from crdt_sync.cli.options import Way, authorities_option, token_options
from crdt_sync.cli.output import Output
from crdt_sync.cli.progress import spinner
from crdt_sync.errors import UsageError
from crdt_sync.replica import Replica
from crdt_sync.runtime import sync_once


@click.group("space", cls=Commands, invoke_without_command=True)
@click.pass_context
def spaces(context: click.Context) -> None:
    """Show the space that this store belongs to, or move to another.

    A space is a set of records and all who share it. A store joins that of the first relay that it syncs with, and
    gives nothing to a relay of another one.
    """
    if context.invoked_subcommand is not None:
        return
    call = invocation(context)
    with call.open() as replica:
        space = replica.store.space
    text = (
        f"Space {space.id.hex()}"
        if space.joined
        else "This store has joined no space yet; its first sync with a relay joins one."
    )
    call.output.result({"space": space.id.hex() if space.joined else None}, text)


@spaces.command("move")
@click.argument("url", help="A relay of the other space, ws:// or wss://.")
@token_options
@authorities_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def move(call: Invocation, url: str, token: str | None, authorities: Path | None, yes: bool) -> None:
    """Give all that this store holds to another space, take what is there, and sync with that relay from now on."""
    with call.open() as replica:
        address = partners.chosen(call.store, url, Way(token, authorities, new_relay=True))
        assert address is not None, "it was named"
        _tell(call.output, replica, address.url)
        if not yes and not _agreed(call.output):
            raise UsageError("nothing was moved", "Say --yes, or type it when you are asked.")
        before = replica.store.space
        with spinner(call.output, f"Moving to {address.url}") as moved:
            progress = asyncio.run(sync_once(replica, address, moved))
        after = replica.store.space
        partners.save(call.store, address)
    call.output.result(
        {"space": after.id.hex(), "before": before.id.hex() if before.joined else None, "relay": address.url}
        | {"pushed": progress.pushed, "received": progress.received},
        f"This store belongs to space {after.id.hex()} now, and syncs with {address.url}.",
    )


def _tell(output: Output, replica: Replica, url: str) -> None:
    count = replica.count()
    many = "1 record" if count == 1 else f"{count} records"
    output.note(
        f"All that this store holds, {many}, deleted ones included, and its schemas, goes to the relay at {url} and "
        "everybody who syncs there; all that is there comes here. What the relay of before holds stays there; nothing "
        "takes this back."
    )


def _agreed(output: Output) -> bool:
    if not output.can_ask:
        return False
    output.note("Type yes to move, or anything else to stop.")
    return sys.stdin.readline().strip().lower() == "yes"
