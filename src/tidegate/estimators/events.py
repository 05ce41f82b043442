"""What estimators are given, as a table of events.

A sequence is a session. X may be

- a long frame (pandas, polars, Arrow): a row an event, with a column of session ids;
- a list of arrays, ``(n_i, features)`` each, or ``(n_i,)`` of one feature;
- an array ``(sequences, T, features)``;
- an array ``(sequences, T)``: sequences of one feature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from tidegate import tables
from tidegate.errors import InputError
from tidegate.schema import Field, SchemaConfig
from tidegate.tables import EventTable

__all__ = [
    "Layout",
    "check_fraction",
    "held_out",
    "is_frame",
    "of_arrays",
    "of_frame",
    "parts",
    "place_labels",
    "places",
    "require",
    "schema_of",
    "sequences",
]


@dataclass(frozen=True)
class Layout:
    """What a fitted estimator expects to be given again.

    Parameters
    ----------
    kind : {"flat", "steps", "tokens", "frame"}
        An array of two dimensions, sequences of arrays or of tokens, or a long frame.
    size : int
        Features of an event; of ``flat``, events of a sequence.
    """

    kind: Literal["flat", "steps", "tokens", "frame"]
    size: int

    def __str__(self) -> str:
        words = {
            "flat": f"rows of {self.size} events",
            "steps": f"sequences of {self.size} features",
            "tokens": "sequences of tokens",
            "frame": f"a frame of {self.size} fields",
        }
        return words[self.kind]


def is_frame(X: Any, session: str | None = None) -> bool:
    """Say whether X is a frame, with a column of session ids if one is named."""
    try:
        frame = nw.from_native(X, eager_only=True)
    except TypeError:
        return False
    return session is None or session in frame.columns


def require(X: Any, names: Mapping[str, str]) -> None:
    """Refuse a frame that lacks a column: ``missing_column``.

    Parameters
    ----------
    X : frame
        Of any kind.
    names : mapping of str to str
        Columns, and the parameter that each is named by.
    """
    columns = nw.from_native(X, eager_only=True).columns
    for name, parameter in names.items():
        if name not in columns:
            raise InputError(
                "missing_column",
                "the frame has no such column",
                field=name,
                hint=f"its columns are {', '.join(columns)}: say by `{parameter}` which is meant",
            )


def of_arrays(given: Sequence[NDArray[Any]] | NDArray[Any]) -> EventTable:
    """Return a table of sequences; session i is called ``str(i)``, feature j ``xj``.

    Parameters
    ----------
    given : sequence of array (n_i, features), or one array (sequences, T, features)
        Finite numbers.

    Raises
    ------
    InputError
        ``bad_input``: a sequence has no event, or another number of features, or is not finite.

    Examples
    --------
    >>> table = of_arrays([np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0, 6.0]])])
    >>> table.offsets.tolist(), table.columns["x1"].tolist()
    ([0, 2, 3], [2.0, 4.0, 6.0])
    """
    features = given[0].shape[1]
    for place, sequence in enumerate(given):
        if sequence.ndim != 2 or sequence.shape[1] != features or len(sequence) == 0:
            raise InputError(
                "bad_input",
                f"sequence {place} has shape {sequence.shape}, the first {given[0].shape}",
                field="X",
                hint="give arrays (events, features), of one event or more and equal features",
            )
    values = np.concatenate(list(given)).astype(np.float64)
    if not np.isfinite(values).all():
        raise InputError(
            "not_finite",
            "X contains NaN or infinity",
            field="X",
            hint="a long frame and a `schema` can say what stands for missing values",
        )
    lengths = [len(sequence) for sequence in given]
    return EventTable(
        sessions=[str(place) for place in range(len(given))],
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        times=np.zeros(len(values)),
        columns={f"x{j}": np.ascontiguousarray(values[:, j]) for j in range(features)},
        labels=None,
        source_rows=np.arange(len(values)),
    )


def sequences(X: Any) -> list[NDArray[Any]] | NDArray[Any] | None:
    """Return X as sequences (n_i, features), if it is an array of three dimensions, or arrays.

    Raises
    ------
    InputError
        ``no_events``: there is none.

    Examples
    --------
    >>> [sequence.shape for sequence in sequences([np.zeros((3, 2)), np.zeros((1, 2))])]
    [(3, 2), (1, 2)]
    >>> sequences([[1.0, 2.0], [3.0, 4.0]])  # rows of an array of two dimensions
    """
    cube = isinstance(X, np.ndarray) and X.ndim == 3 and X.dtype != object
    arrays = isinstance(X, list | tuple) or (isinstance(X, np.ndarray) and X.dtype == object)
    if (cube or arrays) and len(X) == 0:
        raise InputError(
            "no_events", "there is no sequence", field="X", hint="give one sequence or more"
        )
    if cube:
        return np.asarray(X)
    if not arrays or not all(isinstance(x, np.ndarray) and x.ndim for x in X):
        return None
    return [x[:, None] if x.ndim == 1 else x for x in X]


def schema_of(X: Any, session: str, time: str | None) -> SchemaConfig:
    """Return the fields of a long frame: numbers, truths, and all else as categories.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"session": ["a"], "speed": [1.5], "lane": ["left"]})
    >>> {name: field.kind for name, field in schema_of(frame, "session", None).fields.items()}
    {'speed': 'numeric', 'lane': 'category'}
    """
    found = nw.from_native(X, eager_only=True).schema
    return SchemaConfig(
        {
            name: Field(
                "numeric" if kind.is_numeric() else "boolean" if kind == nw.Boolean else "category"
            )
            for name, kind in found.items()
            if name not in (session, time)
        }
    )


def of_frame(X: Any, schema: SchemaConfig, session: str, time: str | None) -> EventTable:
    """Return the table of a long frame; errors are those of `tables.read`."""
    fields = {name: field.kind for name, field in schema.fields.items()}
    return tables.read(X, session=session, fields=fields, time=time)


def places(table: EventTable) -> NDArray[np.int64]:
    """Return the place of each session of a table among those of X, by their first rows.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"s": ["b", "a", "b"], "t": [2.0, 1.0, 3.0]})
    >>> table = tables.read(frame, session="s", time="t", fields={})
    >>> table.sessions, places(table)
    (['a', 'b'], array([1, 0]))
    """
    first = np.minimum.reduceat(table.source_rows, table.offsets[:-1])
    ranks = np.empty(len(first), dtype=np.int64)
    ranks[np.argsort(first)] = np.arange(len(first))
    return ranks


def place_labels(
    table: EventTable, y: NDArray[Any]
) -> tuple[NDArray[Any], Literal["event", "session"]]:
    """Return y for each event of a table, and what it is given for.

    Parameters
    ----------
    table : EventTable
        Of X.
    y : array (sequences,) or (events,)
        In the order of X: sequences by their first event.

    Raises
    ------
    InputError
        ``bad_labels``: it has another length.
    """
    if len(y) == len(table.sessions):
        return np.repeat(y[places(table)], table.lengths), "session"
    if len(y) == table.n_events:
        return y[table.source_rows], "event"
    raise InputError(
        "bad_labels",
        f"{len(y)} labels of {len(table.sessions)} sequences with {table.n_events} events",
        field="y",
        hint="give one label a sequence, or one an event",
    )


def held_out(labels: NDArray[Any], fraction: float, seed: int) -> NDArray[np.bool_]:
    """Choose sequences at random for validation, of each class its share.

    Parameters
    ----------
    labels : array (sequences,)
        Names of classes (None: unknown), or numbers, which count as one class.
    fraction : float
        More than 0, less than 1.
    seed : int
        The same choice for the same seed.

    Returns
    -------
    bool array (sequences,)
        At least one is chosen, and one of each class is not.

    Raises
    ------
    InputError
        ``out_of_range``: no such fraction; ``bad_input``: no class has two sequences.

    Examples
    --------
    >>> labels = np.array(["a"] * 8 + ["b"] * 4 + ["c"], dtype=object)
    >>> held_out(labels, 0.25, seed=0).nonzero()[0].tolist()
    [1, 5, 8]
    """
    check_fraction(fraction)
    order = np.random.default_rng(seed).permutation(len(labels))
    names = [str(name) for name in labels] if labels.dtype == object else ["number"] * len(labels)
    _, classes = np.unique(names, return_inverse=True)
    order = order[np.argsort(classes[order], kind="stable")]
    of_its_class = np.append([True], np.diff(classes[order]) != 0)
    due = np.diff(np.floor(np.arange(len(order) + 1) * fraction)) > 0
    taken = due & ~of_its_class
    if not taken.any():
        later = np.flatnonzero(~of_its_class)
        if len(later) == 0:
            raise InputError(
                "bad_input",
                f"{len(labels)} sequences (n_samples={len(labels)}): none is left for validation",
                field="X",
                hint="give more than 1 sample of a class, or validation_fraction=0",
            )
        taken[later[-1]] = True
    chosen = np.zeros(len(labels), dtype=bool)
    chosen[order[taken]] = True
    return chosen


def check_fraction(fraction: float) -> None:
    """Refuse a share of the validation part that is none: ``out_of_range``."""
    if not 0 < fraction < 1:
        raise InputError(
            "out_of_range",
            f"{fraction!r} is no share",
            field="validation_fraction",
            hint="use 0 or more, less than 1",
        )


def parts(table: EventTable, fraction: float, seed: int) -> tuple[EventTable, EventTable]:
    """Split what has no labels: sequences at random, or one sequence alone in two.

    Parameters
    ----------
    table : EventTable
        Of one sequence or more.
    fraction : float
        Share of the sequences, or of the last events of the one.
    seed : int
        The same choice for the same seed.

    Raises
    ------
    InputError
        ``out_of_range``; ``bad_input``: one sequence of one event.

    Examples
    --------
    >>> train, valid = parts(of_arrays([np.arange(8.0)[:, None]]), 0.25, seed=0)
    >>> train.columns["x0"].tolist(), valid.columns["x0"].tolist()
    ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0])
    """
    if len(table.sessions) > 1 or table.n_events == 1:
        chosen = held_out(np.zeros(len(table.sessions)), fraction, seed)
        return table.take(np.flatnonzero(~chosen)), table.take(np.flatnonzero(chosen))
    check_fraction(fraction)
    cut = table.n_events - min(max(1, round(fraction * table.n_events)), table.n_events - 1)
    halved = replace(
        table,
        sessions=[*table.sessions, f"{table.sessions[0]}, its end"],
        offsets=np.array([0, cut, table.n_events]),
    )
    return halved.take([0]), halved.take([1])
