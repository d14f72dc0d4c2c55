"""Help that speaks of values as people do: Typer shows names of Python types, `<list[str]>` among them."""

from collections.abc import Callable
from typing import Any

_WORDS = {"str": "TEXT", "list[str]": "TEXT", "path": "FILE", "int": "N", "int range": "N", "float range": "N"}


def plain_help(command: Any) -> Any:
    """The command, and those below it, with such help."""
    for parameter in command.params:
        parameter.display_type = _worded(parameter.display_type, parameter.param_type_name == "argument")
    of_help = command.get_help_option

    def help_option(context: Any) -> Any:
        option = of_help(context)
        if option is not None:
            option.display_type = lambda _: None
        return option

    command.get_help_option = help_option
    for below in getattr(command, "commands", {}).values():
        plain_help(below)
    return command


def _worded(display_type: Callable[[Any], str | None], is_argument: bool) -> Callable[[Any], str | None]:
    def worded(context: Any) -> str | None:
        shown = (display_type(context) or "").strip("<>")
        if shown == "bool" or (is_argument and shown in _WORDS):  # its name says what it is
            return None
        return _WORDS.get(shown, shown) or None

    return worded
