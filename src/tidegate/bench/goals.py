"""What a run should reach, and whether it did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.bench.markdown import lines

__all__ = ["Goal", "section"]


@dataclass(frozen=True)
class Goal:
    """One line of the table: the case, what is wanted, what was found, and whether that is it."""

    case: str
    wanted: str
    found: str
    met: bool

    def __rich__(self) -> str:
        """Return the line for a terminal."""
        mark = "[green]met[/green]" if self.met else "[red]not met[/red]"
        return f"{mark}: {self.case}: {self.found} ({self.wanted})"


def section(goals: Sequence[Goal]) -> list[str]:
    """Write goals as lines of Markdown, an empty one at the end; none of no goals."""
    rows = [[goal.case, goal.wanted, goal.found, "yes" if goal.met else "**no**"] for goal in goals]
    return [*lines([["case", "goal", "found", "met"], *rows], ("case", "goal")), ""] if rows else []
