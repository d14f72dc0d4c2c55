"""`crdt-relay usage`: what each device, user and the space have stored today, and letting one go beyond its limits."""

from typing import Any

import click

from crdt_relay import usage
from crdt_relay.options import data_options, json_option
from crdt_relay.settings import Settings
from crdt_sync.cli.commands import Commands
from crdt_sync.cli.output import Output, table

_OWNER = "'user:NAME', 'device:ID' or 'space'."


@click.group("usage", cls=Commands, invoke_without_command=True)
@data_options
@json_option
@click.pass_context
def usage_of(context: click.Context, settings: Settings, as_json: bool) -> None:
    """Show what each owner has stored today against its limits; reset one, or lift its limits for today."""
    if context.invoked_subcommand is not None:
        return
    found = usage.asked(settings, "show")
    output = Output(as_json=as_json)
    if as_json:
        output.emit(found)
        return
    if not found["counted"]:
        output.text("No quota is set, so nothing is counted: see quota_…, rate_… and store_bytes_max in the settings.")
        return
    if found["owners"]:
        output.show(table(("Owner", "Bytes", "New records", "Met today"), [_row(each) for each in found["owners"]]))
    else:
        output.text("Nothing was stored today.")
    most = found["store_bytes_max"]
    output.text(f"The store has {found['store_bytes']:,} bytes{'' if most is None else f' of {most:,}'}.")
    output.text(f"The day {found['day']} ends at {found['ends']}.")


@usage_of.command("reset")
@click.argument("owner", metavar="OWNER", help=_OWNER)
@data_options
@json_option
def reset(owner: str, settings: Settings, as_json: bool) -> None:
    """Count an owner anew from now on, as if it had stored nothing today. Devices that wait go on at once."""
    done = usage.asked(settings, "reset", owner)
    Output(as_json=as_json).result(done, f"{_called(done)} has stored nothing today, as far as limits go.")


@usage_of.command("lift")
@click.argument("owner", metavar="OWNER", help=_OWNER)
@data_options
@json_option
def lift(owner: str, settings: Settings, as_json: bool) -> None:
    """Let an owner store as much as it likes until the day is over, for a first import, say. It is counted."""
    done = usage.asked(settings, "lift", owner)
    Output(as_json=as_json).result(done, f"No limit holds for {_called(done)} before {done['until']}.")


def _row(each: dict[str, Any]) -> tuple[str, ...]:
    met = "limits are lifted" if each["lifted"] else ", ".join(each["met"])
    return (_called(each), _of(each["bytes"], each["bytes_max"]), _of(each["records"], each["records_max"]), met)


def _called(owner: dict[str, Any]) -> str:
    return f"{owner['of']}:{owner['name']}" if owner["name"] else str(owner["of"])


def _of(used: int, most: int | None) -> str:
    return f"{used:,}" if most is None else f"{used:,} of {most:,}"
