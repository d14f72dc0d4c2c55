"""The command `crdt-relay`: run a relay and look after its data.

Exit codes: 0 done; 1 unexpected failure; 2 wrong usage or settings; 3 the store; 6 the store is damaged;
130 interrupted; 141 the reader of the output has gone.
"""

import errno
import os
import shlex
import socket
import sys
import traceback
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from crdt_relay import maintenance, running
from crdt_relay.options import data_options, json_option, serve_options
from crdt_relay.server import Relay
from crdt_relay.settings import Settings, check_token, load
from crdt_sync.cli import aside
from crdt_sync.cli.commands import HELP, Commands, run
from crdt_sync.cli.options import PATH
from crdt_sync.cli.output import PIPE_CLOSED, Output, PipeClosed, check_streams, not_written, silence, table
from crdt_sync.errors import CrdtSyncError, EditsLost, OutputNotWritten, UsageError
from crdt_sync.starting import INTERRUPTED
from crdt_sync.version import installed

DAMAGED = 6
_NAMED_MAX = 20
_MIB = 1024 * 1024


@click.group(
    cls=Commands,
    later={
        "policy": "crdt_relay.policy_command:policy",
        "review": "crdt_relay.review_command:review",
        "space": "crdt_relay.space_command:space",
        "audit": "crdt_relay.audit_command:audit",
        "usage": "crdt_relay.usage_command:usage_of",
        **{name: f"crdt_relay.people_command:{name}" for name in ("invite", "device", "user", "key")},
    },
    invoke_without_command=True,
    epilog="Exit codes: 0 done, 1 failure, 2 usage or settings, 3 store, 6 store damaged. See docs/operating.md.",
    context_settings=HELP,
)
@click.option("--version", "show_version", is_flag=True, help="Print the version and exit.")
@click.pass_context
def app(context: click.Context, show_version: bool) -> None:
    """The relay that devices sync through: 'crdt-relay serve' runs one, with no configuration at all."""
    if show_version:
        sys.stdout.write(f"crdt-relay {installed()}\n")
        raise click.exceptions.Exit
    if context.invoked_subcommand is None:
        sys.stdout.write(context.get_help().rstrip("\n") + "\n")


@app.command("serve")
@serve_options
@click.option("--host", metavar="ADDRESS", show_default="127.0.0.1", help="Address to listen on.")
@click.option("--port", type=int, metavar="N", show_default="8765", help="Port to listen on; 0 takes a free one.")
@click.option(
    "--token", metavar="TOKEN", help="What devices must present. Other users may see it here: prefer --token-file."
)
@click.option("--token-file", type=PATH, metavar="FILE", help="File that holds the token.")
@click.option("--tls-certificate", type=PATH, metavar="FILE", help="Certificate chain, PEM.")
@click.option("--tls-key", type=PATH, metavar="FILE", help="Private key of the certificate, PEM.")
@click.option("--key-file", type=PATH, metavar="FILE", help="Key of the space, where it has identities.")
@click.option(
    "--proxy-certificate",
    type=PATH,
    metavar="FILE",
    help="Certificate, PEM, of a proxy that ends TLS before the relay.",
)
@click.option("--address", metavar="URL", help="Address that invites name, ws:// or wss://.")
@click.option("--store-key-file", type=PATH, metavar="FILE", help="Key of the encrypted store; see 'encrypt'.")
@click.option("--sessions-max", type=int, metavar="N", show_default="10000", help="Devices connected at the same time.")
@click.option(
    "--ping-interval",
    type=float,
    metavar="SECONDS",
    show_default="20",
    help="Silence after which a device is asked whether it lives, 1 to 20: for proxies with little patience.",
)
@click.option("--metrics/--no-metrics", default=None, show_default="metrics", help="Serve metrics and probes.")
@click.option("--metrics-host", metavar="ADDRESS", show_default="127.0.0.1", help="Address of the metrics.")
@click.option(
    "--metrics-port", type=int, metavar="N", show_default="8766", help="Port of the metrics; 0 takes a free one."
)
@click.option("--log-format", metavar="console|json", show_default="console", help="console or json.")
@click.option("--log-level", metavar="LEVEL", show_default="info", help="debug, info, warning or error.")
@click.option("--show-config", is_flag=True, help="Print every setting with where it came from, and exit.")
@json_option
def serve(
    config: Path | None,
    data: Path | None,
    host: str | None,
    port: int | None,
    token: str | None,
    token_file: Path | None,
    tls_certificate: Path | None,
    tls_key: Path | None,
    key_file: Path | None,
    proxy_certificate: Path | None,
    address: str | None,
    store_key_file: Path | None,
    sessions_max: int | None,
    ping_interval: float | None,
    metrics: bool | None,
    metrics_host: str | None,
    metrics_port: int | None,
    log_format: str | None,
    log_level: str | None,
    show_config: bool,
    as_json: bool,
) -> None:
    """Run the relay until SIGTERM or Ctrl-C. Without options: on this machine only, data in your home directory.

    SIGHUP reads settings, token and certificate again.
    """
    flags = {
        "data": data,
        "host": host,
        "port": port,
        "token": token,
        "token_file": token_file,
        "tls_certificate": tls_certificate,
        "tls_key": tls_key,
        "key_file": key_file,
        "proxy_certificate": proxy_certificate,
        "address": address,
        "store_key_file": store_key_file,
        "sessions_max": sessions_max,
        "ping_interval": ping_interval,
        "metrics": metrics,
        "metrics_host": metrics_host,
        "metrics_port": metrics_port,
        "log_format": log_format,
        "log_level": log_level,
    }
    settings = load(flags, config)
    output = Output(as_json=as_json)
    if show_config:
        _show_settings(output, settings)
        return
    code = running.run(settings, lambda relay: _announce(output, relay), lambda: load(flags, config))
    raise click.exceptions.Exit(code)


