"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

RelayOption = Annotated[
    str | None,
    typer.Option("--relay", envvar="CRDT_SYNC_RELAY", metavar="URL", help="Address of the relay, ws:// or wss://."),
]
TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="CRDT_SYNC_TOKEN",
        show_envvar=True,
        metavar="TOKEN",
        help="What the other side asks for.",
    ),
]
TokenFileOption = Annotated[
    Path | None,
    typer.Option("--token-file", metavar="FILE", help="Read the token from a file: arguments can be seen by others."),
]
AuthoritiesOption = Annotated[
    Path | None, typer.Option("--ca", metavar="FILE", help="Certificates to trust for wss://, a PEM file.")
]
PingIntervalOption = Annotated[
    float | None,
    typer.Option(
        "--ping-interval",
        envvar="CRDT_SYNC_PING_INTERVAL",
        metavar="SECONDS",
        help="Silence after which to ask whether the other side lives, 1 to 20: for proxies with little patience.",
        show_default="20",
    ),
]
TransportOption = Annotated[
    str | None,
    typer.Option(
        "--transport",
        envvar="CRDT_SYNC_TRANSPORT",
        metavar="auto|websocket|http",
        help="How to reach the relay: http for networks that break websockets, auto finds out.",
        show_default="auto",
    ),
]
NewRelayOption = Annotated[
    bool,
    typer.Option("--new-relay", help="Give a relay that has nothing to do with the former one all records; said once."),
]
CollectionOption = Annotated[
    str | None,
    typer.Option("--collection", "-c", metavar="NAME", help="Collection; not needed where there is only one."),
]
RecordArgument = Annotated[str, typer.Argument(metavar="RECORD", help="Record id, or an unambiguous start of it.")]
LIMIT = 50  # records that people are shown unless they ask for more
LimitOption = Annotated[
    int | None,
    typer.Option("--limit", "-n", min=0, metavar="N", help=f"How many; 0 for all. [{LIMIT}, with --json all]"),
]
AllOption = Annotated[
    bool, typer.Option("--all", help="Also values that were superseded by a later one that did not know of them.")
]
