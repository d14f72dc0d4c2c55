"""What of the campaign has been run, kept in a file, so that it can go on where it stopped."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crdt_bench.campaign.tally import Tally
from crdt_sync.files import replaced


@dataclass(slots=True)
class Progress:
    """Per part: the next seed, how much was run, the outcomes, and everything that was found."""

    path: Path
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> "Progress":
        """Read the file, or begin anew where there is none."""
        parts = json.loads(path.read_text("utf-8")) if path.exists() else {}
        return cls(path, parts)

    def next_seed(self, part: str) -> int:
        """The first seed that was not run."""
        return int(self.parts.get(part, {}).get("next_seed", 0))

    def ran(self, part: str) -> int:
        """How much was run."""
        return int(self.parts.get(part, {}).get("ran", 0))

    def add(self, part: str, tally: Tally, next_seed: int) -> None:
        """Take in a chunk and write the file, whole or not at all."""
        known = self.parts.setdefault(part, {"unit": tally.unit, "ran": 0, "outcomes": {}, "findings": []})
        known["next_seed"] = next_seed
        known["ran"] += tally.ran
        known["findings"] += [f"seed {tally.seed}: {finding}" for finding in tally.findings]
        for name, count in tally.outcomes.items():
            known["outcomes"][name] = known["outcomes"].get(name, 0) + count
        with replaced(self.path) as file:
            file.write(f"{json.dumps(self.parts, indent=1, sort_keys=True)}\n".encode())
