"""The loop: Adam, warm-up and cosine decay, clipping, early stopping, checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from tidegate import answers, tasks
from tidegate.data.batches import Batch, Batches
from tidegate.errors import InputError
from tidegate.nn import Network
from tidegate.spec import TaskSpec
from tidegate.train import checkpoint as checkpoints
from tidegate.train.checkpoint import Checkpoint, Position
from tidegate.train.history import Epoch
from tidegate.train.predict import predict
from tidegate.train.progress import Listener
from tidegate.train.repeatable import repeatable
from tidegate.train.sequences import Sequences
from tidegate.train.settings import TrainSettings

__all__ = ["FitResult", "fit", "learning_rate"]


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
    """

    history: tuple[Epoch, ...]
    best_epoch: int
    watch: str

    @property
    def metrics(self) -> dict[str, float]:
        """The best epoch's metrics on the validation part."""
        return self.history[self.best_epoch - 1].metrics


def learning_rate(step: int, steps: int, settings: TrainSettings) -> float:
    """Return the rate of a batch: a linear warm-up, then half a cosine down to zero.

    Parameters
    ----------
    step : int
        Batches before this one.
    steps : int
        Batches of the whole training.
    settings : TrainSettings
        With `learning_rate` and `warmup_steps`.

    References
    ----------
    I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017 (without
    the restarts).

    Examples
    --------
    >>> settings = TrainSettings(learning_rate=1.0, warmup_steps=4)
    >>> [round(learning_rate(step, 12, settings), 2) for step in range(12)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 0.96, 0.85, 0.69, 0.5, 0.31, 0.15, 0.04]
    """
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    gone = (step - settings.warmup_steps) / (steps - settings.warmup_steps)
    return settings.learning_rate * 0.5 * (1.0 + math.cos(math.pi * gone))


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
        the epoch after it, and ends with the weights, to the bit, of one that was not.
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
        ``no_labels``; ``unknown_metric``; ``loss_not_finite``, naming epoch and batch;
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
        nothing = np.zeros((len(self.valid.rows), self.spec.output_size), dtype=np.float32)
        measured = self.answers.metrics(nothing, self.valid.labels).keys() - {"n"}
        if self.watch not in measured:
            raise _unknown_metric(self.watch, sorted(measured))
        self.position = Position(self.key)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), weight_decay=self.settings.weight_decay
        )
        rows, offsets, targets = self.train.rows, self.train.offsets, self.train.targets
        budget, seed = self.settings.batch_tokens, self.settings.seed
        self.batches = Batches(rows, offsets, targets.astype(np.float64), budget, seed)
        self.steps = self.settings.epochs * len(self.batches.plan())

    def run(self, resume: bool) -> FitResult:
        if resume:
            self._resume()
        done = len(self.position.history)
        for listener in self.listeners:
            listener.begin(self.settings.epochs, done, len(self.train.rows))
        try:
            while not self._finished():
                self._epoch(len(self.position.history) + 1)
                self._save()
        except KeyboardInterrupt:
            self._say_how_to_go_on()
            raise
        self.network.load_state_dict(self.best)
        self.network.eval()
        return FitResult(tuple(self.position.history), self.position.best_epoch, self.watch)

    def _finished(self) -> bool:
        done = len(self.position.history)
        stale = done - self.position.best_epoch
        return done >= self.settings.epochs or stale >= self.settings.patience

    def _say_how_to_go_on(self) -> None:
        done = len(self.position.history)
        kept = (
            f"the same command goes on from {self.path}" if self.path and done else "nothing kept"
        )
        for listener in self.listeners:
            listener.note(f"interrupted after {done} finished epochs: {kept}")

    def _epoch(self, epoch: int) -> None:
        began = time.perf_counter()
        self.network.train()
        losses, labels, norms = [], [], []
        for number, batch in enumerate(self.batches.epoch(epoch), start=1):
            rate = learning_rate(self.position.step, self.steps, self.settings)
            self.position.step += 1
            known = int((~np.isnan(batch.labels)).sum())
            if known == 0:
                continue
            loss, norm = self._step(batch, rate)
            if not math.isfinite(loss) or not math.isfinite(norm):
                raise _not_finite(loss, norm, f"batch {number} of epoch {epoch}")
            losses.append(loss)
            labels.append(known)
            norms.append(norm)
            for listener in self.listeners:
                listener.batch(int(batch.lengths.sum()), loss, norm)
        trained = time.perf_counter()
        valid_loss, metrics = self._validate(epoch)
        self._keep(
            Epoch(
                epoch=epoch,
                train_loss=float(np.average(losses, weights=labels)),
                valid_loss=valid_loss,
                metrics=metrics,
                gradient_norm=float(np.mean(norms)),
                gradient_norm_max=max(norms),
                learning_rate=rate,
                events=len(self.train.rows),
                events_per_s=len(self.train.rows) / (trained - began),
                seconds=time.perf_counter() - began,
            )
        )

    def _step(self, batch: Batch, rate: float) -> tuple[float, float]:
        """Learn from a batch, unless its loss or gradient is not finite; return both."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        outputs, _ = self.network(
            torch.from_numpy(batch.rows), None, torch.from_numpy(batch.lengths)
        )
        loss = self.task.loss(outputs, torch.from_numpy(batch.labels.astype(np.float32)))
        loss.backward()  # type: ignore[no-untyped-call]
        parameters = self.network.parameters()
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.settings.clip_norm).item()
        if math.isfinite(loss.item()) and math.isfinite(norm):
            self.optimizer.step()
        return loss.item(), norm

    def _validate(self, epoch: int) -> tuple[float, dict[str, float]]:
        outputs = predict(self.network, self.valid.rows, self.valid.offsets)
        loss = self.task.loss(torch.from_numpy(outputs), torch.from_numpy(self.valid.targets))
        metrics = self.answers.metrics(outputs, self.valid.labels)
        if not math.isfinite(metrics[self.watch]):
            raise _not_finite(loss.item(), 0.0, f"the validation after epoch {epoch}")
        return loss.item(), metrics

    def _keep(self, epoch: Epoch) -> None:
        """Add an epoch to the history, and its weights if they are the best."""
        value = epoch.metrics[self.watch]
        sign = -1 if self.watch in answers.HIGHER_IS_BETTER else 1
        best = not self.best or sign * value < sign * self.position.best_value
        if best:
            self.position.best_epoch, self.position.best_value = epoch.epoch, value
            self.best = {name: t.clone() for name, t in self.network.state_dict().items()}
        self.position.history.append(epoch)
        for listener in self.listeners:
            listener.epoch(epoch, self.watch, best)

    def _save(self) -> None:
        if self.path is not None:
            memory = checkpoints.optimizer_tensors(self.optimizer)
            model = self.network.state_dict()
            rng = torch.get_rng_state()
            checkpoints.save(Checkpoint(self.position, model, self.best, memory, rng), self.path)

    def _resume(self) -> None:
        found = checkpoints.load(self.path, self.key) if self.path is not None else None
        if found is None:
            return
        self.position = found.position
        self.best = dict(found.best)
        self.network.load_state_dict(found.model)
        checkpoints.optimizer_state(self.optimizer, found.optimizer)
        torch.set_rng_state(found.rng)
        for listener in self.listeners:
            done = len(self.position.history)
            listener.note(f"going on after epoch {done}, from {self.path}")


def _no_labels(part: str, label: str) -> InputError:
    return InputError(
        "no_labels",
        f"no event of the {part} part has a label",
        field=label,
        hint="see where the split is; per session, the last event's label counts",
    )


def _unknown_metric(watch: str, measured: list[str]) -> InputError:
    return InputError(
        "unknown_metric",
        f"{watch!r} is not measured on the validation part",
        field="watch",
        hint=f"use one of {', '.join(measured)}",
    )


def _not_finite(loss: float, norm: float, where: str) -> InputError:
    what = f"the gradient's norm is {norm}" if math.isfinite(loss) else f"the loss is {loss}"
    return InputError(
        "loss_not_finite",
        f"{what} in {where}",
        field="learning_rate",
        hint="lower learning_rate, or lower clip_norm; if it is in the first epoch, look for "
        "fields with huge values and scale them (standard or log1p)",
    )
