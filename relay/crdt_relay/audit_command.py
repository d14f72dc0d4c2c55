"""`crdt-relay audit`: who did what, whether the log of it is whole, and what to keep elsewhere."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from crdt_relay import auditing
from crdt_relay.options import data_options, json_option, space_options
from crdt_relay.settings import Settings
from crdt_sync.audit_log.asking import Asked
from crdt_sync.audit_log.checkpoint import Checkpoint, read_checkpoint
from crdt_sync.audit_log.entry import Act
from crdt_sync.cli import safe_text
from crdt_sync.cli.commands import Commands
from crdt_sync.cli.options import PATH
from crdt_sync.cli.output import Output, table
from crdt_sync.errors import InvalidCheckpoint, UsageError
from crdt_sync.files import created
from crdt_sync.key_files import read_key

TAMPERED = 6
_SHOWN = 50
_US = 1_000_000


@click.group("audit", cls=Commands, invoke_without_command=True)
@data_options
@click.option("--who", default="", metavar="USER", help="What this user did, or brought.")
@click.option("--device", default="", metavar="ID", help="What this device did: its id, or how that begins.")
@click.option("--when", default="", metavar="FROM..TO", help="UTC: 2026-11-30, 2026-11-30T10..2026-11-30T12, 7d.")
@click.option("--record", default="", metavar="RECORD", help="What was done to this record, or 'customers' for all.")
@click.option("--field", default="", metavar="NAME", help="Changes of this field, where fields are known.")
@click.option("--act", type=click.Choice([act.value for act in Act]), help="Only acts of this kind.")
@click.option("--refused", is_flag=True, help="Only what was refused.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), metavar="N", default=_SHOWN, show_default=True, help="At most so many."
)
@click.option("--before", type=click.IntRange(1), metavar="N", help="Go on before this entry.")
@json_option
@click.pass_context
def audit(
    context: click.Context,
    settings: Settings,
    who: str,
    device: str,
    when: str,
    record: str,
    field: str,
    act: str | None,
    refused: bool,
    limit: int,
    before: int | None,
    as_json: bool,
) -> None:
    """Show who did what, the newest first, while the relay runs or not."""
    if context.invoked_subcommand is not None:
        _check_no_place(context)
        return
    since, until = _times(when)
    kind = None if act is None else Act(act)
    asked = Asked(who, _device(device), since, until, record, field, kind, refused)
    found = auditing.search(settings.data, asked, limit, before or auditing.NEWEST)
    output = Output(as_json=as_json)
    if as_json:
        for entry in found["entries"]:
            output.emit(entry)
    elif found["entries"]:
        columns = ("entry", "when (UTC)", "act", "who", "from", "record", "said")
        output.show(table(columns, [_row(entry) for entry in found["entries"]], wrap=True))
    else:
        output.note("Nothing that was asked for is in the audit log.")
    if found["next"]:
        output.note(f"There is more: --before {found['next']}")


@audit.command("verify")
@data_options
@click.option("--against", type=PATH, metavar="CHECKPOINT", help="A file that 'audit checkpoint' wrote.")
@click.option("--key-file", type=PATH, metavar="FILE", help="The key that signed it, PEM.")
@json_option
def verify(settings: Settings, against: Path | None, key_file: Path | None, as_json: bool) -> None:
    """Tell whether the log is whole and unchanged; with a checkpoint, also whether its end was cut or it was rewritten.

    Without --key-file a checkpoint may be signed by anybody: compare the name of its key.
    """
    trusted = read_key(key_file).public if key_file is not None else None
    checkpoint = _read(against) if against is not None else None
    report = auditing.verify(settings.data, checkpoint, trusted)
    flaws, cut = report["flaws"], report["cut"]
    output = Output(as_json=as_json)
    if flaws and not as_json:
        output.show(table(("entry", "problem"), [[str(f["entry"]), f["problem"]] for f in flaws], wrap=True))
    text = f"{report['entries']:,} entries in {report['data']}, the last is {report['last']:,}: "
    text += f"{len(flaws)} problems." if flaws else "each is linked to the one before."
    if cut is not None:
        by = f"signed by {cut['signed_by']}" if cut["signed_by"] else "not signed"
        text += f" Entries 1 to {cut['to']:,} were dropped on {_when(cut['at_us'])}, {by}."
    if checkpoint is not None:
        text += f" Compared with entry {checkpoint.number:,} as {checkpoint.kid or 'nobody'} signed it."
    output.result(report, text)
    if checkpoint is None and not flaws:
        output.note("Only a checkpoint that was kept elsewhere shows whether the end is missing: --against FILE.")
    if flaws:
        output.note("Keep a copy of the directory. Entries that are missing may be in a backup.", "yellow")
        raise click.exceptions.Exit(TAMPERED)


@audit.command("checkpoint")
@click.argument("file", type=PATH, required=False, metavar="[FILE]")
@space_options
@json_option
def checkpoint(file: Path | None, settings: Settings, as_json: bool) -> None:
    """Sign how the log ends now, to be kept where nobody who can write to the relay's disk can write.

    To a new FILE, or printed.
    """
    if not settings.space_key.exists():
        raise UsageError(
            f"a checkpoint is signed with the space's key, and there is none in {settings.space_key}",
            "Name it: --key-file FILE.",
        )
    made = auditing.sign(settings.data, read_key(settings.space_key))
    output = Output(as_json=as_json)
    if file is None:
        output.result(json.loads(made.text), made.text)
        return
    try:
        with created(file) as stream:
            stream.write(made.text.encode() + b"\n")
    except FileExistsError:
        raise UsageError(f"{file} exists already", "Name a new file.") from None
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}", "Name a file in a directory of yours.") from error
    text = f"Entry {made.number:,}, signed by {made.kid}, in {file}. Keep it on another machine."
    output.result({"checkpoint": str(file), "entry": made.number, "signed_by": made.kid}, text)


@audit.command("export")
@click.argument("file", type=PATH, metavar="FILE")
@data_options
@json_option
def export(file: Path, settings: Settings, as_json: bool) -> None:
    """Write all entries to a new FILE, the oldest first, one JSON object a line."""
    count = auditing.export(settings.data, file)
    Output(as_json=as_json).result({"file": str(file), "entries": count}, f"{count:,} entries in {file}.")


def _check_no_place(context: click.Context) -> None:
    """Raise `UsageError` for what would be passed over: a command below this one says itself which log it is of."""
    for name in ("space", "data", "config"):
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            command = context.invoked_subcommand
            raise UsageError(f"--{name} is of another command there", f"crdt-relay audit {command} --{name} ...")


def _read(path: Path) -> Checkpoint:
    try:
        return read_checkpoint(path.read_text("utf-8").strip())
    except OSError as error:
        raise InvalidCheckpoint(f"{path} cannot be read: {error.strerror}", "Check the path.") from None
    except UnicodeDecodeError:
        raise InvalidCheckpoint(f"{path} is not text", "Give the file that 'audit checkpoint' wrote.") from None


def _device(given: str) -> bytes:
    try:
        return bytes.fromhex(given)
    except ValueError:
        raise UsageError(f"--device {given!r}: an id is an even number of hexadecimal digits", _SHOW_ALL) from None


_SHOW_ALL = "'crdt-relay audit --json' shows whole ids."


def _times(when: str) -> tuple[int, int]:
    """From and to, microseconds since 1970: `FROM..TO`, either may be empty; one time alone is all of its day, hour…"""
    everything = Asked()
    begin, dots, end = when.partition("..")
    if begin.endswith("d") and begin[:-1].isdigit() and not dots:
        return auditing.now_us() - min(int(begin[:-1]), 36_500) * 86_400 * _US, everything.until
    since, lasts = _time(begin) if begin else (everything.since, timedelta())
    if not dots:
        return (since, since + lasts // timedelta(microseconds=1)) if begin else (since, everything.until)
    until, lasts = _time(end) if end else (everything.until, timedelta())
    return since, until + lasts // timedelta(microseconds=1)


_FORMS = {
    "%Y-%m-%d": timedelta(days=1),
    "%Y-%m-%dT%H": timedelta(hours=1),
    "%Y-%m-%dT%H:%M": timedelta(minutes=1),
    "%Y-%m-%dT%H:%M:%S": timedelta(seconds=1),
}


def _time(text: str) -> tuple[int, timedelta]:
    """When that begins, and how long it lasts."""
    for form, lasts in _FORMS.items():
        try:
            found = datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
        return max(0, int(found.timestamp())) * _US, lasts
    raise UsageError(f"--when: {text!r} is no time", "Give UTC: 2026-11-30, 2026-11-30T10:15, or 7d for a week.")


def _when(at_us: int) -> str:
    try:
        return datetime.fromtimestamp(at_us // _US, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return str(at_us)


def _row(entry: dict[str, Any]) -> list[str]:
    if "act" not in entry:
        return [str(entry["entry"]), "", "cannot be read", *[""] * 4]
    who = entry["user"] + (f", brought by {entry['brought_by']}" if entry["brought_by"] else "")
    said = [
        entry["verdict"],
        ", ".join(entry["fields"]),
        entry["about"],
        f"{entry['times']:,} times" if entry["times"] != 1 else "",
    ]
    said.append("does not match its seal" if entry.get("damaged") else "")
    shown = (
        str(entry["entry"]),
        _when(entry["at_us"]),
        entry["act"],
        who,
        " ".join(part for part in (entry["device"][:8], entry["address"]) if part),
        entry["record"],
        "; ".join(part for part in said if part),
    )
    return [safe_text.one_line(text) for text in shown]
