"""What every network has to beat: the answer that never changes, and boosting over lags."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate import answers
from tidegate.schema import Schema
from tidegate.spec import ItemsSpec, TaskSpec
from tidegate.tables import EventTable, naming_rows
from tidegate.tasks import item_baselines
from tidegate.train.parts import Prepared

__all__ = ["LAGS", "baselines", "lagged"]

LAGS = 3
MOST_EVENTS = 200_000
_RATES = (0.05, 0.1, 0.2)
_Indices = NDArray[np.int64]
_ITEM_RULES: Mapping[str, Callable[[_Indices, _Indices, int], item_baselines.Baseline]] = {
    "popularity": item_baselines.Popularity.fit,
    "markov": item_baselines.Markov.fit,
    "item-knn": item_baselines.ItemKNN.fit,
}

Floats = NDArray[np.float64]


def baselines(
    prepared: Prepared, table: EventTable, *, watch: str
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield simple ways to answer, and their answers to a table.

    Parameters
    ----------
    prepared : Prepared
        What they learn from; boosting chooses its learning rate on the validation part.
    table : EventTable
        What is answered.
    watch : str
        The metric that chooses.

    Yields
    ------
    name : str
        ``constant`` or ``boosting``, if the task has labels; of the next item ``popularity``,
        ``markov`` and ``item-knn``.
    outputs : float32 array (events, answer_size)
        As a model's.
    """
    task = prepared.task
    if task.name == "next_item":
        yield from _rules(prepared, table)
    if task.name not in ("classify", "regress"):
        return
    truth = answers.open(task).truth(prepared.train, prepared.schema)
    yield "constant", np.tile(_constant(task, truth[~np.isnan(truth)]), (table.n_events, 1))
    yield "boosting", _boosted(prepared, table, truth, watch)


def _rules(prepared: Prepared, table: EventTable) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield rules of the next item, each with what it names after every event."""
    task, schema, train = prepared.task, prepared.schema, prepared.train
    column = schema.columns.index(task.label)

    def items(part: EventTable) -> _Indices:
        with naming_rows(part.source_rows):
            rows = schema.encode(part.columns, part.times, part.offsets).rows
        return rows[:, column].astype(np.int64)

    top = (task.items or ItemsSpec()).top
    learned, given = items(train), items(table)
    for name, fit in _ITEM_RULES.items():
        fitted = fit(learned, train.offsets, task.output_size)
        yield name, item_baselines.named(fitted, given, table.offsets, top)


def _constant(task: TaskSpec, truth: Floats) -> NDArray[np.float32]:
    """Return the outputs of the best answer that never changes."""
    if task.name == "regress":
        return np.zeros(1, dtype=np.float32)  # the mean, standardised
    counts = np.bincount(truth.astype(np.int64), minlength=len(task.classes)) + 0.5
    return np.asarray(_outputs_of((counts / counts.sum())[None])[0])


def _outputs_of(probabilities: Floats) -> NDArray[np.float32]:
    """Return the head's outputs that give some probabilities."""
    logs = np.log(np.clip(probabilities, 1e-7, None))
    both = logs[:, 1:] - logs[:, :1] if logs.shape[1] == 2 else logs
    return np.asarray(both, dtype=np.float32)


def lagged(table: EventTable, schema: Schema) -> NDArray[np.float32]:
    """Return each event's row, the three before it, and the mean of the session so far.

    Returns
    -------
    float32 array (events, 5 * row_size)
        NaN before a session's first event.
    """
    with naming_rows(table.source_rows):
        rows = schema.encode(table.columns, table.times, table.offsets).rows
    place = table.seqs - 1
    parts = [rows]
    for lag in range(1, LAGS + 1):
        before = np.full_like(rows, np.nan)
        there = np.flatnonzero(place >= lag)
        before[there] = rows[there - lag]
        parts.append(before)
    sums = rows.astype(np.float64).cumsum(axis=0)
    first = np.repeat(table.offsets[:-1], table.lengths)
    earlier = np.where((first > 0)[:, None], sums[np.maximum(first - 1, 0)], 0.0)
    parts.append(((sums - earlier) / (place + 1)[:, None]).astype(np.float32))
    return np.concatenate(parts, axis=1)


def _boosted(
    prepared: Prepared, table: EventTable, truth: Floats, watch: str
) -> NDArray[np.float32]:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    task, half = prepared.task, answers.open(prepared.task)
    seen = np.flatnonzero(~np.isnan(truth))
    if len(seen) > MOST_EVENTS:
        seen = np.sort(np.random.default_rng(0).choice(seen, MOST_EVENTS, replace=False))
    given = lagged(prepared.train, prepared.schema)[seen]
    valid = lagged(prepared.valid, prepared.schema)
    right = half.truth(prepared.valid, prepared.schema)
    sign = -1.0 if watch in answers.HIGHER_IS_BETTER else 1.0
    best, chosen = np.inf, None
    for rate in _RATES:
        kind = (
            HistGradientBoostingRegressor
            if task.name == "regress"
            else HistGradientBoostingClassifier
        )
        model = kind(learning_rate=rate, max_iter=150, early_stopping=False, random_state=0)
        with threadpool_limits(1, "openmp"):  # several wait spinning, where other work is done too
            model.fit(given, truth[seen])
        found = half.metrics(_answered(model, valid, task), right, prepared.valid.offsets)
        if sign * found[watch] < best:
            best, chosen = sign * found[watch], model
    return _answered(chosen, lagged(table, prepared.schema), task)


def _answered(model: Any, features: NDArray[np.float32], task: TaskSpec) -> NDArray[np.float32]:
    if task.name == "regress":
        values = model.predict(features)
        scaled = (values - task.target_mean) / task.target_scale
        return np.asarray(scaled, dtype=np.float32)[:, None]
    found = model.predict_proba(features)
    whole = np.full((len(found), len(task.classes)), 1e-7)
    whole[:, model.classes_.astype(np.int64)] = found
    return _outputs_of(whole)
