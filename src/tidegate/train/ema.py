"""A moving average of the weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

__all__ = ["MovingAverage"]


class MovingAverage:
    """An exponential moving average of a network's weights, which is calmer than they are.

    After step t (from 1) it is ``d * average + (1 - d) * weights`` with
    ``d = min(decay, t / (t + 9))``: the weights of the beginning are forgotten early, however
    large `decay` is.

    Parameters
    ----------
    network : torch.nn.Module
        Whose weights are averaged; `swapped` changes them in place.
    decay : float
        0: there is no average, and everything here does nothing.

    References
    ----------
    B. Polyak, A. Juditsky, "Acceleration of stochastic approximation by averaging", 1992.

    Examples
    --------
    >>> layer = torch.nn.Linear(1, 1, bias=False)
    >>> _ = torch.nn.init.constant_(layer.weight, 0.0)
    >>> average = MovingAverage(layer, 0.9)
    >>> _ = torch.nn.init.constant_(layer.weight, 1.0)
    >>> average.update()
    >>> with average.swapped():
    ...     round(layer.weight.item(), 3)  # d is 1 / 10
    0.9
    >>> layer.weight.item()
    1.0
    """

    def __init__(self, network: torch.nn.Module, decay: float) -> None:
        self._decay = decay
        self._weights = dict(network.named_parameters()) if decay else {}
        self._average = {name: w.detach().clone() for name, w in self._weights.items()}
        self._steps = 0

    @torch.no_grad()
    def update(self) -> None:
        """Take a step's weights in."""
        if not self._weights:
            return
        self._steps += 1
        decay = min(self._decay, self._steps / (self._steps + 9))
        for name, average in self._average.items():
            average.mul_(decay).add_(self._weights[name], alpha=1 - decay)

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Give the network the average within a ``with`` block, and its own weights afterwards."""
        clean = {name: weight.detach().clone() for name, weight in self._weights.items()}
        try:
            self._write(self._average)
            yield
        finally:
            self._write(clean)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the average, not copied, and ``.steps``: what `restore` takes."""
        return {**self._average, ".steps": torch.tensor(self._steps)} if self._weights else {}

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Become what `tensors` returned."""
        if self._weights:
            self._steps = int(tensors[".steps"])
            for name, average in self._average.items():
                average.copy_(tensors[name])

    @torch.no_grad()
    def _write(self, tensors: Mapping[str, torch.Tensor]) -> None:
        for name, weight in self._weights.items():
            weight.copy_(tensors[name])
