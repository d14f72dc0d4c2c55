"""The command `crdt-bench`: measures what the engine promises, and mounts the simulator and the fault campaign."""

import errno
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from crdt_bench.experiments import (
    bundles,
    catching_up,
    disk_use,
    encryption,
    fan_out,
    following,
    granted,
    grown_records,
    holding,
    hot_record,
    identity,
    instructions,
    latency,
    long_notes,
    peers,
    policy,
    reconciliation,
    residency,
    signed_entries,
    start_up,
    table_import,
    throughput,
    transports,
    whole_device,
    workbook_passes,
    write_and_close,
)
from crdt_bench.experiments.reconciliation import Study
from crdt_bench.results import Outcome, machine, show, write
from crdt_sync.cli.commands import HELP, Commands, run
from crdt_sync.cli.options import PATH
from crdt_sync.cli.output import PIPE_CLOSED, Output, check_streams, not_written, silence
from crdt_sync.errors import CrdtSyncError, OutputNotWritten, UsageError
from crdt_sync.starting import INTERRUPTED

_MOUNTED = {
    "compare": "crdt_bench.comparing:run",
    "simulate": "crdt_bench.simulator.command:run",
    "campaign": "crdt_bench.campaign.command:run",
}

Experiment = tuple[Callable[[Any], list[Outcome]], Any, Any]  # what runs it, and its sizes: for measuring, and tiny


def _measure(experiments: Sequence[Experiment], rounds: int | None, small: bool, out: Path | None) -> None:
    console = Console()
    facts = machine()
    outcomes: list[Outcome] = []
    for measure, sizes, tiny in experiments:
        chosen = tiny if small else sizes
        if rounds is not None:
            chosen = replace(chosen, rounds=rounds)
        with console.status(f"{measure.__module__.rpartition('.')[2].replace('_', ' ')} …"):
            outcomes += measure(chosen)
    show(outcomes, facts, console)
    if out is not None:
        write(outcomes, facts, out)
        for measure, _, _ in experiments:
            if isinstance(study := getattr(measure, "__self__", None), Study):
                study.write(out)
        console.print(f"written to {out}", highlight=False)


_THROUGHPUT = (throughput.run, throughput.Sizes(), throughput.SMALL)
_FAN_OUT = (fan_out.run, fan_out.Sizes(), fan_out.SMALL)
_FOLLOWING = (following.run, following.Sizes(), following.SMALL)
_HOT_RECORD = (hot_record.run, hot_record.Sizes(), hot_record.SMALL)
_CLOSING = (write_and_close.run, write_and_close.Sizes(), write_and_close.SMALL)
_PEERS = (peers.run, peers.Sizes(), peers.SMALL)
_DISK = (disk_use.run, disk_use.Sizes(), disk_use.SMALL)
_LATENCY = (latency.run, latency.Sizes(), latency.SMALL)
_COLD = (catching_up.run_cold, catching_up.Sizes(), catching_up.SMALL)
_RECONNECT = (catching_up.run_reconnect, catching_up.RECONNECTS, catching_up.SMALL)
_IMPORT = (table_import.run, table_import.Sizes(), table_import.SMALL)
_WORKBOOK = (workbook_passes.run, workbook_passes.Sizes(), workbook_passes.SMALL)
_BUNDLES = (bundles.run, bundles.Sizes(), bundles.SMALL)
_RECONCILE = (Study().run, reconciliation.Sizes(), reconciliation.SMALL)
_NOTES = (long_notes.run, long_notes.Sizes(), long_notes.SMALL)
_GROWN = (grown_records.run, grown_records.Sizes(), grown_records.SMALL)
_TRANSPORTS = (transports.run, transports.Sizes(), transports.SMALL)
_START_UP = (start_up.run, start_up.Sizes(), start_up.SMALL)
_INSTRUCTIONS = (instructions.run, instructions.Sizes(), instructions.SMALL)
_IDENTITY = (identity.run, identity.Sizes(), identity.SMALL)
_SIGNED = (signed_entries.run, signed_entries.Sizes(), signed_entries.SMALL)
_DEVICE = (whole_device.run, whole_device.Sizes(), whole_device.SMALL)
_ENCRYPTION = (encryption.run, encryption.Sizes(), encryption.SMALL)
_POLICY = (policy.run, policy.Sizes(), policy.SMALL)
_GRANTED = (granted.run, granted.Sizes(), granted.SMALL)
_HOLDING = (holding.run, holding.Sizes(), holding.SMALL)
_MEMORY = (residency.run, residency.Sizes(), residency.SMALL)


