"""Running a command line. Groups of commands: imported when they are asked for, with help that leaves nothing out."""

import importlib
import inspect
import os
from collections.abc import Mapping, Sequence
from typing import Any

import click

from crdt_sync.errors import UsageError
from crdt_sync.starting import imported

HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 120, "show_default": True}
"""What every program's help is to be like: settings of its context."""

_ASKED = __name__  # among what all contexts of one call share: the command that is asked for, with those above it


class Commands(click.Group):
    """A group of commands. `later` says in which module those are, as "module:attribute", that are imported when they
    are asked for: one command needs little of what all need.
    """

    def __init__(self, *args: Any, later: Mapping[str, str] | None = None, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._later = later or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, in the order of the program text."""
        return [*self.commands, *self._later]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name not in self._later:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self._later[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is asked for. Raises `click.NoSuchCommand` that names those alike."""
        try:
            found = super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            raise click.NoSuchCommand(error.command_name, possibilities=self.list_commands(ctx), ctx=ctx) from None
        ctx.meta[_ASKED] = f"{ctx.command_path} {found[0]}"
        imported()  # whatever the command is to be run with
        return found

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Shows the help where nothing is asked for; a wrong call, but nothing has to be said about it."""
        if not args and self.no_args_is_help and not ctx.resilient_parsing:
            click.echo(ctx.get_help())
            ctx.exit(UsageError.exit_code)
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Each command with the whole first paragraph of its help."""
        found = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        rows = [(name, _first_paragraph(command.help or "")) for name, command in found.items() if command is not None]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def run(program: click.Group, name: str, arguments: Sequence[str], obj: object = None) -> int:
    """Run what the arguments ask for, or tell a shell how to complete them; returns the exit code of a command that
    raises `click.exceptions.Exit`, else 0.

    Raises `UsageError` for a wrong call. All other exceptions are the caller's: `main` of the group would end the
    process at some of them.
    """
    variable = f"_{name.replace('-', '_').upper()}_COMPLETE"
    if instruction := os.environ.get(variable):
        from click.shell_completion import shell_complete  # noqa: PLC0415 - no command needs it

        return shell_complete(program, {}, name, variable, instruction)
    shared: Mapping[str, Any] = {}
    try:
        with program.make_context(name, list(arguments), obj=obj) as context:
            shared = context.meta
            program.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        asked, problem = shared.get(_ASKED, name), error.format_message()
        if problem.startswith("Got unexpected extra argument"):  # and repeats it: a token where --token was forgotten
            problem = f"those are more arguments than '{asked}' takes"
        raise UsageError(problem, f"See '{asked} --help'.") from None
    return 0


def _first_paragraph(text: str) -> str:
    return " ".join(inspect.cleandoc(text).partition("\n\n")[0].split())
