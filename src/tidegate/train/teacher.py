"""A pass over the training part: which batches make a step, at which rate, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from tidegate.data.batches import Batch
from tidegate.errors import InputError
from tidegate.train.checkpoint import Position
from tidegate.train.learner import Learner
from tidegate.train.plan import Plan
from tidegate.train.progress import Listener
from tidegate.train.recovery import Recovery
from tidegate.train.schedules import learning_rate
from tidegate.train.settings import TrainSettings
from tidegate.train.tally import Tally

__all__ = ["Teacher"]


@dataclass
class Teacher:
    """Shows a learner every batch of an epoch.

    Parameters
    ----------
    learner : Learner
        Learns.
    recovery : Recovery
        Hears of batches that could not be learned from.
    plan : Plan
        The batches of each epoch.
    settings : TrainSettings
        With the epochs, the schedule and `accumulate`.
    listeners : sequence of Listener
        Are told of every step.
    """

    learner: Learner
    recovery: Recovery
    plan: Plan
    settings: TrainSettings
    listeners: Sequence[Listener]

    def __post_init__(self) -> None:
        counts = self.plan.counts(self.settings.epochs)
        self._steps = [math.ceil(count / self.settings.accumulate) for count in counts]

    def epoch(self, epoch: int, position: Position) -> Tally:
        """Go through the training part once.

        Parameters
        ----------
        epoch : int
            From 1.
        position : Position
            Goes on with each step; changed in place.

        Returns
        -------
        Tally
            What was learned. Nothing, if no batch could be learned from: then the learner has the
            weights of the epoch's beginning.

        Raises
        ------
        InputError
            ``loss_not_finite``; ``no_labels``.
        """
        tally, known, returned = Tally(self.settings.clip_norm), False, position.returns
        self.recovery.begin_epoch()
        for step, batches in enumerate(_groups(self.plan.epoch(epoch), self.settings.accumulate)):
            tally.rate = self._rate(position)
            position.step += 1
            events = sum(int(batch.lengths.sum()) for batch in batches)
            tally.events += events
            labels = sum(batch.learned for batch in batches)
            if labels == 0:
                self.learner.skip(batches)
                continue
            known = True
            measure = not tally.updates and step >= self._steps[epoch - 1] // 2
            outcome = self.learner.step(batches, tally.rate, measure=measure)
            if not outcome.learned:
                number = step * self.settings.accumulate + outcome.at + 1
                self.recovery.skip(position, batches[outcome.at], outcome, epoch, number)
                continue
            position.bad_in_a_row = 0
            tally.add(outcome, labels)
            for listener in self.listeners:
                listener.batch(events, outcome.loss, outcome.norm)
        if not known:
            raise InputError(
                "no_labels",
                f"no event that epoch {epoch} trains on has a label",
                field="max_length",
                hint='with truncate = "tail", or longer windows, they may have',
            )
        if not tally.norms and position.returns == returned:
            where = f"every batch of epoch {epoch}"
            self.recovery.go_back(position, outcome.loss, outcome.norm, where)
        return tally

    def _rate(self, position: Position) -> float:
        rate = learning_rate(position.step, sum(self._steps), self.settings)
        return rate * position.plateau.scale * 0.5**position.returns


def _groups(batches: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    """Yield the batches of each step."""
    left = iter(batches)
    while group := list(islice(left, size)):
        yield group
