"""What commands say of the program that owns a store."""

from dataclasses import asdict

from crdt_sync.cli.values import local_time, utc_time
from crdt_sync.replica.owner.link import About


def described(about: About) -> dict[str, object]:
    """Who owns a store, for programs."""
    return {**{key: value for key, value in asdict(about).items() if key != "number"}, "since": utc_time(about.since)}


def sentence(about: About) -> str:
    """Who owns a store, for people."""
    return f"Owned by process {about.process} ({about.called}) since {local_time(about.since)}; commands go through it."
