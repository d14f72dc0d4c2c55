"""Options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)


def together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one, in the order of the help."""

    def added(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return added


relay_option = click.option(
    "--relay",
    "url",
    envvar="CRDT_SYNC_RELAY",
    show_envvar=True,
    metavar="URL",
    help="Address of the relay, ws:// or wss://.",
)
token_options = together(
    click.option(
        "--token", envvar="CRDT_SYNC_TOKEN", show_envvar=True, metavar="TOKEN", help="What the other side asks for."
    ),
    click.option(
        "--token-file", type=PATH, metavar="FILE", help="Read the token from a file: arguments can be seen by others."
    ),
)
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
way_options = together(
    token_options,
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
"""How to reach a relay, but for its address."""
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
