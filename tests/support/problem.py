"""A small problem to train a network on, and who listens meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate.nn import Network, to_bundle
from tidegate.spec import ModelSpec, TaskSpec
from tidegate.train.fit import FitResult, fit
from tidegate.train.history import Epoch
from tidegate.train.progress import Listener
from tidegate.train.repeatable import repeatable
from tidegate.train.sequences import Sequences
from tidegate.train.settings import TrainSettings


@dataclass(frozen=True)
class Problem:
    """A model, what it is to learn, from what, and how."""

    spec: ModelSpec
    task: TaskSpec
    train: Sequences
    valid: Sequences
    settings: TrainSettings
    dropout: float = 0.1

    def network(self, seed: int = 0) -> Network:
        """Return a network with the same weights at each call."""
        with repeatable(seed):
            return Network(self.spec, dropout=self.dropout)

    def having(self, **changes: Any) -> TrainSettings:
        """Return the settings with changes."""
        return msgspec.structs.replace(self.settings, **changes)

    def fit(
        self,
        network: Network | None = None,
        settings: TrainSettings | None = None,
        *,
        train: Sequences | None = None,
        valid: Sequences | None = None,
        **options: Any,
    ) -> FitResult:
        """Train a network, or a new one; what is given replaces the problem's own."""
        return fit(
            self.network() if network is None else network,
            self.task,
            self.train if train is None else train,
            self.valid if valid is None else valid,
            self.settings if settings is None else settings,
            **options,
        )


def relabelled(part: Sequences, labels: NDArray[np.float64]) -> Sequences:
    """Return a part with other labels, which are its targets too."""
    return Sequences(part.rows, part.offsets, labels, labels.astype(np.float32))


class Notes(Listener):
    """Keeps what is noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


class Interrupt(Notes):
    """Presses Ctrl-C in an epoch's n-th batch."""

    def __init__(self, epoch: int, batch: int) -> None:
        super().__init__()
        self.left, self.at = epoch - 1, batch
        self.batches = 0
        self.closed = False

    def batch(self, events: int, loss: float, gradient_norm: float) -> None:
        self.batches += 1
        if self.left == 0 and self.batches == self.at:
            raise KeyboardInterrupt

    def epoch(self, epoch: Epoch, watch: str, best: bool) -> None:
        self.left -= 1
        self.batches = 0

    def close(self) -> None:
        self.closed = True


def same_weights(one: Network, other: Network) -> bool:
    """Say whether two networks have equal weights."""
    weights = to_bundle(other)
    return all(np.array_equal(array, weights[name]) for name, array in to_bundle(one).items())
