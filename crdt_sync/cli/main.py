"""The command `crdt-sync`: its global options, and what becomes of errors.

Exit codes: 0 done; 1 unexpected failure; 2 wrong usage or value; 3 the store; 4 the relay, a device, or the way to it;
5 a record was refused; 6 two replicas differ; 7 some rows of a table, or records of a bundle, were left out;
130 interrupted; 141 the reader of the output has gone.
"""

import errno
import importlib
import itertools
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from crdt_sync.cli.invocation import STORE_VARIABLE, Invocation, StoredEdits, default_store
from crdt_sync.cli.output import Output, PipeClosed, check_streams, not_written, silence
from crdt_sync.cli.plain_help import plain_help
from crdt_sync.errors import CrdtSyncError, EditNotReported, OutputNotWritten, UsageError
from crdt_sync.starting import INTERRUPTED, imported

PIPE_CLOSED = 141
_FLAGS = frozenset({"--json", "--debug"})
_ABOUT = "Customer records that converge: edit them offline on many devices, sync them through a relay or directly."
_EXIT_CODES = (
    "Exit codes: 0 done, 1 failure, 2 usage, 3 store, 4 relay or device, 5 refused, 6 replicas differ, "
    "7 something left out. --json, --store and --debug may stand anywhere on the line."
)


_PARTS = {  # modules of this package, in the order of the help, and the commands that each adds
    "setup": ("init", "relay", "schema"),
    "editing": ("set", "delete", "restore", "resolve"),
    "reading": ("get", "list", "find"),
    "conflicts": ("conflicts",),
    "duplicates": ("duplicates",),
    "tables": ("import", "export"),
    "syncing": ("sync",),
    "background": ("up", "down"),
    "space": ("space",),
    "listening": ("listen", "peers", "token"),
    "bundles": ("bundle",),
    "status": ("status",),
    "verifying": ("verify",),
    "demo": ("demo",),
}


class Unexpected(CrdtSyncError):
    """A failure that the program was not made for."""

    code = "unexpected"


def application(command: str | None = None) -> typer.Typer:
    """The program with this command, or with all: what one command needs is imported in half the time."""
    app = typer.Typer(
        name="crdt-sync",
        help=_ABOUT,
        epilog=_EXIT_CODES,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(_options)
    for part in [part for part, commands in _PARTS.items() if command in commands] or _PARTS:
        importlib.import_module(f"crdt_sync.cli.{part}").register(app)
    return app


def _options(
    context: typer.Context,
    store: Annotated[
        Path | None,
        typer.Option(
            envvar=STORE_VARIABLE,
            show_default="~/.local/share/crdt-sync",
            help="Directory of the store.",
            metavar="DIR",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line, for programs.")] = False,
    debug: Annotated[  # noqa: ARG001 - read by `main`, which prints errors
        bool, typer.Option("--debug", help="Show where in the program an unexpected error came from.")
    ] = False,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    output = Output(as_json=as_json)
    context.obj = Invocation((store or default_store()).expanduser(), output, context.obj or StoredEdits())
    if show_version:
        from importlib.metadata import version  # noqa: PLC0415 - no other command needs it

        number = version("crdt-sync")
        output.result({"version": number}, f"crdt-sync {number}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        sys.stdout.write(context.get_help().rstrip("\n") + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code and never raises. `arguments` without the program's name."""
    given = hoisted(sys.argv[1:] if arguments is None else arguments)
    flags = list(itertools.takewhile(_FLAGS.__contains__, given))
    as_json, debug = "--json" in flags, "--debug" in flags
    stored = StoredEdits()
    try:
        check_streams()
        code = _run(given, stored, as_json=as_json, debug=debug)
        Output(as_json=as_json).flush()
    except (PipeClosed, BrokenPipeError):
        silence()
        if stored.records:
            error = EditNotReported("whoever was to read the output has gone", stored.advice())
            Output(as_json=as_json).error(error)
        return PIPE_CLOSED
    except OutputNotWritten as error:
        silence()  # first: what is still buffered would fail again
        told = EditNotReported(error.message, stored.advice()) if stored.records else error
        Output(as_json=as_json).error(told)
        return error.exit_code
    return code


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


def _command(arguments: Sequence[str]) -> str | None:
    """The command of `hoisted` arguments, if the first behind the global options can be one."""
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--store":
            next(waiting, None)
        elif argument not in _FLAGS and not argument.startswith("--store="):
            return argument
    return None


def _run(arguments: list[str], stored: StoredEdits, *, as_json: bool, debug: bool) -> int:
    try:
        command = plain_help(typer.main.get_command(application(_command(arguments))))
        imported()
        found = command.main(arguments, prog_name="crdt-sync", standalone_mode=False, obj=stored)
        code = found if isinstance(found, int) else 0
        if code == INTERRUPTED:
            Output(as_json=as_json).note("Interrupted. What was stored so far is kept.")
        return code
    except (typer.Abort, KeyboardInterrupt):
        Output(as_json=as_json).note("Interrupted. What was stored so far is kept.")
        return INTERRUPTED
    except OutputNotWritten:
        raise
    except CrdtSyncError as error:
        if debug:
            traceback.print_exc()
        Output(as_json=as_json).error(error)
        return error.exit_code
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "crdt-sync"
        if message := error.format_message():  # none: nothing was asked for, and the help was shown
            Output(as_json=as_json).error(UsageError(message, f"See '{path} --help'."))
        return UsageError.exit_code
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # so the library below ends where the reader of help has gone
            raise PipeClosed from None
        raise
    except (PipeClosed, BrokenPipeError, GeneratorExit):
        raise
    except OSError as error:
        if error.filename is None and error.errno == errno.ENOSPC:  # help is printed by the library below
            raise not_written(error) from None
        return _tell_unexpected(error, stored, as_json=as_json, debug=debug)
    except BaseException as error:  # the CRDT library panics with exceptions that are no Exception
        return _tell_unexpected(error, stored, as_json=as_json, debug=debug)


def _tell_unexpected(error: BaseException, stored: StoredEdits, *, as_json: bool, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    again = "Run it again with --debug, and send what it prints to the maintainers."
    hint = f"{stored.advice()} Send this to the maintainers." if stored.records else again
    Output(as_json=as_json).error(Unexpected(f"an unexpected failure: {what}", hint))
    return Unexpected.exit_code


if __name__ == "__main__":
    sys.exit(main())
