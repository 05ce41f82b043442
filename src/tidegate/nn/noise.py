"""What training does to a layer at random: drawn once for a call, the same on every path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tidegate import _core
from tidegate.nn.rows import Rows

__all__ = ["Noise", "Rates", "bernoulli", "draw"]


@dataclass(frozen=True)
class Rates:
    """How much of each.

    Parameters
    ----------
    zoneout, zoneout_cell : float
        Share of units that keep their h, and their c, at a step (Krueger et al. 2017).
    recurrent_dropout : float
        Share of h that does not enter the recurrent product, the same units at all steps of a
        session (Gal, Ghahramani 2016).
    weight_dropout : float
        Share of recurrent weights that are zero for a call (DropConnect; Merity et al. 2018).
    """

    zoneout: float = 0.0
    zoneout_cell: float = 0.0
    recurrent_dropout: float = 0.0
    weight_dropout: float = 0.0

    def spares_steps(self, training: bool) -> bool:
        """Say whether the steps themselves are as they would be without, as they may be in use."""
        zoned = self.zoneout or self.zoneout_cell  # in use the mean over the draws
        return not (zoned or (training and self.recurrent_dropout))


@dataclass(frozen=True)
class Noise:
    """The draws for one direction of a layer.

    Parameters
    ----------
    keep, keep_cell : tensor (rows, hidden_size) or float
        1 where h, or c, stays as it was; the rate outside of training.
    mask : tensor (B, hidden_size), optional
        Scales h on its way into the recurrent product.
    weight : tensor (gates * hidden_size, hidden_size), optional
        Scales the recurrent weights.
    """

    keep: Tensor | float = 0.0
    keep_cell: Tensor | float = 0.0
    mask: Tensor | None = None
    weight: Tensor | None = None


def bernoulli(rate: float, value: float, shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Draw numbers that are `value` with probability `rate`, else 0.

    On a CPU they come from the C core: torch's own take longer than a layer's step. They follow
    from one number of torch's global generator, and are the same in every precision.

    Examples
    --------
    >>> torch.unique(bernoulli(0.5, 2.0, (100,), torch.zeros(1)))
    tensor([0., 2.])
    """
    if like.device.type != "cpu":
        return like.new_empty(shape).bernoulli_(rate).mul_(value)
    seed = torch.randint(2**62, (1,), dtype=torch.int64)
    drawn: Tensor = _drawn(seed, rate, value, shape)
    return drawn.to(like.dtype)


@torch.library.custom_op("tidegate::drawn", mutates_args=(), device_types="cpu")
def _drawn(seed: Tensor, rate: float, value: float, shape: Sequence[int]) -> Tensor:
    drawn = torch.empty(shape, dtype=torch.float32)
    _core.draw(int(seed), rate, value, drawn.numel(), drawn.data_ptr())
    return drawn


_drawn.register_fake(lambda seed, rate, value, shape: torch.empty(shape, dtype=torch.float32))  # noqa: ARG005


def draw(rates: Rates, rows: Rows, like: Tensor, *, training: bool) -> Noise:
    """Draw a layer's noise from torch's global generator.

    Parameters
    ----------
    rates : Rates
        How much of each.
    rows : Rows
        The events.
    like : tensor (gates * hidden_size, hidden_size)
        The recurrent weights.
    training : bool
        Otherwise nothing is drawn, and zoneout is its mean.
    """
    if not training:
        return Noise(rates.zoneout, rates.zoneout_cell)
    size = like.shape[1]

    def keep(rate: float) -> Tensor | float:
        return bernoulli(rate, 1.0, (rows.count, size), like) if rate else 0.0

    def scaled(rate: float, *shape: int) -> Tensor | None:
        return bernoulli(1.0 - rate, 1.0 / (1.0 - rate), shape, like) if rate else None

    return Noise(
        keep(rates.zoneout),
        keep(rates.zoneout_cell),
        scaled(rates.recurrent_dropout, rows.sessions, size),
        scaled(rates.weight_dropout, *like.shape),
    )
