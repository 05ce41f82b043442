"""What the fault suite did and survived, in one line at the end."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from faults.history import Report

__all__ = ["TALLY", "Tally", "say"]


@dataclass
class Tally:
    """Sums over the scenarios of a run."""

    kills: int = 0
    faults: int = 0
    events: int = 0
    lost: int = 0
    doubled: int = 0
    mismatches: int = 0

    def judged(self, report: Report) -> None:
        """Add what the checker found."""
        kinds = report.counts()
        self.events += report.events
        self.lost += kinds["lost"] + kinds["stale"] + kinds["unanswered"]
        self.doubled += kinds["doubled"] + kinds["reordered"]
        self.mismatches += kinds["mismatch"] + kinds["altered"]

    def __str__(self) -> str:
        return (
            f"{self.kills} kills, {self.faults} other faults, {self.events:,} events survived: "
            f"{self.lost} lost, {self.doubled} doubled, {self.mismatches} mismatches"
        )


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


TALLY = Tally()
"""Of this process."""
