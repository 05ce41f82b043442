"""Drawing the next token: from scores to probabilities, and to one token."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.errors import InputError

__all__ = ["Sampling", "likeliest"]

Floats = NDArray[np.float64]


def likeliest(scores: Floats, count: int) -> NDArray[np.int64]:
    """Return the indices of the largest scores, falling; of equals the lower index is first.

    Examples
    --------
    >>> likeliest(np.array([1.0, 3.0, 2.0, 3.0]), 3)
    array([1, 3, 2])
    """
    return np.argsort(-scores, kind="stable")[:count]


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn.

    Parameters
    ----------
    temperature : float
        Divides the scores. Below 1 likely tokens become likelier; 0 always takes the likeliest.
    top_k : int, optional
        Only so many of the likeliest tokens may be drawn.
    top_p : float, optional
        Only the likeliest tokens may be drawn, as few as hold at least this probability together
        (the nucleus). With `top_k`, it is a share of what `top_k` leaves.

    Raises
    ------
    InputError
        ``out_of_range``, naming the option.

    References
    ----------
    A. Fan, M. Lewis, Y. Dauphin, "Hierarchical neural story generation", 2018 (top k).
    A. Holtzman et al., "The curious case of neural text degeneration", 2020 (top p).

    Examples
    --------
    >>> scores = np.log([0.5, 0.25, 0.15, 0.1])
    >>> Sampling(top_p=0.7).probabilities(scores).round(3).tolist()
    [0.667, 0.333, 0.0, 0.0]
    >>> rng = np.random.default_rng(0)
    >>> [Sampling(top_k=2).draw(scores, rng) for _ in range(6)]
    [0, 0, 0, 0, 1, 1]
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        for name, holds, hint in (
            ("temperature", 0.0 <= self.temperature < np.inf, "use 0 or more"),
            ("top_k", self.top_k is None or self.top_k >= 1, "use 1 or more"),
            ("top_p", self.top_p is None or 0.0 < self.top_p <= 1.0, "use more than 0, at most 1"),
        ):
            if not holds:
                raise InputError(
                    "out_of_range", f"{getattr(self, name)} draws nothing", field=name, hint=hint
                )

    def probabilities(self, scores: Floats) -> Floats:
        """Return each token's chance to be drawn.

        Parameters
        ----------
        scores : float64 array (tokens,)
            Logarithms of probabilities, but for a constant. -inf is never drawn; at least one is
            finite.

        Returns
        -------
        float64 array (tokens,)
            Their sum is 1.
        """
        chances = np.zeros(len(scores))
        order = likeliest(scores, self.top_k or len(scores))
        if self.temperature == 0.0:
            chances[order[0]] = 1.0
            return chances
        # The highest is taken off first: a low temperature must not make everything infinite.
        kept = np.exp((scores[order] - scores[order[0]]) / self.temperature)
        kept /= kept.sum()
        if self.top_p is not None:
            before = np.cumsum(kept) - kept
            kept[before >= self.top_p] = 0.0
            kept /= kept.sum()
        chances[order] = kept
        return chances

    def draw(self, scores: Floats, rng: np.random.Generator) -> int:
        """Draw a token: its index."""
        return int(rng.choice(len(scores), p=self.probabilities(scores)))
