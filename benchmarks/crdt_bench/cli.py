"""The command `crdt-bench`: measures what the engine promises, and mounts the simulator and the fault campaign."""

import errno
import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from crdt_bench.experiments import (
    bundles,
    catching_up,
    grown_records,
    latency,
    long_notes,
    reconciliation,
    residency,
    start_up,
    table_import,
    throughput,
    transports,
)
from crdt_bench.experiments.reconciliation import Study
from crdt_bench.results import Outcome, machine, show, write
from crdt_sync.cli.output import Output, check_streams, not_written, silence
from crdt_sync.cli.plain_help import plain_help
from crdt_sync.errors import CrdtSyncError, OutputNotWritten, UsageError
from crdt_sync.starting import INTERRUPTED

PIPE_CLOSED = 141
_MOUNTED = {"simulate": "crdt_bench.simulator.command", "campaign": "crdt_bench.campaign.command"}


class _Group(TyperGroup):
    """Mounts the commands of the simulator and the campaign, and imports them only when they are asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Our experiments, then those of `_MOUNTED` that are there."""
        return [*super().list_commands(ctx), *filter(_is_there, _MOUNTED)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name."""
        if cmd_name in _MOUNTED and _is_there(cmd_name):
            return typer.main.get_command(importlib.import_module(_MOUNTED[cmd_name]).app)
        return super().get_command(ctx, cmd_name)


def _is_there(command: str) -> bool:
    return importlib.util.find_spec(_MOUNTED[command]) is not None


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Measure the engine on this machine: medians, beside the targets and a floor measured in the same run.",
)

Rounds = Annotated[int | None, typer.Option(min=1, help="Repetitions of each measurement.")]
Out = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Write measurements.csv and summary.json into this folder.")
]
Small = Annotated[bool, typer.Option(help="Tiny sizes: shows that everything runs, measures nothing.")]

Run = Callable[[Any], list[Outcome]]


def _measure(experiments: list[tuple[Run, Any, Any]], rounds: int | None, small: bool, out: Path | None) -> None:
    console = Console()
    facts = machine()
    outcomes: list[Outcome] = []
    for run, sizes, tiny in experiments:
        chosen = tiny if small else sizes
        if rounds is not None:
            chosen = replace(chosen, rounds=rounds)
        with console.status(f"{run.__module__.rpartition('.')[2].replace('_', ' ')} …"):
            outcomes += run(chosen)
    show(outcomes, facts, console)
    if out is not None:
        write(outcomes, facts, out)
        for run, _, _ in experiments:
            if isinstance(study := getattr(run, "__self__", None), Study):
                study.write(out)
        console.print(f"written to {out}", highlight=False)


_THROUGHPUT = (throughput.run, throughput.Sizes(), throughput.SMALL)
_LATENCY = (latency.run, latency.Sizes(), latency.SMALL)
_COLD = (catching_up.run_cold, catching_up.Sizes(), catching_up.SMALL)
_RECONNECT = (catching_up.run_reconnect, catching_up.RECONNECTS, catching_up.SMALL)
_IMPORT = (table_import.run, table_import.Sizes(), table_import.SMALL)
_BUNDLES = (bundles.run, bundles.Sizes(), bundles.SMALL)
_RECONCILE = (Study().run, reconciliation.Sizes(), reconciliation.SMALL)
_NOTES = (long_notes.run, long_notes.Sizes(), long_notes.SMALL)
_GROWN = (grown_records.run, grown_records.Sizes(), grown_records.SMALL)
_TRANSPORTS = (transports.run, transports.Sizes(), transports.SMALL)
_START_UP = (start_up.run, start_up.Sizes(), start_up.SMALL)
_MEMORY = (residency.run, residency.Sizes(), residency.SMALL)


@app.command("throughput")
def _throughput(rounds: Rounds = None, small: Small = False, out: Out = None) -> None:
    """Durable updates a second from 50 devices, beside a bare websocket forwarder."""
    _measure([_THROUGHPUT], rounds, small, out)


@app.command("latency")
def _latency(rounds: Rounds = None, small: Small = False, out: Out = None) -> None:
    """From an edit to its delivery on another device, beside one disk sync."""
    _measure([_LATENCY], rounds, small, out)


@app.command("transports")
def _transports(rounds: Rounds = None, small: Small = False, out: Out = None) -> None:
    """The same over HTTP as over websockets: from edit to delivery, and many records up and down."""
    _measure([_TRANSPORTS], rounds, small, out)


@app.command("cold-sync")
def _cold_sync(rounds: Rounds = None, small: Small = False, out: Out = None) -> None:
    """10,000 records to an empty device: seconds, and bytes on the wire."""
    _measure([_COLD], rounds, small, out)


@app.command("reconnect")
def _reconnect(rounds: Rounds = None, small: Small = False, out: Out = None) -> None:
    """Connect again after 10 of 10,000 records changed, and after none: time, round trips, bytes."""
    _measure([_RECONNECT], rounds, small, out)


@app.command("import")
def _import(rounds: Rounds = None, small: Small = False, out: Out = None) -> None:
    """Import a real table of 41,188 rows."""
    _measure([_IMPORT], rounds, small, out)


@app.command("bundles")
def _bundles(rounds: Rounds = None, small: Small = False, out: Out = None) -> None:
    """Carry 10,000 records in a file: seconds to write and to apply, and its bytes."""
    _measure([_BUNDLES], rounds, small, out)


@app.command("notes")
def _notes(rounds: Rounds = None, small: Small = False, out: Out = None) -> None:
    """Judge long notes, made up and recorded, and an edit of each: processor time beside what is allowed."""
    _measure([_NOTES], rounds, small, out)


@app.command("grown")
def _grown(rounds: Rounds = None, small: Small = False, out: Out = None) -> None:
    """A record that 200 device lives edit 100,000 times, and that is renewed as it grows: bytes over what it shows."""
    _measure([_GROWN], rounds, small, out)


@app.command("startup")
def _start_up(rounds: Rounds = None, small: Small = False, out: Out = None) -> None:
    """Processor time of commands that do little, beside a program that owns the store and alone."""
    _measure([_START_UP], rounds, small, out)


@app.command("memory")
def _memory(rounds: Rounds = None, small: Small = False, out: Out = None) -> None:
    """Resident memory and opening time with 100,000 records, on a device and on a relay with 1,000 devices."""
    _measure([_MEMORY], rounds, small, out)


@app.command("reconcile")
def _reconcile(rounds: Rounds = None, small: Small = False, out: Out = None) -> None:
    """What differs among 100,000 records: by ranges, by a plain list, by state vectors; and what the index costs."""
    _measure([_RECONCILE], rounds, small, out)


@app.command("all")
def _all(rounds: Rounds = None, small: Small = False, out: Out = None) -> None:
    """Every experiment, one after the other."""
    _measure(
        [_THROUGHPUT, _LATENCY, _COLD, _RECONNECT, _IMPORT, _BUNDLES, _NOTES, _GROWN, _RECONCILE, _MEMORY],
        rounds,
        small,
        out,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code. `arguments` without the program's name."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        check_streams()
        found = plain_help(typer.main.get_command(app)).main(given, prog_name="crdt-bench", standalone_mode=False)
        sys.stdout.flush()
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "crdt-bench"
        if message := error.format_message():  # none: nothing was asked for, and the help was shown
            Output(as_json=False).error(UsageError(message, f"See '{path} --help'."))
        return UsageError.exit_code
    except CrdtSyncError as error:
        if isinstance(error, OutputNotWritten):
            silence()  # first: what is still buffered would fail again
        Output(as_json=False).error(error)
        return error.exit_code
    except BrokenPipeError:
        silence()
        return PIPE_CLOSED
    except OSError as error:
        if error.filename is not None or error.errno != errno.ENOSPC:
            raise
        silence()  # first: what is still buffered would fail again
        Output(as_json=False).error(not_written(error))
        return UsageError.exit_code
    return found if isinstance(found, int) else 0
