"""Acknowledged means stored: when a device notes an acknowledgement, the relay's disk holds what was pushed."""

from crdt_bench.simulator import lineages
from crdt_bench.simulator.disk import Disk
from crdt_bench.simulator.failure import Failure
from crdt_sync.protocol.effects import Acknowledge
from crdt_sync.protocol.messages import VerdictCode


def check(device: str, relay: Disk, epoch: bytes, effect: Acknowledge) -> None:
    """Compare accepted pushes with the relay's disk, unless so much of the session's history is not on it any more."""
    reach = relay.reach(epoch)
    if reach is None or not isinstance(effect.head, int) or reach < effect.head:
        return
    for pushed in effect.verdicts:
        if pushed.verdict.code is not VerdictCode.ACCEPTED:
            continue
        head = relay.true_head(pushed.record)
        if head is None or not lineages.covers(head.state_vector, pushed.state_vector):
            raise Failure("durability", f"{device}: {pushed.record} was acknowledged, but is not on the relay's disk")
