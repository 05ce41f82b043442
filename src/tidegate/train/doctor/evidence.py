"""Numbers that rules look at, each drawn from a run's history."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from statistics import median

from tidegate.train.diagnostics import Diagnosis, LayerDiagnosis
from tidegate.train.doctor.run import Run
from tidegate.train.history import Epoch

__all__ = [
    "growth",
    "largest_rise",
    "last_diagnosis",
    "later_half",
    "peak_update",
    "reach",
    "unlearned",
    "usual_length",
]


def last_diagnosis(run: Run) -> Diagnosis | None:
    """Return what the last epoch measured, if it did."""
    return run.history[-1].diagnosis if run.history else None


def later_half(history: Sequence[Epoch]) -> Sequence[Epoch]:
    """Return the epochs of the second half: what a run does once it has settled.

    >>> later_half([1, 2, 3])
    [2, 3]
    """
    return history[len(history) // 2 :]


def peak_update(history: Sequence[Epoch]) -> float | None:
    """Return the largest over the epochs of how far a step moves the weight matrices.

    Of an epoch it is the median over matrices of |change| / |weight|. Biases, which begin as 0,
    say nothing. The largest, because schedules begin and end near 0.
    """
    moved = [
        median(values)
        for epoch in history
        if (values := [v for name, v in epoch.updates.items() if _is_matrix(name)])
    ]
    return max(moved, default=None)


def _is_matrix(name: str) -> bool:
    return name.endswith((".input", ".recurrent", "head.weight"))


def largest_rise(losses: Sequence[float]) -> float:
    """Return how many times as large as the smallest one before it a loss came to be.

    What is below a hundredth of the first loss counts as a hundredth: next to nothing may double.

    >>> largest_rise([4.0, 2.0, 3.0, 1.0]), largest_rise([1.0, 0.0, 0.005])
    (1.5, 0.5)
    """
    least = 0.01 * losses[0] if losses else 0.0
    lowest = [max(low, least) for low in accumulate(losses, min)]
    pairs = zip(lowest, losses[1:], strict=False)
    return max((after / low for low, after in pairs if low > 0), default=1.0)


def unlearned(run: Run) -> float | None:
    """Return the last training loss as a share of the best constant answer's."""
    loss = None if run.given is None else run.given.constant_loss
    return run.history[-1].train_loss / loss if loss and run.history else None


def reach(lags: Sequence[int], layer: LayerDiagnosis, share: float) -> tuple[int, bool]:
    """Say how far back a layer's input still matters.

    Parameters
    ----------
    lags : sequence of int
        Of the profile.
    layer : LayerDiagnosis
        With the profile.
    share : float
        Of the profile's largest value, which counts as mattering.

    Returns
    -------
    lag : int
        The longest that matters.
    sure : bool
        Whether a longer one was measured.

    Examples
    --------
    >>> layer = LayerDiagnosis((4.0, 8.0, 0.5, 0.01), {}, 1, 0, 0.0, 0.0)
    >>> reach((0, 1, 2, 4), layer, 0.5), reach((0, 1, 2, 4), layer, 0.001)
    ((1, True), (4, False))
    """
    known = [(lag, norm) for lag, norm in zip(lags, layer.by_lag, strict=True) if norm is not None]
    largest = max((norm for _, norm in known), default=0.0)
    last = max((lag for lag, norm in known if norm >= share * largest), default=0)
    return last, bool(known) and last < known[-1][0]


def growth(layer: LayerDiagnosis) -> tuple[float, int]:
    """Return how many times larger than at lag 0 the profile becomes, and where in it.

    >>> growth(LayerDiagnosis((4.0, 8.0, 0.5), {}, 1, 0, 0.0, 0.0))
    (2.0, 1)
    """
    known = [norm for norm in layer.by_lag if norm is not None]
    if len(known) < len(layer.by_lag):
        return float("inf"), layer.by_lag.index(None)
    if not known or known[0] <= 0:
        return 1.0, 0
    peak = max(known)
    return peak / known[0], known.index(peak)


def usual_length(run: Run) -> float | None:
    """Return the median of what an epoch takes of a session."""
    if run.given is None or run.given.lengths is None:
        return None
    longest = run.given.settings.max_length or float("inf")
    return min(run.given.lengths.median, longest)