_EXPERIMENTS: dict[str, tuple[str, Experiment]] = {
    "throughput": ("Durable updates a second from 50 devices, beside a bare websocket forwarder.", _THROUGHPUT),
    "fan-out": (
        "One device pushes as fast as it is answered, and 200 follow: deliveries a second.",
        _FAN_OUT,
    ),
    "following": (
        "1,000 devices follow and one edits 20 and 50 times a second: how long until all have each edit.",
        _FOLLOWING,
    ),
    "hot-record": ("One record that is edited without end, by one device and by ten; then it is fetched.", _HOT_RECORD),
    "latency": ("From an edit to its delivery on another device, beside one disk sync.", _LATENCY),
    "write-and-close": ("Devices push and close at once: how much of it the relay keeps.", _CLOSING),
    "transports": (
        "The same over HTTP as over websockets: from edit to delivery, and many records up and down.",
        _TRANSPORTS,
    ),
    "cold-sync": ("10,000 records to an empty device: seconds, and bytes on the wire.", _COLD),
    "reconnect": (
        "Connect again after 10 of 10,000 records changed, and after none: time, round trips, bytes.",
        _RECONNECT,
    ),
    "import": ("Import a real table of 41,188 rows.", _IMPORT),
    "device": ("Import 200,000 rows, search 100,000 records, edit a note of 400 kB.", _DEVICE),
    "workbook": ("The passes of an import over a workbook of 20,000 rows, read once and each time.", _WORKBOOK),
    "bundles": ("Carry 10,000 records in a file: seconds to write and to apply, and its bytes.", _BUNDLES),
    "notes": (
        "Judge long notes, made up and recorded, and an edit of each: processor time beside what is allowed.",
        _NOTES,
    ),
    "grown": (
        "A record that 200 device lives edit 100,000 times, and that is renewed as it grows: bytes over what it shows.",
        _GROWN,
    ),
    "startup": (
        "Processor time of commands that do little, beside a program that owns the store and alone.",
        _START_UP,
    ),
    "instructions": (
        "What an update calls on its hot paths, and its instructions where valgrind is: the same on a busy machine.",
        _INSTRUCTIONS,
    ),
    "encryption": (
        "Import, first sync, a search and bytes on the disk: an encrypted store beside a plain one.",
        _ENCRYPTION,
    ),
    "signed-entries": ("What entries take that devices sign: bytes, writing, the gate, and looking at them.", _SIGNED),
    "identity": ("What proving who one is takes: handshakes, signatures, tokens, 1,000 revoked devices.", _IDENTITY),
    "peers": (
        "Our relay beside Hocuspocus and y-websocket-server, where benchmarks/peers/install.sh has installed them.",
        _PEERS,
    ),
    "disk": ("What a record takes on the disks of relay and devices, whole and edited, and where.", _DISK),
    "memory": (
        "Resident memory and opening time with 100,000 records, on a device and on a relay with 1,000 devices.",
        _MEMORY,
    ),
    "granted": ("Single updates with a policy in force, beside the same without one, in turn.", _GRANTED),
    "holding": (
        "What devices cost that hold some of 100,000 records: a change, another grant, a first sync.",
        _HOLDING,
    ),
    "policy": (
        "Who hears of a change among 1,000 devices with their own grants, and what a change of grants moves.",
        _POLICY,
    ),
    "reconcile": (
        "What differs among 100,000 records: by ranges, by a plain list, by state vectors; and what the index costs.",
        _RECONCILE,
    ),
}


@click.group(cls=Commands, later=_MOUNTED, context_settings=HELP)
def app() -> None:
    """Measure the engine on this machine: medians, beside the targets and a floor measured in the same run."""


def _add(name: str, about: str, *experiments: Experiment) -> None:
    @app.command(name, help=about)
    @click.option("--rounds", type=click.IntRange(min=1), metavar="N", help="Repetitions of each measurement.")
    @click.option("--small", is_flag=True, help="Tiny sizes: shows that everything runs, measures nothing.")
    @click.option("--out", type=PATH, metavar="DIR", help="Write measurements.csv and summary.json into this folder.")
    def measure(rounds: int | None, small: bool, out: Path | None) -> None:
        _measure(experiments, rounds, small, out)


for _name, (_about, _experiment) in _EXPERIMENTS.items():
    _add(_name, _about, _experiment)
_add("all", "Every experiment, one after the other.", *(experiment for _, experiment in _EXPERIMENTS.values()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code. `arguments` without the program's name."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        check_streams()
        code = run(app, "crdt-bench", given)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
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
    return code
