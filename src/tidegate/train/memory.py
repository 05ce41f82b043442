"""What a state remembers: a linear probe that tells past inputs from it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.errors import InputError
from tidegate.nn import Network
from tidegate.train.given import name_of

__all__ = ["Memory", "probe"]

LAGS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
MAX_SESSIONS = 256
MAX_EVENTS = 256
"""Of a session: its first ones."""
MAX_NUMBERS = 10_000_000
"""Of all states together; with wide states, fewer sessions are taken."""
MIN_PAIRS = 50
PAIRS_A_UNIT = 10
"""Of states and inputs: so many are held out at least, and so many fitted on for each number of the
state, or a lag is not measured."""
HELD_OUT = 3
"""One session in so many is what the probe is measured on."""
RIDGE = 1e-3
"""Added to the states' unit variances: keeps a probe of many units from learning by heart."""

Doubles = NDArray[np.float64]


class Memory(msgspec.Struct, frozen=True):
    """How much of its input the state still tells, lag by lag.

    Parameters
    ----------
    lags : tuple of int
        Events between the input and the state.
    r2 : dict of str to tuple of float
        Of each field, at each lag: the share of its variance that a linear map of the state tells,
        in sessions that the map was not fitted on; 1 is all, 0 (or less) nothing.
    sessions : int
        That it was measured with.
    """

    lags: tuple[int, ...]
    r2: dict[str, tuple[float, ...]]
    sessions: int


def probe(
    network: Network,
    rows: NDArray[np.float32],
    offsets: NDArray[np.int64],
    columns: Sequence[str] = (),
    *,
    seed: int = 0,
) -> Memory:
    """Fit ridge regressions from the state after an event to the inputs before it.

    Parameters
    ----------
    network : Network
        In evaluation mode; of one direction.
    rows : float32 array (events, row_size)
        Encoded rows.
    offsets : int64 array (sessions + 1,)
        Session i is events ``offsets[i]:offsets[i + 1]``.
    columns : sequence of str
        Names of the rows' columns. A category is told as its embedding. What never changes within
        a session is left out: the newest event has it too.
    seed : int
        Draws the sessions, and which are held out.

    Raises
    ------
    InputError
        ``unsupported_spec``: the network has two directions; ``too_few_sessions``.

    References
    ----------
    H. Jaeger, "Short term memory in echo state networks", 2001. G. Alain, Y. Bengio,
    "Understanding intermediate layers using linear classifier probes", 2017.
    """
    if not network.spec.streams:
        raise InputError(
            "unsupported_spec",
            "a layer of two directions has no state between past and future",
            field="--memory",
            hint="it works for models that stream",
        )
    limit = max(2, min(MAX_SESSIONS, MAX_NUMBERS // (MAX_EVENTS * network.spec.state_size)))
    order = np.random.default_rng(seed).permutation(len(offsets) - 1)[:limit]
    spans = [(int(offsets[i]), int(min(offsets[i + 1], offsets[i] + MAX_EVENTS))) for i in order]
    states, inputs = _states(network, rows, spans)
    held_out = len(spans) // HELD_OUT
    learned, measured = slice(held_out, None), slice(0, held_out)
    fields = _fields(network, inputs, columns)
    found: dict[str, list[float]] = {name: [] for name in fields}
    needed = max(MIN_PAIRS, PAIRS_A_UNIT * network.spec.state_size)
    lags = []
    for lag in LAGS:
        fitted_on = _pairs(states[learned], inputs[learned], lag)
        told = _pairs(states[measured], inputs[measured], lag)
        if len(fitted_on[0]) < needed or len(told[0]) < MIN_PAIRS:
            break
        lags.append(lag)
        for name, value in _r2(fitted_on, told, fields).items():
            found[name].append(value)
    if not lags:
        raise InputError(
            "too_few_sessions",
            f"{len(spans)} sessions have {sum(end - begin for begin, end in spans):,} events: too "
            f"few to fit a probe of {network.spec.state_size} numbers on two thirds of them and "
            "measure it on the rest",
            field="--events",
            hint=f"give some sessions, and {2 * needed:,} events or more",
        )
    return Memory(tuple(lags), {name: tuple(r2) for name, r2 in found.items()}, len(spans))


def _states(
    network: Network, rows: NDArray[np.float32], spans: Sequence[tuple[int, int]]
) -> tuple[list[Doubles], list[Doubles]]:
    """Return each session's states, (events, state_size), and inputs, (events, input_size)."""
    lengths = [end - begin for begin, end in spans]
    steps = max(lengths, default=0)
    padded = torch.zeros(len(spans), steps, rows.shape[1])
    for place, (begin, end) in enumerate(spans):
        padded[place, : end - begin] = torch.from_numpy(rows[begin:end])
    after, state = [], None
    with torch.inference_mode():
        for step in range(steps):
            _, state = network(padded[:, step : step + 1], state)
            after.append(torch.cat(state, dim=-1))
        inputs = [
            network.inputs(one[:n]).double().numpy() for one, n in zip(padded, lengths, strict=True)
        ]
    states = torch.stack(after, dim=1).double().numpy() if after else np.zeros((0, 0, 0))
    return [one[:n] for one, n in zip(states, lengths, strict=True)], inputs


def _fields(
    network: Network, inputs: Sequence[Doubles], columns: Sequence[str]
) -> dict[str, list[int]]:
    """Return which inputs of the first layer a field has; those that never change are left out."""
    spec = network.spec
    names = [name_of(columns, index) for index in spec.number_columns]
    for category in spec.categories:
        names += [name_of(columns, category.column)] * category.embedding_size
    changes = np.array([np.ptp(one, axis=0) > 0 for one in inputs if len(one)]).any(axis=0)
    fields: dict[str, list[int]] = {}
    for index in np.flatnonzero(changes).tolist():
        fields.setdefault(names[index], []).append(index)
    return fields


def _pairs(
    states: Sequence[Doubles], inputs: Sequence[Doubles], lag: int
) -> tuple[Doubles, Doubles]:
    """Return states, and for each the input so many events before."""
    long = [place for place, one in enumerate(states) if len(one) > lag]
    if not long:
        return np.zeros((0, 0)), np.zeros((0, 0))
    return (
        np.concatenate([states[place][lag:] for place in long]),
        np.concatenate([inputs[place][: len(inputs[place]) - lag] for place in long]),
    )


def _r2(
    learned: tuple[Doubles, Doubles],
    held_out: tuple[Doubles, Doubles],
    fields: dict[str, list[int]],
) -> dict[str, float]:
    """Fit on one part, and return the R2 of each field on the other."""
    (x, y), (x_held, y_held) = learned, held_out
    center, spread = x.mean(0), x.std(0)
    spread[spread == 0] = 1.0
    x, x_held, middle = (x - center) / spread, (x_held - center) / spread, y.mean(0)
    squares = x.T @ x / len(x) + RIDGE * np.eye(x.shape[1])
    weights = np.linalg.solve(squares, x.T @ (y - middle) / len(x))
    wrong = np.square(y_held - middle - x_held @ weights).sum(0)
    varied = np.square(y_held - y_held.mean(0)).sum(0)
    return {
        name: float(1 - wrong[of].sum() / varied[of].sum()) if varied[of].sum() else 0.0
        for name, of in fields.items()
    }
