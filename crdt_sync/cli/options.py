"""Options that several commands share."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from crdt_sync.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)


def together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one, in the order of the help."""

    def added(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return added


def gathered(name: str, made: Callable[..., object], *options: Callable[[F], F]) -> Callable[[F], F]:
    """`together`, and the command takes one argument for all of them: `name`, which `made` makes of what they say."""
    said = [each.replace(default=Parameter.empty) for each in signature(made).parameters.values()]

    def added(command: F) -> F:
        @wraps(command)
        def called(*arguments: object, **values: object) -> object:
            values[name] = made(**{each.name: values.pop(each.name) for each in said})
            return command(*arguments, **values)

        taken = (said if each.name == name else [each] for each in signature(command).parameters.values())
        cast(Any, called).__signature__ = Signature([*chain.from_iterable(taken)])
        return together(*options)(cast(F, called))

    return added


def _given_token(token: str | None, token_file: Path | None) -> str | None:
    if token_file is None:
        return token
    if token is not None:
        raise UsageError("both a token and a file with one were given", "Keep one of them.")
    return read_token(token_file)


def read_token(file: Path) -> str:
    """The token in a file that was named. Raises `UsageError` where it cannot be read, or is none."""
    try:
        token = file.expanduser().read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise UsageError(
            f"the token in {file} cannot be read: {reason}", "Check the path and its permissions."
        ) from None
    if not (token.isascii() and token.isprintable()):
        raise UsageError(
            f"what {file} holds is no token: one is a line of printable ASCII", "Leave the one line of the token in it."
        )
    return token


@dataclass(frozen=True, slots=True)
class GivenToken:
    """What was said of the token, and the file that it was read from: one that changes while a command stays."""

    text: str | None = None
    file: Path | None = None


def _given(token: str | None, token_file: Path | None) -> GivenToken:
    return GivenToken(_given_token(token, token_file), token_file)


@dataclass(frozen=True, slots=True)
class Way:
    """How a relay or a device is to be reached, but for its address; None says nothing of it."""

    token: str | None = None
    authorities: Path | None = None
    ping_interval: float | None = None  # seconds
    transport: str | None = None
    new_relay: bool = False
    token_file: Path | None = None  # where the token was read from


AS_KEPT = Way()
"""Nothing was said of it."""

relay_option = click.option(
    "--relay",
    "url",
    envvar="CRDT_SYNC_RELAY",
    show_envvar=True,
    metavar="URL",
    help="Address of the relay, ws:// or wss://.",
)
_token_option = click.option(
    "--token", envvar="CRDT_SYNC_TOKEN", show_envvar=True, metavar="TOKEN", help="What the other side asks for."
)
_token_file_option = click.option(
    "--token-file", type=PATH, metavar="FILE", help="Read the token from a file: arguments can be seen by others."
)
token_options = gathered("token", _given_token, _token_option, _token_file_option)
"""The command takes `token`. Raises `UsageError` for one that cannot be read."""
given_token_options = gathered("given", _given, _token_option, _token_file_option)
"""The command takes `given`, a `GivenToken`. Raises `UsageError` for one that cannot be read."""
authorities_option = click.option(
    "--ca", "authorities", type=PATH, metavar="FILE", help="Certificates to trust for wss://, a PEM file."
)
ping_interval_option = click.option(
    "--ping-interval",
    type=float,
    envvar="CRDT_SYNC_PING_INTERVAL",
    show_envvar=True,
    metavar="SECONDS",
    show_default="20",
    help="Silence after which to ask whether the other side lives, 1 to 20: for proxies with little patience.",
)


def _way(
    token: str | None,
    token_file: Path | None,
    authorities: Path | None,
    ping_interval: float | None,
    transport: str | None,
    new_relay: bool,
) -> Way:
    secret = _given_token(token, token_file)
    return Way(secret, authorities, ping_interval, transport, new_relay, token_file)


way_options = gathered(
    "way",
    _way,
    _token_option,
    _token_file_option,
    authorities_option,
    ping_interval_option,
    click.option(
        "--transport",
        envvar="CRDT_SYNC_TRANSPORT",
        show_envvar=True,
        metavar="auto|websocket|http",
        show_default="auto",
        help="How to reach the relay: http for networks that break websockets, auto finds out.",
    ),
    click.option(
        "--new-relay",
        is_flag=True,
        help="Give a relay that has nothing to do with the former one all records; said once.",
    ),
)
"""The command takes `way`, a `Way`."""
collection_option = click.option(
    "--collection", "-c", metavar="NAME", help="Collection; not needed where there is only one."
)
record_argument = click.argument("record", help="Record id, or an unambiguous start of it.")
LIMIT = 50  # records that people are shown unless they ask for more
limit_option = click.option(
    "--limit",
    "-n",
    type=click.IntRange(min=0),
    metavar="N",
    help=f"How many; 0 for all. [{LIMIT}, with --json all]",
)
all_option = click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Also values that were superseded by a later one that did not know of them.",
)