@app.command("status")
@data_options
@json_option
def status(settings: Settings, as_json: bool) -> None:
    """Show how the running relay is, or what a stopped one holds."""
    found = maintenance.status(settings.data)
    _facts(Output(as_json=as_json), found)


@app.command("verify")
@data_options
@click.option(
    "--repair", "mend", is_flag=True, help="Save what is intact, begin a new epoch: devices bring back the rest."
)
@click.option(
    "--set-aside",
    multiple=True,
    metavar="RECORD",
    help="With --repair: set this one aside too, as devices say that it is wrong here.",
)
@click.option("--aside", "show_aside", is_flag=True, help="Only list the damaged values that repairs have set aside.")
@click.option("--drop", is_flag=True, help="With --aside: drop them for good.")
@json_option
def verify(
    settings: Settings,
    mend: bool,
    set_aside: Sequence[str],
    show_aside: bool,
    drop: bool,
    as_json: bool,
) -> None:
    """Check every checksum, the chain of the log, and that each record can be loaded, in a stopped store or a backup.

    For a backup: --data BACKUP.
    """
    output = Output(as_json=as_json)
    if set_aside and not mend:
        raise UsageError("nothing is set aside without --repair", "Give both, on a stopped relay with a backup.")
    if drop and not show_aside:
        raise UsageError("nothing is dropped without --aside", "Give both, on a stopped relay.")
    if show_aside:
        aside.tell(output, settings.data, drop=drop)
        return
    if mend:
        mended = maintenance.repair(settings.data, set_aside)
        _tell_repair(output, mended, set(set_aside))
        return
    report = maintenance.verify(settings.data)
    findings = report["findings"]
    if findings and not as_json:
        columns = ("where", "record", "problem")
        output.show(table(columns, [[f["place"], f["record"] or "", f["problem"]] for f in findings], wrap=True))
    text = f"{_counted(report['checked'], 'value')} checked in {report['data']}: "
    text += f"{len(findings)} damaged." if findings else "all intact."
    unloadable = report["unloadable"]
    text += f" {_counted(report['records'], 'record')} loaded, as a worker does: "
    text += f"{len(unloadable)} cannot be loaded." if unloadable else "all can be."
    if unloadable and not as_json:
        rows = [(found["record"], f"{found['bytes']:,}", found["written_by"]) for found in unloadable]
        output.show(table(("cannot be loaded", "bytes", "written by"), rows, wrap=True))
    output.result(report, text + aside.told(report["set_aside"]))
    if findings or unloadable:
        output.note(
            "Keep a copy, then 'crdt-relay verify --repair' or 'crdt-relay restore'; devices bring back what it lacks.",
            "yellow",
        )
        raise click.exceptions.Exit(DAMAGED)


