"""One step of training: from a few batches to new weights, or to none at all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from tidegate.data.batches import Batch
from tidegate.nn import Network, named_weights
from tidegate.nn.model import Headless
from tidegate.tasks import Task
from tidegate.train import source
from tidegate.train.checkpoint import State, optimizer_state, optimizer_tensors
from tidegate.train.ema import MovingAverage
from tidegate.train.optimizers import make_optimizer, matrices
from tidegate.train.precision import autocast, make_scaler
from tidegate.train.settings import TrainSettings
from tidegate.train.tbptt import Carry
from tidegate.train.weight_noise import noisy

__all__ = ["Learner", "Outcome"]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of a step.

    Parameters
    ----------
    loss : float
        Mean over the labelled events, up to the batch that was not finite.
    norm : float
        Of the gradient, before clipping.
    learned : bool
        Whether weights changed. They do not where loss or norm is not finite.
    rate : float
        The learning rate.
    at : int
        The last batch that was looked at: the one to blame if nothing was learned.
    outputs : tensor (B, T, output_size)
        Of that batch.
    updates : dict of str to float
        If they were asked for: the norm of each parameter's change over its norm before.
    """

    loss: float
    norm: float
    learned: bool
    rate: float
    at: int
    outputs: torch.Tensor
    updates: dict[str, float] = field(default_factory=dict)


class Learner:
    """A network and all that changes with it.

    Parameters
    ----------
    network : Network
        Changed in place.
    task : Task
        Gives the loss.
    settings : TrainSettings
        How to learn.

    Notes
    -----
    A step with a batch that is not finite changes neither weights nor the optimiser's memory; with
    `accumulate`, its other batches go with it.
    """

    def __init__(self, network: Network, task: Task, settings: TrainSettings) -> None:
        self._network, self._task, self._settings = network, task, settings
        self._parameters = list(network.parameters())
        self._noisy = matrices(network)
        self._device = self._parameters[0].device
        self._optimizer = make_optimizer(network, settings)
        self._scaler = make_scaler(settings.precision, self._device)
        self._carry = Carry(Headless(network) if task.reads_states else network)
        self.average = MovingAverage(network, settings.ema_decay)

    def step(self, batches: Sequence[Batch], rate: float, *, measure: bool = False) -> Outcome:
        """Learn from batches, one of which at least has a label.

        Parameters
        ----------
        batches : sequence of Batch
            Their gradients are added up; each labelled event weighs the same.
        rate : float
            The learning rate.
        measure : bool
            Whether `Outcome.updates` is wanted.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        scale, mark = self._scaler.state_dict(), self._carry.mark()
        with noisy(self._noisy, self._settings.weight_noise):
            outcome = self._gradient(batches, rate)
            while self._overflowed(outcome):
                self._carry.rewind(mark)
                outcome = self._gradient(batches, rate)
        if outcome.learned:
            return self._update(outcome, measure=measure)
        self._scaler.load_state_dict(scale)
        self.skip(batches[outcome.at + 1 :])
        return outcome

    def source(self, batch: Batch, outcome: Outcome) -> str | None:
        """Say where the numbers of a batch that was not learned from are not finite first."""
        if math.isfinite(outcome.loss):
            return source.of_gradients(self._network)
        return source.of_outputs(self._network, batch)

    def skip(self, batches: Sequence[Batch]) -> None:
        """Leave batches out; the state of their sessions goes on through them."""
        for batch in batches:
            self._carry.skip(batch)

    def state(self) -> State:
        """Return copies of all tensors that a step changes: what `restore` takes."""
        parts = {
            "model": self._network.state_dict(),
            "optimizer": optimizer_tensors(self._optimizer),
            "ema": self.average.tensors(),
            "scaler": {k: torch.tensor(v) for k, v in self._scaler.state_dict().items()},
        }
        return {part: _copied(tensors) for part, tensors in parts.items()}

    def restore(self, state: State) -> None:
        """Become what `state` returned; it stays what it is."""
        self._network.load_state_dict(state["model"])
        optimizer_state(self._optimizer, _copied(state["optimizer"]))
        self.average.restore(state["ema"])
        self._scaler.load_state_dict({k: v.item() for k, v in state["scaler"].items()})

    def _gradient(self, batches: Sequence[Batch], rate: float) -> Outcome:
        """Add up the gradients of batches until one is not finite."""
        self._optimizer.zero_grad()
        counts = [batch.learned for batch in batches]
        loss = norm = 0.0
        outputs = torch.empty(0)
        for at, (batch, count) in enumerate(zip(batches, counts, strict=True)):
            if count == 0:
                self._carry.skip(batch)
                continue
            outputs = self._outputs(batch)
            labels = torch.from_numpy(batch.labels.astype(np.float32)).to(self._device)
            part = self._loss(outputs, labels) * (count / sum(counts))
            loss += part.item()
            if not math.isfinite(loss):
                return Outcome(loss, norm, False, rate, at, outputs)
            self._scaler.scale(part).backward()  # type: ignore[no-untyped-call]
            norm = self._norm()
            if not math.isfinite(norm):
                return Outcome(loss, norm, False, rate, at, outputs)
        return Outcome(loss, norm, True, rate, len(batches) - 1, outputs)

    def _overflowed(self, outcome: Outcome) -> bool:
        """Say whether fp16's range alone may be to blame, and lower its scale if so."""
        if outcome.learned or not math.isfinite(outcome.loss) or self._scaler.get_scale() <= 1:
            return False
        self._scaler.unscale_(self._optimizer)
        self._scaler.update()
        return True

    def _outputs(self, batch: Batch) -> torch.Tensor:
        with autocast(self._settings.precision, self._device):
            return self._carry(batch).float()

    def _loss(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if self._task.reads_states:
            return self._task.states_loss(outputs, self._network.head, labels)
        return self._task.loss(outputs, labels)

    def _norm(self) -> float:
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        scale = self._scaler.get_scale()  # a power of two: dividing by it does not round
        return float(torch.nn.utils.get_total_norm(gradients)) / scale

    def _update(self, outcome: Outcome, *, measure: bool) -> Outcome:
        self._scaler.unscale_(self._optimizer)
        norm = torch.tensor(outcome.norm)
        torch.nn.utils.clip_grads_with_norm_(self._parameters, self._settings.clip_norm, norm)
        before = _copied(named_weights(self._network)) if measure else {}
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self.average.update()
        return replace(outcome, updates=self._moved(before))

    @torch.no_grad()
    def _moved(self, before: Mapping[str, torch.Tensor]) -> dict[str, float]:
        after = named_weights(self._network)
        return {
            name: float((after[name] - was).norm() / was.norm())
            for name, was in before.items()
            if was.any()  # a bias that is still zero has no size to compare with
        }


def _copied(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}
