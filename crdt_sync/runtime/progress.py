"""How far a session has come, counted by what it has its host do."""

from dataclasses import dataclass

from crdt_sync.ids import is_reserved
from crdt_sync.protocol.effects import Acknowledge, Effect, Integrate
from crdt_sync.protocol.messages import VerdictCode

_PUSHED_AGAIN = frozenset({VerdictCode.GAP, VerdictCode.CLOCK_AHEAD})


@dataclass(slots=True)
class Progress:
    """How far a session has come. Counts are records, but for the bytes, and `to_fetch`: see `PartnerStatus`.

    `caught_up`: the end of the partner's feed has come. All of it is here where nothing is `missing`.
    """

    received: int = 0
    received_bytes: int = 0
    pushed: int = 0
    refused: int = 0
    sent_bytes: int = 0
    caught_up: bool = False
    to_send: int = 0
    to_fetch: int | None = None
    percent: int | None = None
    missing: int = 0

    def count(self, effect: Effect) -> None:
        """Count what came, or was answered; reserved records are none of those that people mean."""
        match effect:
            case Integrate(entries=entries):
                self.received += sum(not is_reserved(entry.record) for entry in entries)
                self.received_bytes += sum(len(entry.update) for entry in entries)
            case Acknowledge(verdicts=verdicts):
                codes = [pushed.verdict.code for pushed in verdicts if not pushed.verdict.for_now]
                accepted = codes.count(VerdictCode.ACCEPTED)
                own = sum(
                    pushed.verdict.code is VerdictCode.ACCEPTED and is_reserved(pushed.record) for pushed in verdicts
                )
                self.pushed += accepted - own
                self.refused += sum(1 for code in codes if code not in _PUSHED_AGAIN) - accepted
