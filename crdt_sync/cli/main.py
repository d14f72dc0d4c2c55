"""The command `crdt-sync`: its global options, and what becomes of errors.

Exit codes: 0 done; 1 unexpected failure; 2 wrong usage or value; 3 the store; 4 the relay, a device, or the way to it;
5 a record was refused; 6 two replicas differ; 7 some rows of a table, or records of a bundle, were left out;
130 interrupted; 141 the reader of the output has gone.
"""

import errno
import itertools
import sys
import traceback
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click
from click.core import ParameterSource

from crdt_sync.cli.commands import HELP, Commands, run
from crdt_sync.cli.hints import with_store
from crdt_sync.cli.invocation import STORE_VARIABLE, Invocation, StoredEdits, default_store
from crdt_sync.cli.options import PATH
from crdt_sync.cli.output import PIPE_CLOSED, Output, PipeClosed, check_streams, not_written, silence
from crdt_sync.errors import CrdtSyncError, EditNotReported, OutputNotWritten
from crdt_sync.starting import INTERRUPTED

_FLAGS = frozenset({"--json", "--debug"})
_EXIT_CODES = (
    "Exit codes: 0 done, 1 failure, 2 usage, 3 store, 4 relay or device, 5 refused, 6 replicas differ, "
    "7 something left out. --json, --store and --debug may stand anywhere on the line."
)


_COMMANDS = {  # in the order of the help: modules of this package, and what they call the command
    "init": "setup:init",
    "relay": "setup:relay",
    "schema": "setup:schemas",
    "set": "editing:set_fields",
    "delete": "editing:delete",
    "restore": "editing:restore",
    "resolve": "editing:resolve",
    "get": "reading:get",
    "list": "reading:list_records",
    "find": "reading:find",
    "conflicts": "conflicts:conflicts",
    "duplicates": "duplicates:duplicates",
    "refused": "refusals:refused",
    "import": "tables:import_file",
    "export": "tables:export_file",
    "sync": "syncing:sync",
    "up": "background:up",
    "down": "background:down",
    "space": "space:spaces",
    "listen": "listening:listen",
    "peers": "listening:peers",
    "token": "listening:token",
    "bundle": "bundles:bundles",
    "status": "status:status",
    "verify": "verifying:verify",
    "demo": "demo:demo",
}


class Unexpected(CrdtSyncError):
    """A failure that the program was not made for."""

    code = "unexpected"


@click.group(
    cls=Commands,
    later={name: f"crdt_sync.cli.{place}" for name, place in _COMMANDS.items()},
    invoke_without_command=True,
    epilog=_EXIT_CODES,
    context_settings=HELP,
)
@click.option(
    "--store",
    type=PATH,
    envvar=STORE_VARIABLE,
    show_envvar=True,
    show_default="~/.local/share/crdt-sync",
    metavar="DIR",
    help="Directory of the store.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line, for programs.")
@click.option("--debug", is_flag=True, help="Show where in the program an unexpected error came from.")
@click.option("--version", "show_version", is_flag=True, help="Print the version and exit.")
@click.pass_context
def application(
    context: click.Context,
    store: Path | None,
    as_json: bool,
    debug: bool,  # noqa: ARG001 - read by `main`, which prints errors
    show_version: bool,
) -> None:
    """Customer records that converge: edit them offline on many devices, sync them through a relay or directly."""
    given = context.get_parameter_source("store") is ParameterSource.COMMANDLINE
    output = _output(str(store) if given else None, as_json=as_json)
    context.obj = Invocation((store or default_store()).expanduser(), output, context.obj or StoredEdits())
    if show_version:
        from crdt_sync.version import installed  # noqa: PLC0415 - no other command needs it

        found = installed()
        output.result({"version": found.number, "compiled": found.compiled}, f"crdt-sync {found}")
        raise click.exceptions.Exit
    if context.invoked_subcommand is None:
        sys.stdout.write(context.get_help().rstrip("\n") + "\n")


def _output(store: str | None, *, as_json: bool) -> Output:
    """Where hints name the store that was given on the command line."""
    complete = str if store is None else partial(with_store, store=store, commands=_COMMANDS)
    return Output(as_json=as_json, complete=complete)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code and never raises. `arguments` without the program's name."""
    given = hoisted(sys.argv[1:] if arguments is None else arguments)
    flags = list(itertools.takewhile(_FLAGS.__contains__, given))
    as_json, debug = "--json" in flags, "--debug" in flags
    output = _output(_given_store(given[len(flags) :]), as_json=as_json)
    stored = StoredEdits()
    try:
        check_streams()
        code = _run(given, stored, output, debug=debug)
        output.flush()
    except (PipeClosed, BrokenPipeError):
        silence()
        if stored.records:
            error = EditNotReported("whoever was to read the output has gone", stored.advice())
            output.error(error)
        return PIPE_CLOSED
    except OutputNotWritten as error:
        silence()  # first: what is still buffered would fail again
        told = EditNotReported(error.message, stored.advice()) if stored.records else error
        output.error(told)
        return error.exit_code
    return code


def _given_store(arguments: Sequence[str]) -> str | None:
    """The last `--store` among hoisted options, as it counts."""
    store = None
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--store":
            store = next(waiting, None)
        elif argument.startswith("--store="):
            store = argument.removeprefix("--store=")
        else:
            break
    return store


def hoisted(arguments: Sequence[str]) -> list[str]:
    """`arguments` with the global options first, so that people may write them where they like."""
    flags: list[str] = []
    options: list[str] = []
    rest: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            rest += [argument, *waiting]
        elif argument in _FLAGS:
            flags.append(argument)
        elif argument == "--store":
            value = next(waiting, None)
            if value is None:
                return [*flags, argument]  # which is complained about
            options += [argument, value]
        elif argument.startswith("--store="):
            options.append(argument)
        else:
            rest.append(argument)
    return [*flags, *options, *rest]


def _run(arguments: list[str], stored: StoredEdits, output: Output, *, debug: bool) -> int:
    try:
        code = run(application, "crdt-sync", arguments, stored)
        if code == INTERRUPTED:
            output.note("Interrupted. What was stored so far is kept.")
        return code
    except KeyboardInterrupt:
        output.note("Interrupted. What was stored so far is kept.")
        return INTERRUPTED
    except OutputNotWritten:
        raise
    except CrdtSyncError as error:
        if debug:
            traceback.print_exc()
        output.error(error)
        return error.exit_code
    except (PipeClosed, BrokenPipeError, GeneratorExit):
        raise
    except OSError as error:
        if error.filename is None and error.errno == errno.ENOSPC:  # help is printed by the library below
            raise not_written(error) from None
        return _tell_unexpected(error, stored, output, debug=debug)
    except BaseException as error:  # the CRDT library panics with exceptions that are no Exception
        return _tell_unexpected(error, stored, output, debug=debug)


def _tell_unexpected(error: BaseException, stored: StoredEdits, output: Output, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    again = "Run it again with --debug, and send what it prints to the maintainers."
    hint = f"{stored.advice()} Send this to the maintainers." if stored.records else again
    output.error(Unexpected(f"an unexpected failure: {what}", hint))
    return Unexpected.exit_code


if __name__ == "__main__":
    sys.exit(main())
