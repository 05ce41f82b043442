"""What scores the rows of a series, each from the rows before it: a recurrent layer, and baselines.

``gru``: one layer reads the value, its change, and the hour and weekday, and predicts value and
change of the next row, each as a Gaussian. It learns from the probationary rows, then goes on
learning from the rows so far, a few steps every 128 rows: no row is learned from before it was
scored. The value's surprise in nats, its mean over the last rows against mean and deviation of the
rows before (the likelihood of Lavin and Ahmad 2015), is the score, and counts only where it is
higher than any of the last rows: an anomaly that lasts is one alarm. As in Numenta's own detector,
a value far outside of all values so far is an alarm whatever was predicted; ``range`` is that rule
alone. `LIKELIHOOD` holds the lengths: of 160 choices of lengths and of which error counts, the best
on 30 other files of NAB (realAWSCloudwatch, realTraffic, realAdExchange), with seed 0.

``gaussian`` is NAB's windowed Gaussian: the tail of a normal distribution over the last 6,400
values, moved on in steps of 100. ``rrcf`` is a robust random cut forest (Guha et al. 2016) of 40
trees of the last 256 shingles of 4 values, the settings that the package's own example has
(``pip install rrcf==0.4.4``; a requirement of this benchmark alone).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import nab_score
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d
from scipy.special import log_ndtr

from tidegate.errors import InputError
from tidegate.nn import Network
from tidegate.nn.readout import nats
from tidegate.spec import LayerSpec, ModelSpec, SurprisePart

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """A file: unix seconds, values, and what is known of it."""

    times: Floats
    values: Floats
    labels: nab_score.Labels


class Likelihood(msgspec.Struct, frozen=True):
    """How a surprise becomes a score.

    Parameters
    ----------
    short, long : int
        Rows of the mean, and of the mean and deviation that it is compared with.
    quiet : int
        Rows that a score has to be higher than.
    """

    short: int
    long: int
    quiet: int


LIKELIHOOD = Likelihood(2, 1000, 250)


class Learning(msgspec.Struct, frozen=True):
    """How the recurrent layer learns while it goes.

    Parameters
    ----------
    units : int
        Of the layer.
    first : int
        Steps on the probationary rows.
    every, steps : int
        Rows after which it learns again, and steps that it takes then.
    windows, length, warm : int
        Of a step: windows, their rows, and how many of those come first and are not learned from.
    rates : tuple of float
        Adam's rate on the probationary rows and behind them.
    most : float
        Nats that a part of a row costs at most, so that anomalies do not become what is learned.
    """

    units: int = 32
    first: int = 300
    every: int = 128
    steps: int = 4
    windows: int = 8
    length: int = 128
    warm: int = 8
    rates: tuple[float, float] = (3e-3, 1e-3)
    most: float = 20.0


WINDOW, STEP = 6400, 100


def gaussian(series: Series, seed: int, learning: Learning) -> Floats:  # noqa: ARG001
    """NAB's windowed Gaussian: 1 less the tail probability of each value."""
    scores = np.zeros(len(series.values))
    for row in range(1, len(scores)):
        if row <= WINDOW or (row - WINDOW) % STEP == 0:
            seen = series.values[max(0, row - WINDOW) : row]
            mean, deviation = seen.mean(), seen.std() or 1e-6
        tail = np.exp(log_ndtr(-abs(series.values[row] - mean) / deviation))
        scores[row] = 1.0 - tail
    return scores


TREES, POINTS, SHINGLE = 40, 256, 4


