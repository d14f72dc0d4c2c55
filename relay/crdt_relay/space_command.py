"""`crdt-relay space`: the spaces that a relay hosts, each with records, people and limits of its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from crdt_relay import spaces
from crdt_relay.control import NotRunning, ask
from crdt_relay.options import json_option, relay_options
from crdt_relay.settings import Settings
from crdt_relay.space import wall_clock
from crdt_sync.cli.commands import Commands
from crdt_sync.cli.options import PATH
from crdt_sync.cli.output import Output, table
from crdt_sync.errors import UsageError
from crdt_sync.runtime.space_paths import DEFAULT, at_space

_MIB = 1024 * 1024


@click.group("space", cls=Commands, no_args_is_help=True)
def space() -> None:
    """The spaces of this relay: one for each company, of which none sees another."""


@space.command("add")
@click.argument("name", help="1 to 40 small letters, digits and hyphens.")
@click.option("--back", type=PATH, metavar="DIR", help="Put back one that 'space remove' moved there.")
@relay_options
@json_option
def add(name: str, back: Path | None, settings: Settings, as_json: bool) -> None:
    """Make a space, while the relay runs or not. It has a key of its own; a policy says who is let in."""
    where = "" if back is None else str(back.absolute())
    try:
        done: Mapping[str, Any] = ask(settings.data, "spaces", act="add", space=name, back=where)
    except NotRunning:
        done = spaces.add(settings.data, name, wall_clock, None if back is None else back.absolute())
    address = at_space(settings.address or "wss://HOST", name)
    lines = [
        f"The space {name} is in {done['data']}. Devices reach it at {address}.",
        f"Say who may do what: crdt-relay policy apply FILE --space {name}",
        f"and invite them:     crdt-relay invite USER --space {name}",
    ]
    Output(as_json=as_json).result(dict(done), "\n".join(lines if back is None else lines[:1]))


@space.command("list")
@relay_options
@json_option
def show(settings: Settings, as_json: bool) -> None:
    """List the spaces of this relay, and how they are if it runs."""
    try:
        found = ask(settings.data, "spaces", act="list")["spaces"]
    except NotRunning:
        found = [{"space": name} for name in (DEFAULT, *spaces.names(settings.data))]
    output = Output(as_json=as_json)
    if as_json:
        for each in found:
            output.emit(each)
    else:
        output.show(table(("Space", "", "Sessions", "Records", "Store"), [_row(each) for each in found], wrap=True))


@space.command("remove")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask: its devices are sent away.")
@relay_options
@json_option
def remove(name: str, yes: bool, settings: Settings, as_json: bool) -> None:
    """Close a space and move it away, while the relay runs or not. It is kept whole, and can be put back."""
    spaces.settings_of(settings, name)
    if not yes:
        raise UsageError(
            f"the devices of {name!r} are sent away then",
            f"crdt-relay space remove {name} --yes; its records are kept in another directory.",
        )
    try:
        done: Mapping[str, Any] = ask(settings.data, "spaces", act="remove", space=name)
    except NotRunning:
        done = spaces.remove(settings.data, name)
    text = (
        f"The space {name} is closed, and kept in {done['kept']}.\n"
        f"Put it back with: crdt-relay space add {name} --back {done['kept']}\n"
        "Or delete that directory: it holds all its records and its key."
    )
    Output(as_json=as_json).result(dict(done), text)


def _row(found: Mapping[str, Any]) -> tuple[str, ...]:
    if "ready" not in found:
        return (found["space"], "", "", "", "")
    standing = "ready" if found["ready"] else str(found["reason"])
    if "records" not in found:
        return (found["space"], standing, "", "", "")
    size = f"{found['store_bytes'] / _MIB:,.1f} MiB"
    return (found["space"], standing, f"{found['sessions']:,}", f"{found['records']:,}", size)
