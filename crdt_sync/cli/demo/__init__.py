"""`crdt-sync demo`: a relay and three devices as real processes, which edit at once, die, come back and agree;
and people with different grants, one of whom loses a phone.
"""

import signal

import click

from crdt_sync.cli.invocation import Invocation
from crdt_sync.errors import NotOnThisSystem


@click.command("demo")
@click.option("--keep", is_flag=True, help="Keep the stores, to look at them afterwards.")
@click.pass_obj
def demo(call: Invocation, keep: bool) -> None:
    """See it work: a relay and three devices edit the same customers offline, get killed, and converge; then three
    people see what is theirs, and a phone is stolen.
    """
    if not hasattr(signal, "SIGHUP"):
        raise NotOnThisSystem("the demo starts a relay, and relays run on Linux", "Use this device with a relay there.")
    from crdt_sync.cli.demo import playing  # noqa: PLC0415 - it needs what only some systems have

    playing.run(call.output, keep)
