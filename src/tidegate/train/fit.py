"""The loop over epochs: learn, validate, measure, keep the best, stop early, go on where it was."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate import answers, tasks
from tidegate.data.batches import Batches
from tidegate.data.mapped import blocks
from tidegate.errors import InputError
from tidegate.nn import Network
from tidegate.spec import TaskSpec
from tidegate.train import checkpoint as checkpoints
from tidegate.train.bad_batches import BadBatch
from tidegate.train.checkpoint import Checkpoint, Position
from tidegate.train.diagnostics import diagnose
from tidegate.train.given import Given
from tidegate.train.history import Epoch
from tidegate.train.learner import Learner
from tidegate.train.plan import make_plan
from tidegate.train.predict import events_of_batch, measure
from tidegate.train.progress import Listener
from tidegate.train.recovery import Recovery, not_finite
from tidegate.train.repeatable import repeatable
from tidegate.train.sample import Sample
from tidegate.train.sequences import Sequences
from tidegate.train.settings import TrainSettings
from tidegate.train.tbptt import refuse_backward
from tidegate.train.teacher import Teacher

__all__ = ["FitResult", "fit"]


@dataclass(frozen=True)
class FitResult:
    """What came of a fit; the network has the weights of the best epoch.

    Parameters
    ----------
    history : tuple of Epoch
        Every epoch.
    best_epoch : int
        The one whose weights the network has, from 1.
    watch : str
        The metric that decided.
    given : Given
        What the fit was given, in numbers.
    bad_batches : tuple of BadBatch
        The first batches that were skipped.
    """

    history: tuple[Epoch, ...]
    best_epoch: int
    watch: str
    given: Given
    bad_batches: tuple[BadBatch, ...] = ()

    @property
    def metrics(self) -> dict[str, float]:
        """The best epoch's metrics on the validation part."""
        return self.history[self.best_epoch - 1].metrics


def fit(
    network: Network,
    task: TaskSpec,
    train: Sequences,
    valid: Sequences,
    settings: TrainSettings,
    *,
    listeners: Sequence[Listener] = (),
    checkpoint: Path | None = None,
    resume: bool = True,
    key: str = "",
) -> FitResult:
    """Fit a network, and leave it with the weights of its best epoch.

    Parameters
    ----------
    network : Network
        Changed in place.
    task : TaskSpec
        Gives the loss and the metrics.
    train, valid : Sequences
        What is learned from, and what decides which epoch is best.
    settings : TrainSettings
        How to fit.
    listeners : sequence of Listener
        Are told of every batch and epoch.
    checkpoint : Path, optional
        Rewritten at the end of each epoch. A run that a Ctrl-C, or a kill, cut short goes on with
        the epoch after it, and ends with the weights, to the bit, of one that was not. Batches that
        are skipped, because their loss or gradient is not finite, are described beside it, in
        ``NAME.bad_batches.json``.
    resume : bool
        Whether to go on from `checkpoint` if it is there.
    key : str
        Tells what is trained on what: a checkpoint with another key is refused.

    Returns
    -------
    FitResult
        History and best epoch.

    Raises
    ------
    InputError
        ``no_labels``; ``unknown_metric``; ``unused_key``: augmentation of numbers that are not
        there; ``bad_layer``: a bidirectional network in lanes;
        ``loss_not_finite``, naming epoch and batch, when going back to good weights did not help,
        or if the validation is not finite;
        ``checkpoint_damaged`` or ``checkpoint_mismatch``.
    KeyboardInterrupt
        After Ctrl-C; torch's global state and the checkpoint are as they should be.
    """
    try:
        for part, sequences in (("training", train), ("validation", valid)):
            if sequences.labelled == 0:
                raise _no_labels(part, task.label)
        run = _Run(network, task, train, valid, settings, tuple(listeners), checkpoint, key)
        with repeatable(settings.seed, settings.threads):
            return run.run(resume)
    finally:
        for listener in listeners:
            listener.close()


