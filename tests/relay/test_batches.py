"""The hub's batches: when the next is asked for, in which order they are stored, and what a failed commit undoes."""

from collections.abc import Sequence

from crdt_sync.limits import INTEGRATION_UPDATES_MAX
from crdt_sync.protocol import codec
from crdt_sync.protocol.hub import Commit, Deliver, Forget, Hub, HubEffect, Integrate, Integrated
from crdt_sync.protocol.messages import Ack, Hello, Push, PushEntry
from crdt_sync.protocol.principal import everybody
from crdt_sync.protocol.versions import GREETING
from crdt_sync.verdicts import Verdict, VerdictCode
from tests.protocol.scripted import ScriptedLog

ENOUGH = INTEGRATION_UPDATES_MAX // 32  # updates that are worth a batch beside the one under way


class Rig:
    """A hub with one session that only pushes; every update is of a record of its own."""

    def __init__(self) -> None:
        self.hub = Hub(ScriptedLog(), everybody, lambda: 0, lambda _: False)
        self.session = self.hub.connect(0)
        self.hub.receive(self.session, codec.encode(Hello((GREETING,), b"d" * 16, "", 0, None, False, 0, "test")), 0)
        self.hub.drain()
        self.number = 0

    def push(self, updates: int) -> list[HubEffect]:
        self.number += 1
        entries = tuple(PushEntry(f"customers/{self.number}-{position}", b"\x00\x00") for position in range(updates))
        self.hub.receive(self.session, codec.encode(Push(self.number, entries)), 0)
        return self.hub.drain()

    def accept(self, batch: Integrate) -> list[HubEffect]:
        """The worker accepts everything of the oldest batch, which is `batch`."""
        results = [
            Integrated([Verdict(VerdictCode.ACCEPTED, new=True)] * len(item.updates), b"\x00", None)
            for item in batch.items
        ]
        self.hub.integrated(results, 0)
        return self.hub.drain()


def integrations(effects: Sequence[HubEffect]) -> list[Integrate]:
    return [effect for effect in effects if isinstance(effect, Integrate)]


def commits(effects: Sequence[HubEffect]) -> list[Commit]:
    return [effect for effect in effects if isinstance(effect, Commit)]


def verdicts(effects: Sequence[HubEffect]) -> list[VerdictCode]:
    messages = [codec.decode(effect.frame) for effect in effects if isinstance(effect, Deliver)]
    return [verdict.code for message in messages if isinstance(message, Ack) for verdict in message.verdicts]


def test_a_push_is_integrated_at_once_when_the_worker_rests() -> None:
    assert len(integrations(Rig().push(1))) == 1


def test_beside_a_batch_under_way_a_small_one_waits_for_more_and_a_large_one_does_not() -> None:
    rig = Rig()
    rig.push(1)
    assert not integrations(rig.push(ENOUGH - 1))
    (second,) = integrations(rig.push(1))
    assert len(second.items) == ENOUGH


def test_no_more_than_two_batches_are_under_way() -> None:
    rig = Rig()
    (first,) = integrations(rig.push(1))
    (second,) = integrations(rig.push(ENOUGH))
    assert not integrations(rig.push(ENOUGH))
    assert len(integrations(rig.accept(first))) == 1
    assert commits(rig.accept(second))


def test_a_small_batch_is_asked_for_when_the_worker_has_answered() -> None:
    rig = Rig()
    (first,) = integrations(rig.push(1))
    assert not integrations(rig.push(1))
    assert len(integrations(rig.accept(first))) == 1


def test_a_batch_does_not_exceed_what_one_request_takes() -> None:
    rig = Rig()
    (first,) = integrations(rig.push(1))
    rig.push(ENOUGH)
    for _ in range(5):
        rig.push(ENOUGH - 1)
    (following,) = integrations(rig.accept(first))
    assert len(following.items) == 4 * (ENOUGH - 1)


def test_batches_are_stored_in_the_order_in_which_they_were_integrated() -> None:
    rig = Rig()
    (first,) = integrations(rig.push(1))
    (second,) = integrations(rig.push(ENOUGH))
    stored = [commits(rig.accept(batch))[0] for batch in (first, second)]
    assert [[change.record for change in commit.changes] for commit in stored] == [
        [item.record for item in batch.items] for batch in (first, second)
    ]
    assert stored[0].number < stored[1].number


def test_a_failed_commit_takes_every_batch_under_way_with_it_and_nothing_begins_before_they_are_answered() -> None:
    rig = Rig()
    (first,) = integrations(rig.push(1))
    (second,) = integrations(rig.push(ENOUGH))
    (commit,) = commits(rig.accept(first))
    (third,) = integrations(rig.push(ENOUGH))
    rig.hub.commit_failed(commit.number, 0)
    failed = rig.hub.drain()
    assert Forget() in failed
    assert verdicts(failed) == [VerdictCode.RETRY]
    assert not integrations(failed)
    assert not integrations(rig.push(ENOUGH))
    undone = rig.accept(second)
    assert Forget() in undone
    assert not commits(undone)
    assert not integrations(undone)
    undone = rig.accept(third)
    assert not commits(undone)
    assert verdicts(undone) == [VerdictCode.RETRY] * ENOUGH
    (fourth,) = integrations(undone)
    assert commits(rig.accept(fourth))


def test_what_a_lost_session_had_waiting_is_integrated_with_what_others_push() -> None:
    rig = Rig()
    rig.push(1)
    rig.push(ENOUGH - 1)
    rig.hub.lost(rig.session, 0)
    other = Rig()
    other.hub = rig.hub
    other.session = rig.hub.connect(0)
    rig.hub.receive(other.session, codec.encode(Hello((GREETING,), b"f" * 16, "", 0, None, False, 0, "test")), 0)
    (batch,) = integrations(other.push(1))
    assert len(batch.items) == ENOUGH
