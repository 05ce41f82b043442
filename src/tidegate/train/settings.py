"""What a training run may be told: the model's size and how to fit it."""

from __future__ import annotations

import msgspec

from tidegate.errors import InputError
from tidegate.spec import CategoryInput, Cell, LayerSpec, ModelSpec

__all__ = ["ModelSettings", "TrainSettings"]


class ModelSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The model's size.

    Parameters
    ----------
    cell : {"gru", "lstm", "rnn"}
        The kind of every layer.
    hidden_size : int
        Units of every layer.
    num_layers : int
        Layers.
    dropout : float
        Share of the values that training sets to zero between layers and before the head.
    """

    cell: Cell = "gru"
    hidden_size: int = 64
    num_layers: int = 1
    dropout: float = 0.0

    def __post_init__(self) -> None:
        _check(self, "hidden_size", self.hidden_size >= 1, "1 or more")
        _check(self, "num_layers", self.num_layers >= 1, "1 or more")
        _check(self, "dropout", 0 <= self.dropout < 1, "0 or more, less than 1")

    def spec(
        self, row_size: int, categories: tuple[CategoryInput, ...], output_size: int
    ) -> ModelSpec:
        """Return the model spec for a schema's rows and a task's outputs."""
        layer = LayerSpec(self.cell, self.hidden_size)
        return ModelSpec(row_size, (layer,) * self.num_layers, output_size, categories)


class TrainSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to fit a network.

    Parameters
    ----------
    epochs : int
        Passes over the training part at most; the learning rate decays over all of them.
    batch_tokens : int
        Events of one batch at most, padding included; a longer session is a batch of its own.
    learning_rate : float
        Adam's, after the warm-up.
    warmup_steps : int
        Batches over which the learning rate rises to its full value.
    weight_decay : float
        Decoupled from the gradient (AdamW).
    clip_norm : float
        A batch's gradient is scaled down to this norm.
    patience : int
        Epochs without improvement of the watched metric after which training stops.
    watch : str or None
        Metric of the validation part that decides which epoch is best; None takes the task's
        (``log_loss``, ``rmse``).
    seed : int
        Of the weights, the order of batches and dropout. With the same number of threads a CPU run
        repeats to the bit.
    threads : int or None
        Threads of torch; None leaves its own choice. One is the default because the steps of a
        recurrent layer are small: more help wide models a little on an idle machine, and cost a
        lot (tenfold and more) on a busy one, where they wait for each other at every step.
    """

    epochs: int = 20
    batch_tokens: int = 8192
    learning_rate: float = 3e-3
    warmup_steps: int = 100
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    patience: int = 5
    watch: str | None = None
    seed: int = 0
    threads: int | None = 1

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_tokens", "patience"):
            _check(self, name, getattr(self, name) >= 1, "1 or more")
        for name in ("learning_rate", "clip_norm"):
            _check(self, name, 0 < getattr(self, name) < float("inf"), "a number above 0")
        for name in ("warmup_steps", "seed"):
            _check(self, name, getattr(self, name) >= 0, "0 or more")
        _check(self, "weight_decay", 0 <= self.weight_decay < float("inf"), "0 or more")
        _check(self, "threads", self.threads is None or self.threads >= 1, "1 or more")


def _check(settings: msgspec.Struct, name: str, holds: bool, rule: str) -> None:
    if not holds:
        raise InputError(
            "out_of_range",
            f"{getattr(settings, name)!r} is not allowed",
            field=name,
            hint=f"use {rule}",
        )