@dataclass
class _Run:
    """The state of one fit."""

    network: Network
    spec: TaskSpec
    train: Sequences
    valid: Sequences
    settings: TrainSettings
    listeners: tuple[Listener, ...]
    path: Path | None
    key: str
    best: dict[str, torch.Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.task = tasks.open(self.spec)
        self.answers = answers.open(self.spec)
        self.watch = self.settings.watch or self.task.watch
        # Which metrics there are depends on the labels alone: no need to train an epoch to know.
        size = self.network.spec.answer_size
        nothing = np.zeros((len(self.valid.rows), size), dtype=np.float32)
        measured = self._metrics(nothing).keys() - {"n"}
        if self.watch not in measured:
            raise _unknown_metric(self.watch, sorted(measured))
        self.given = Given.of(self.network.spec, self.settings, self.task, self.train)
        self.position = Position(self.key, given=self.given)
        self.learner = Learner(self.network, self.task, self.settings)
        beside = self.path and self.path.with_suffix(".bad_batches.json")
        self.recovery = Recovery(self.learner, self.settings, self.train, beside, self.listeners)
        if self.settings.mode == "lanes":
            refuse_backward(self.network)
        numbers = self.train.measured
        numbers = self.network.spec.number_columns if numbers is None else numbers
        plan = make_plan(self.train, self.settings, numbers)
        self.teacher = Teacher(self.learner, self.recovery, plan, self.settings, self.listeners)
        self.sample = (
            Sample.of(self.train, self.settings.seed) if self.settings.diagnostics else None
        )

    def run(self, resume: bool) -> FitResult:
        if resume:
            self._resume()
        self.recovery.begin(self.position)
        done = kept = len(self.position.history)
        epochs = self.settings.epochs
        events = int(self.settings.windows.of(self.train.offsets, epochs).lengths.sum())
        for listener in self.listeners:
            listener.begin(epochs, done, events)
        try:
            while not self._finished():
                self._epoch(len(self.position.history) + 1)
                self._save()
                kept = len(self.position.history)
        except KeyboardInterrupt:
            self._say_how_to_go_on(kept)
            raise
        self.network.load_state_dict(self.best)
        self.network.eval()
        return FitResult(
            tuple(self.position.history),
            self.position.best_epoch,
            self.watch,
            self.given,
            tuple(self.position.bad_batches),
        )

    def _finished(self) -> bool:
        done = len(self.position.history)
        # Before the curriculum's end, some sessions were never trained on.
        stale = done - max(self.position.best_epoch, self.settings.curriculum)
        return done >= self.settings.epochs or stale >= self.settings.patience

    def _say_how_to_go_on(self, kept: int) -> None:
        where = f"the same command goes on from {self.path}"
        what = where if self.path and kept else "nothing kept"
        for listener in self.listeners:
            listener.note(f"interrupted after {kept} finished epochs: {what}")

    def _epoch(self, epoch: int) -> None:
        began, step = time.perf_counter(), self.position.step
        self.network.train()
        tally = self.teacher.epoch(epoch, self.position)
        if not tally.norms:  # it begins again, at half the learning rate
            self.position.step = step
            return
        trained = time.perf_counter()
        with self.learner.average.swapped():
            valid_loss, metrics = self._validate()
            lost = not (math.isfinite(valid_loss) and math.isfinite(metrics[self.watch]))
            best = not lost and self._keep_best(epoch, metrics[self.watch])
        if lost:
            self._begin_again(step, valid_loss, f"the validation after epoch {epoch}")
            return
        self.position.plateau = self.position.plateau.after(best, self.settings)
        sample = self.sample
        found = Epoch(
            epoch=epoch,
            train_loss=tally.loss,
            valid_loss=valid_loss,
            metrics=metrics,
            gradient_norm=float(np.mean(tally.norms)),
            gradient_norm_max=max(tally.norms),
            learning_rate=tally.rate,
            events=tally.events,
            events_per_s=tally.events / (trained - began),
            clipping=tally.clipping,
            bad_batches=self.position.skipped,
            returns=self.position.returned,
            updates=tally.updates,
            diagnosis=None if sample is None else diagnose(self.network, self.task, sample),
            seconds=time.perf_counter() - began,
        )
        self.position.history.append(found)
        self.position.skipped = self.position.returned = 0
        for listener in self.listeners:
            listener.epoch(found, self.watch, best)

    def _begin_again(self, step: int, valid_loss: float, where: str) -> None:
        """Take an epoch back whose weights are of no use."""
        if not all(
            np.isfinite(block).all() for block in blocks(self.valid.rows)
        ):  # no weights would help
            raise not_finite(valid_loss, 0.0, where)
        self.recovery.go_back(self.position, valid_loss, 0.0, where)
        self.position.step = step

    def _validate(self) -> tuple[float, dict[str, float]]:
        valid = self.valid
        budget = events_of_batch(self.network.spec.output_size)
        batches = Batches(valid.rows, valid.offsets, valid.targets, budget)
        found = measure(self.network, batches, self.task)
        return found.loss, self._metrics(found.outputs)

    def _metrics(self, outputs: NDArray[np.float32]) -> dict[str, float]:
        return self.answers.metrics(outputs, self.valid.labels, self.valid.offsets)

    def _keep_best(self, epoch: int, value: float) -> bool:
        """Keep an epoch's weights if they are the best so far, and say whether they are."""
        sign = -1 if self.watch in answers.HIGHER_IS_BETTER else 1
        best = not self.best or sign * value < sign * self.position.best_value
        if best:
            self.position.best_epoch, self.position.best_value = epoch, value
            self.best = {name: t.clone() for name, t in self.network.state_dict().items()}
        return best

    def _save(self) -> None:
        if self.path is not None:
            rng = torch.get_rng_state()
            found = Checkpoint(self.position, self.learner.state(), self.best, rng)
            checkpoints.save(found, self.path)

    def _resume(self) -> None:
        found = checkpoints.load(self.path, self.key) if self.path is not None else None
        if found is None:
            return
        self.position = found.position
        self.position.given = self.given  # a checkpoint of an earlier version has none
        self.best = dict(found.best)
        self.learner.restore(found.state)
        torch.set_rng_state(found.rng)
        for listener in self.listeners:
            done = len(self.position.history)
            listener.note(f"going on after epoch {done}, from {self.path}")


def _no_labels(part: str, label: str) -> InputError:
    return InputError(
        "no_labels",
        f"no event of the {part} part has a label",
        field=label,
        hint="see where the split is; per session, the last event's label counts; of what follows "
        "in a session, sessions of one event tell nothing",
    )


def _unknown_metric(watch: str, measured: list[str]) -> InputError:
    return InputError(
        "unknown_metric",
        f"{watch!r} is not measured on the validation part",
        field="watch",
        hint=f"use one of {', '.join(measured)}",
    )