def _tell_repair(output: Output, mended: Mapping[str, Any], named: Collection[str]) -> None:
    """Name what a repair could not save here. Raises `EditsLost` where there is anything."""
    lacking = sorted({*mended["incomplete"], *mended["set_aside"]} - set(named))
    text = (
        f"{_counted(mended['findings'], 'damaged value')}, {_counted(len(mended['salvaged']), 'record')} rebuilt, "
        f"{len(mended['set_aside'])} set aside."
    )
    for found in mended["unloadable"]:
        output.note(f"{found['record']} ({found['bytes']:,} bytes) cannot be loaded; written by {found['written_by']}")
    touched = mended["findings"] or mended["set_aside"]
    if mended["identity"]:
        output.note(f"The id of this relay was damaged, so it has a new one, {mended['identity']}.", "yellow")
    output.result(mended, f"{text} Start the relay: devices bring back what it lacks." if touched else text)
    for record in lacking[:_NAMED_MAX]:
        what = "lacks edits" if record in mended["incomplete"] else "is not here"
        output.note(f"{record} {what} until a device brings them", "yellow")
    if lacking:
        count = "1 record lacks" if len(lacking) == 1 else f"{len(lacking)} records lack"
        raise EditsLost(
            f"{count} edits that nothing here holds",
            "Start the relay: it compares with every device. What none of them holds is lost; a backup may have it.",
        )


@app.command("compact")
@data_options
@json_option
def compact(settings: Settings, as_json: bool) -> None:
    """Drop log entries that snapshots cover, while the relay runs or not; no device notices."""
    done = maintenance.compact(settings.data)
    dropped = "1 log entry" if done["dropped"] == 1 else f"{done['dropped']:,} log entries"
    text = f"{dropped} dropped ({_size(done['dropped_bytes'])}), {done['kept']:,} kept."
    Output(as_json=as_json).result(done, f"{text} Their room is used again; the file itself does not shrink.")


@app.command("backup")
@click.argument("destination", type=PATH, metavar="DEST", help="Directory to make.")
@data_options
@json_option
def backup(destination: Path, settings: Settings, as_json: bool) -> None:
    """Write a complete, compact copy of the store, while the relay runs or not."""
    done = maintenance.backup(settings.data, destination)
    text = f"{_counted(done['records'], 'record')} ({_size(done['bytes'])}) in {done['backup']}."
    Output(as_json=as_json).result(done, f"{text}\nCheck it with: crdt-relay verify --data {done['backup']}")


@app.command("restore")
@click.argument("source", type=PATH, metavar="SRC", help="Directory that 'crdt-relay backup' made.")
@data_options
@click.option("--replace", is_flag=True, help="Put the present store aside; it is kept.")
@json_option
def restore(source: Path, settings: Settings, replace: bool, as_json: bool) -> None:
    """Make a backup the store of a stopped relay, under a new epoch: devices bring back what it lacks."""
    done = maintenance.restore(source, settings.data, replace)
    lines = [f"Restored into {done['data']}: {_counted(done['records'], 'record')}."]
    if done["previous"]:
        lines.append(f"The store that was there is kept in {done['previous']}.")
    lines.append("Start the relay: devices compare what they hold with it, and bring back what it lacks.")
    Output(as_json=as_json).result(done, "\n".join(lines))


@app.command("encrypt")
@click.argument("key_file", type=PATH, metavar="KEYFILE", help="The key that opens it; made if it is not there.")
@data_options
@json_option
def encrypt(key_file: Path, settings: Settings, as_json: bool) -> None:
    """Encrypt the store of a stopped relay, or that of one that never ran. Cut short, it can be done again."""
    done = maintenance.encrypt(settings.data, key_file)
    text = f"The store in {done['data']} is encrypted. Serve with: crdt-relay serve --store-key-file {key_file}\n"
    Output(as_json=as_json).result(done, f"{text}Without that file nobody opens it: keep a copy of the file apart.")


@app.command("decrypt")
@data_options
@json_option
def decrypt(settings: Settings, as_json: bool) -> None:
    """Decrypt the store of a stopped relay, and destroy its key."""
    done = maintenance.decrypt(settings.data)
    Output(as_json=as_json).result(done, f"The store in {done['data']} is decrypted.")


