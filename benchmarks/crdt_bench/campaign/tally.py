"""What one part of the campaign did: how much was run, from which seed, and what it found."""

from collections import Counter
from dataclasses import dataclass, field

FINDINGS_MAX = 50  # a part that finds more than this is broken as a whole, and the first ones tell why


@dataclass(slots=True)
class Tally:
    """The outcome of a part. `outcomes` counts what the product did; `findings` are broken promises."""

    part: str
    unit: str  # what `ran` counts, in the plural
    seed: int
    ran: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)  # what was measured, for people
    skipped: str = ""  # why nothing could be run on this machine

    def found(self, finding: str) -> None:
        """Note a broken promise."""
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(finding)

    def lines(self) -> list[str]:
        """The outcome for people."""
        if self.skipped:
            return [f"{self.part}: not run, {self.skipped}"]
        shares = ", ".join(f"{name} {count:,}" for name, count in sorted(self.outcomes.items()))
        head = f"{self.part}: {self.ran:,} {self.unit} from seed {self.seed}, {len(self.findings)} findings"
        return [
            f"{head} ({shares})" if shares else head,
            *self.figures,
            *(f"  FOUND {finding}" for finding in self.findings),
        ]
