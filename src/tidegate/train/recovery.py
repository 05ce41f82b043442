"""What is done about batches that are not finite: skip them, go back to good weights, give up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tidegate import files
from tidegate.data.batches import Batch
from tidegate.errors import InputError
from tidegate.train import bad_batches
from tidegate.train.bad_batches import BadBatch, suspects
from tidegate.train.checkpoint import Position, State
from tidegate.train.learner import Learner, Outcome
from tidegate.train.progress import Listener
from tidegate.train.sequences import Sequences
from tidegate.train.settings import TrainSettings

__all__ = ["Recovery", "not_finite"]


@dataclass
class Recovery:
    """Counts bad batches, describes them, and goes back if there are many in a row.

    The weights that it goes back to are those of the epoch's beginning: they are the last ones
    that validation has seen, and they cost one copy of weights and optimiser.

    Parameters
    ----------
    learner : Learner
        Is set back.
    settings : TrainSettings
        With `max_bad_batches` and `max_returns`.
    train : Sequences
        The training part: names its sessions and columns.
    path : Path or None
        Where bad batches are described.
    listeners : sequence of Listener
        Are told of the first bad batch of an epoch, and of each return.
    """

    learner: Learner
    settings: TrainSettings
    train: Sequences
    path: Path | None
    listeners: Sequence[Listener]

    def begin(self, position: Position) -> None:
        """Hear that a run begins, or goes on: of bad batches, only those of `position` were."""
        if self.path is not None:
            with files.refusals(self.path):
                self.path.unlink(missing_ok=True)
        self._write(position)

    def begin_epoch(self) -> None:
        """Hear that an epoch begins, or begins again."""
        self._good: State = self.learner.state()

    def skip(
        self, position: Position, batch: Batch, outcome: Outcome, epoch: int, number: int
    ) -> None:
        """Count a batch that was not learned from, and go back if it is one too many.

        Parameters
        ----------
        position : Position
            Keeps the counts; changed in place.
        batch : Batch
            The batch.
        outcome : Outcome
            Of its step.
        epoch, number : int
            Which it is, from 1.

        Raises
        ------
        InputError
            ``loss_not_finite``: it has gone back `max_returns` times already.
        """
        where = f"batch {number} of epoch {epoch}"
        self._describe(position, batch, outcome, epoch, number)
        position.skipped += 1
        if position.skipped == 1:
            what = _what(outcome.loss, outcome.norm)
            self._note(f"{where} was skipped: {what}{self._kept(position)}")
        position.bad_in_a_row += 1
        if position.bad_in_a_row >= self.settings.max_bad_batches:
            self.go_back(position, outcome.loss, outcome.norm, where)

    def go_back(self, position: Position, loss: float, norm: float, where: str) -> None:
        """Give the learner the weights of the epoch's beginning, and let it go on at half the rate.

        Parameters
        ----------
        position : Position
            Keeps the counts; changed in place.
        loss, norm : float
            One of them is not finite.
        where : str
            What they are of.

        Raises
        ------
        InputError
            ``loss_not_finite``: it has gone back `max_returns` times already.
        """
        if position.returns >= self.settings.max_returns:
            raise not_finite(loss, norm, f"{where}{self._kept(position)}")
        self.learner.restore(self._good)
        position.bad_in_a_row = 0
        position.returns += 1
        position.returned += 1
        self._note(
            f"{_what(loss, norm)} in {where}: back to the weights of the epoch's beginning, at "
            f"half the learning rate"
        )

    def _describe(
        self, position: Position, batch: Batch, outcome: Outcome, epoch: int, number: int
    ) -> None:
        if len(position.bad_batches) >= bad_batches.KEPT_BATCHES:
            return
        position.bad_batches.append(
            BadBatch(
                epoch=epoch,
                batch=number,
                what="gradient" if math.isfinite(outcome.loss) else "loss",
                learning_rate=outcome.rate,
                sessions=len(batch.lengths),
                suspects=suspects(batch, outcome.outputs, self.train.ids, self.train.columns),
                source=self.learner.source(batch, outcome),
            )
        )
        self._write(position)

    def _write(self, position: Position) -> None:
        if self.path is not None and position.bad_batches:
            bad_batches.write(position.bad_batches, self.path)

    def _kept(self, position: Position) -> str:
        known = self.path is not None and position.skipped
        return f"; what was skipped is in {self.path}" if known else ""

    def _note(self, text: str) -> None:
        for listener in self.listeners:
            listener.note(text)


def not_finite(loss: float, norm: float, where: str) -> InputError:
    """Return the error of a training that cannot go on."""
    return InputError(
        "loss_not_finite",
        f"{_what(loss, norm)} in {where}",
        field="learning_rate",
        hint="lower learning_rate, or lower clip_norm; if it is in the first epoch, look for "
        "fields with huge values and scale them (standard or log1p)",
    )


def _what(loss: float, norm: float) -> str:
    return f"the gradient's norm is {norm}" if math.isfinite(loss) else f"the loss is {loss}"