@app.command("token")
@click.argument("file", type=PATH, required=False, help="File to write; else it is printed.")
@click.option("--force", is_flag=True, help="Replace the token in FILE.")
@click.option("--rotate", is_flag=True, help="Put a new one first, and keep the one that was: both are valid then.")
@click.option("--drop-old", is_flag=True, help="With --rotate: also where devices may still have an older one.")
@json_option
def token(file: Path | None, force: bool, rotate: bool, drop_old: bool, as_json: bool) -> None:
    """Make a strong token for devices, in a file that only you can read."""
    output = Output(as_json=as_json)
    if rotate and (force or file is None):
        raise UsageError("a token is rotated in a file, and not replaced", "crdt-relay token FILE --rotate")
    if drop_old and not rotate:
        raise UsageError("no old token is dropped without --rotate", "crdt-relay token FILE --rotate --drop-old")
    if file is None:
        made = maintenance.new_token()
        check_token(made)
        output.result({"token": made}, made)
        return
    if rotate:
        maintenance.rotate_token(file, drop_old=drop_old)
        output.result(
            {"token_file": str(file), "rotated": True},
            f"A new token is in {file}, before the old one. Have the relay read it: kill -HUP PID\n"
            "Then give devices the first line: crdt-sync token --token-file NEW.\n"
            "Once all have it, remove the second line, and kill -HUP again.",
        )
        return
    maintenance.write_token(file, force)
    output.result(
        {"token_file": str(file)},
        f"A new token is in {file}, readable by you alone.\n"
        f"Serve with it:    crdt-relay serve --host 0.0.0.0 --token-file {file}\n"
        f"Join a device:    crdt-sync init --relay ws://{socket.gethostname()}:8765 --token-file {file}",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code and never raises. `arguments` without the program's name."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in given
    try:
        check_streams()
        output = Output(as_json=as_json)
        code = _run(given, output)
        output.flush()
    except (PipeClosed, BrokenPipeError):
        silence()
        return PIPE_CLOSED
    except OutputNotWritten as error:
        silence()  # first: what is still buffered would fail again
        Output(as_json=as_json).error(error)
        return error.exit_code
    return code


def _run(arguments: list[str], output: Output) -> int:
    try:
        return run(app, "crdt-relay", arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
    except OutputNotWritten:
        raise
    except CrdtSyncError as error:
        output.error(error)
        return error.exit_code
    except (PipeClosed, BrokenPipeError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.filename is None and error.errno == errno.ENOSPC:
            raise not_written(error) from None  # help is printed by the library below
        if os.environ.get("CRDT_RELAY_DEBUG"):
            traceback.print_exc()
        what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        hint = "Run it again with CRDT_RELAY_DEBUG=1, and send what it prints to the maintainers."
        output.error(CrdtSyncError(f"an unexpected failure: {what}", hint))
        return CrdtSyncError.exit_code


def _announce(output: Output, relay: Relay) -> None:
    """Say that devices can connect, and how."""
    url = relay.url
    if relay.settings.host in {"0.0.0.0", "::"}:
        url = url.replace("[::]", "0.0.0.0").replace("0.0.0.0", socket.gethostname())
    secret = relay.settings.token_file
    proof = f" --token-file {secret}" if secret else " --token TOKEN" if relay.settings.token else ""
    data = {
        "event": "ready",
        "url": url,
        "metrics_url": relay.metrics_url,
        "data": str(relay.store.path),
        "pid": os.getpid(),
    }
    lines = [f"Listening on {url}, data in {relay.store.path}"]
    if relay.metrics_url:
        lines.append(f"Metrics on {relay.metrics_url}/metrics, probes on /healthz and /readyz")
    identities = relay.people is not None and relay.people.authority is not None
    joining = "crdt-relay invite USER" if identities else f"crdt-sync init --relay {url}{proof}"
    lines += [f"Join a device:  {joining}", "Stop with Ctrl-C."]
    output.result(data, "\n".join(lines))
    output.flush()


def _show_settings(output: Output, settings: Settings) -> None:
    rows = settings.shown()
    if output.as_json:
        output.emit({name: {"value": value, "source": source} for name, value, source in rows})
    else:
        output.show(table(("setting", "value", "source"), rows, wrap=True))
    for warning in settings.warnings():
        output.note(warning, "yellow")


def _facts(output: Output, found: Mapping[str, Any]) -> None:
    if output.as_json:
        output.emit(found)
        return
    rows = [[_label(name), _shown(name, value)] for name, value in found.items() if value not in (None, "", [])]
    output.show(table(("relay", "running" if found["running"] else "stopped"), rows[1:], wrap=True))


def _label(name: str) -> str:
    return {"store_bytes": "store", "copies": "before its upgrade", "uptime_s": "up for", "metrics_url": "metrics"}.get(
        name, name.replace("_", " ")
    )


def _shown(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "copies":
        removed = " ".join(shlex.quote(each) for each in value)
        return f"{', '.join(value)}; when no earlier release is needed any more: rm -r {removed}"
    if isinstance(value, Mapping):
        return ", ".join(f"{count:,} {key}" for key, count in value.items() if count) or "none"
    if name == "store_bytes":
        return _size(value)
    if name == "uptime_s":
        return f"{value // 86_400} d {value // 3600 % 24:02}:{value // 60 % 60:02}:{value % 60:02}"
    return f"{value:,}" if isinstance(value, int) and name != "pid" else str(value)


def _counted(count: int, what: str) -> str:
    return f"1 {what}" if count == 1 else f"{count:,} {what}s"


def _size(count: int) -> str:
    return f"{count / _MIB:,.1f} MiB"


if __name__ == "__main__":
    sys.exit(main())