def rrcf(series: Series, seed: int, learning: Learning) -> Floats:  # noqa: ARG001
    """Mean collusive displacement of the last values among the shingles before."""
    seeds = np.random.RandomState(seed)
    forest = _rrcf()
    trees = [
        forest.RCTree(random_state=np.random.RandomState(seeds.randint(2**31 - 1)))
        for _ in range(TREES)
    ]
    trial = series.values[: nab_score.probation(len(series.values))]
    # A tree rounds its points to nine digits.
    values = (series.values - trial.mean()) / (trial.std() or 1.0)
    scores = np.zeros(len(values))
    for row in range(SHINGLE - 1, len(values)):
        for tree in trees:
            if len(tree.leaves) >= POINTS:
                tree.forget_point(row - POINTS)
            tree.insert_point(values[row - SHINGLE + 1 : row + 1], index=row)
            scores[row] += tree.codisp(row) / TREES
    return scores


def _rrcf() -> ModuleType:
    """Return the module of the package; the package itself wants `pkg_resources`, which is gone."""
    found = importlib.util.find_spec("rrcf")
    if found is None or not found.submodule_search_locations:
        hint = "pip install rrcf==0.4.4"
        raise InputError("missing_package", "rrcf is not installed", field="rrcf", hint=hint)
    path = Path(found.submodule_search_locations[0]) / "rrcf.py"
    spec = importlib.util.spec_from_file_location("rrcf_module", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PARTS = (SurprisePart("gaussian", 0, 0), SurprisePart("gaussian", 1, 2))
"""The value and its change."""
NATS = (-8.0, 30.0)
"""Bounds of a surprise, so that one row does not decide what is usual in the next thousand."""


def gru(series: Series, seed: int, learning: Learning) -> Floats:
    """How likely the last surprises of a recurrent layer are, after those before."""
    found = surprise(features(series), seed, learning)
    scores = records(likelihood(found, LIKELIHOOD), LIKELIHOOD.quiet)
    return np.where(outside(series.values), OUTSIDE, scores)


OUTSIDE = 1000.0
"""Score of a value outside of all so far: more than a likelihood is."""
TOLERANCE = 0.05


def out_of_range(series: Series, seed: int, learning: Learning) -> Floats:  # noqa: ARG001
    """1 for a value far outside of all so far."""
    return outside(series.values).astype(np.float64)


def outside(values: Floats) -> NDArray[np.bool_]:
    """Return which values lie outside of all before them, by 5 % of their range and more.

    Examples
    --------
    >>> outside(np.array([0.0, 10.0, 10.4, 11.0, -0.5, -9.0])).tolist()
    [False, False, False, True, False, True]
    """
    lowest, highest = np.minimum.accumulate(values)[:-1], np.maximum.accumulate(values)[:-1]
    far = (highest - lowest) * TOLERANCE
    beyond = (values[1:] > highest + far) | (values[1:] < lowest - far)
    # A single value has no range yet.
    return np.append(False, beyond & (far > 0))


def features(series: Series) -> NDArray[np.float32]:
    """Return value, change, hour and weekday of each row, (rows, 6).

    Value and change are scaled on the probationary rows, and drawn together by arcsinh.
    """
    trial = nab_score.probation(len(series.values))
    values = series.values
    change = np.diff(values, prepend=values[0])
    mean, spread = values[:trial].mean(), values[:trial].std() or 1.0
    day, week = (2 * np.pi * (series.times % n) / n for n in (86_400, 604_800))
    columns = [
        np.arcsinh((values - mean) / spread),
        np.arcsinh(change / (change[:trial].std() or spread)),
        *(np.sin(day), np.cos(day), np.sin(week), np.cos(week)),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def surprise(rows: NDArray[np.float32], seed: int, learning: Learning) -> Floats:
    """Return the nats of each row's value, (rows,), while learning from the rows before it."""
    count = len(rows)
    torch.manual_seed(seed)
    layers = (LayerSpec("gru", learning.units),)
    network = Network(ModelSpec(rows.shape[1], layers, 4, readout="surprise", parts=PARTS))
    torch.nn.init.zeros_(network.head.weight)
    torch.nn.init.zeros_(network.head.bias)
    optimizer = torch.optim.Adam(network.parameters())
    given, state = torch.from_numpy(rows), None
    trial, found = nab_score.probation(count), []
    learn(network, optimizer, given[:trial], learning.first, learning.rates[0], learning)
    for begin in range(0, count, learning.every):
        if begin >= trial:
            seen = given[:begin]
            learn(network, optimizer, seen, learning.steps, learning.rates[1], learning)
        now = given[None, begin : begin + learning.every]
        with torch.no_grad():
            outputs, state = network(now, state)
        found.append(nats(PARTS[0], outputs[0], now[0]).numpy())
    return np.clip(np.concatenate(found, dtype=np.float64), *NATS)


def learn(
    network: Network,
    optimizer: torch.optim.Optimizer,
    seen: torch.Tensor,
    steps: int,
    rate: float,
    learning: Learning,
) -> None:
    """Take steps on windows of what was seen, drawn from torch's global generator."""
    length = min(learning.length, len(seen))
    for group in optimizer.param_groups:
        group["lr"] = rate
    for _ in range(steps):
        begins = torch.randint(0, len(seen) - length + 1, (learning.windows,))
        batch = torch.stack([seen[begin : begin + length] for begin in begins])
        outputs, _ = network(batch)
        cost = torch.stack([nats(part, outputs, batch) for part in PARTS], dim=-1)
        optimizer.zero_grad()
        cost[:, learning.warm :].clamp(max=learning.most).mean().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()


def likelihood(surprise: Floats, lengths: Likelihood) -> Floats:
    """Return the mean of the last rows, in deviations from the mean of those before this one.

    Examples
    --------
    >>> quiet = np.tile([1.0, 3.0], 50)
    >>> likelihood(np.append(quiet, 7.0), Likelihood(1, 100, 1))[-1]
    np.float64(5.0)
    """
    last = rolling_mean(surprise, lengths.short)
    mean = rolling_mean(surprise, lengths.long)
    variance = rolling_mean(surprise**2, lengths.long) - mean**2
    deviation = np.sqrt(np.maximum(variance, 0.0))
    before = np.append(0.0, mean[:-1]), np.append(1.0, deviation[:-1])
    return np.asarray((last - before[0]) / np.maximum(before[1], 1e-3))


def rolling_mean(values: Floats, rows: int) -> Floats:
    """Return the mean of the last `rows` values, or of as many as there are.

    Examples
    --------
    >>> rolling_mean(np.array([1.0, 3.0, 5.0, 7.0]), 2)
    array([1., 2., 4., 6.])
    """
    sums = np.cumsum(np.append(0.0, values))
    ends = np.arange(1, len(sums))
    begins = np.maximum(ends - rows, 0)
    return np.asarray((sums[ends] - sums[begins]) / (ends - begins))


def records(scores: Floats, rows: int) -> Floats:
    """Keep the scores that are higher than any of so many rows before; others are -inf.

    Examples
    --------
    >>> records(np.array([1.0, 2.0, 1.5, 1.7, 3.0]), 2)
    array([ 1.,  2., -inf, -inf,  3.])
    """
    padded = np.concatenate([np.full(rows, -np.inf), scores])
    # What the filter has at i is the largest of the `rows` that end there.
    highest = maximum_filter1d(padded, rows, origin=(rows - 1) // 2, mode="nearest")
    return np.where(scores > highest[rows - 1 : -1], scores, -np.inf)


Detector = Callable[[Series, int, Learning], Floats]
DETECTORS: dict[str, Detector] = {
    "gaussian": gaussian,
    "range": out_of_range,
    "rrcf": rrcf,
    "gru": gru,
}
SEEDED = ("rrcf", "gru")


def settings(detector: str, learning: Learning) -> dict[str, Any]:
    """Return what a detector's scores depend on, to be kept with them."""
    of_range = {"tolerance": TOLERANCE}
    return {
        "gru": msgspec.to_builtins(learning) | msgspec.to_builtins(LIKELIHOOD) | of_range,
        "rrcf": {"trees": TREES, "points": POINTS, "shingle": SHINGLE},
        "gaussian": {"window": WINDOW, "step": STEP},
        "range": of_range,
    }[detector]
