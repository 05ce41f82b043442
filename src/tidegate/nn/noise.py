"""What training does to a layer at random: drawn once for a call, the same on every path."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from tidegate.nn.rows import Rows

__all__ = ["Noise", "Rates", "draw"]


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
        return like.new_empty(rows.count, size).bernoulli_(rate) if rate else 0.0

    def scaled(rate: float, *shape: int) -> Tensor | None:
        if not rate:
            return None
        return like.new_empty(shape).bernoulli_(1.0 - rate).div_(1.0 - rate)

    return Noise(
        keep(rates.zoneout),
        keep(rates.zoneout_cell),
        scaled(rates.recurrent_dropout, rows.sessions, size),
        scaled(rates.weight_dropout, *like.shape),
    )
