"""What a person sees of a tuning: a line a trial, and on a terminal a bar."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tidegate.train.tune.study import Trial
from tidegate.train.tune.work import Budget

__all__ = ["Told"]


class Told:
    """Tells of each finished trial once.

    Parameters
    ----------
    watch : str
        The metric that trials are compared by.
    maximize : bool
        Whether a higher value is better.
    budget : Budget
        What the study may cost.
    console : rich.console.Console, optional
        By default standard error.
    """

    def __init__(
        self, watch: str, maximize: bool, budget: Budget, console: Console | None = None
    ) -> None:
        self._watch, self._sign, self._budget = watch, 1 if maximize else -1, budget
        self._console = console or Console(stderr=True)
        self._known: set[int] = set()
        self._best: float | None = None
        self._bar = Progress(
            TextColumn("trial {task.completed:.0f}{task.fields[of]}"),
            BarColumn(),
            TextColumn("{task.fields[best]}"),
            TextColumn("{task.fields[cpu]:.1f} CPU minutes"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        of = "" if budget.trials is None else f"/{budget.trials}"
        self._task = self._bar.add_task("", total=budget.trials, of=of, best="", cpu=0.0)

    def begin(self, earlier: Sequence[Trial]) -> None:
        """Hear of the trials of an earlier session, and show the bar."""
        if earlier:
            self.note(f"going on after {len(earlier)} finished trials")
        for trial in earlier:
            self._take(trial)
        self._show(earlier)
        self._bar.start()

    def trials(self, found: Sequence[Trial]) -> None:
        """Print a line for each trial that was not known."""
        for trial in found:
            if trial.number not in self._known:
                best = self._take(trial)
                self.note(f"trial {trial.number}: {self._words(trial)}{'; best' if best else ''}")
        self._show(found)

    def note(self, text: str) -> None:
        """Print a line."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Take the bar away."""
        self._bar.stop()

    def _take(self, trial: Trial) -> bool:
        """Keep what a trial came to, and say whether it is the best so far."""
        self._known.add(trial.number)
        if trial.state != "done" or trial.value is None:
            return False
        best = self._best is None or self._sign * trial.value > self._sign * self._best
        self._best = trial.value if best else self._best
        return best

    def _words(self, trial: Trial) -> str:
        if trial.state == "failed":
            return f"failed: {trial.reason}"
        early = "ended early; " if trial.state == "pruned" else ""
        value = "" if trial.value is None else f"{self._watch} {trial.value:.4f}; "
        epochs = f"{trial.epochs} epoch{'' if trial.epochs == 1 else 's'}"
        return f"{early}{value}{epochs}; {trial.cpu_s:.1f} CPU s"

    def _show(self, found: Sequence[Trial]) -> None:
        best = "" if self._best is None else f"best {self._watch} {self._best:.4f}"
        cpu = sum(trial.cpu_s for trial in found) / 60
        self._bar.update(self._task, completed=len(found), best=best, cpu=cpu)
