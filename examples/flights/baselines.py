"""What the recurrent models are measured against.

Two baselines see the flight asked about and the weather, but nothing that happened before: logistic
regression and gradient boosting. Two know the session's past: the last outcome, and gradient
boosting with lags, which gets the same facts as the recurrent models, worked into features by hand.

All are fitted on January to September; October decides when boosting stops. Of boosting, a few
learning rates and tree sizes were tried by hand; they differ little.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from events import FLIGHT, LATE_MINUTES, WEATHER
from numpy.typing import NDArray
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

__all__ = [
    "LAGS",
    "gradient_boosting",
    "last_outcome",
    "logistic",
    "questions",
]

CATEGORIES = ("origin", "carrier", "dest")
NUMBERS = tuple(name for name in FLIGHT if name not in CATEGORIES)
NO_HISTORY = (*CATEGORIES, *NUMBERS, "weekday", *WEATHER.values())
"""What is known of a flight without looking back: the same fields as a `scheduled` event's."""

LAST = (1, 2, 3, 5)
WINDOWS = ("1h", "3h")

Probabilities = NDArray[np.float64]


def questions(events: pl.DataFrame) -> pl.DataFrame:
    """Return the labelled events with `weekday`, `late` and what the session knew by then.

    The features of the past are `LAGS`. For departures and for landings each: the last delays,
    their mean and the share of late ones over the day and over the last hours, the largest, a mean
    that favours recent ones, how many there were and how long ago the last was. Then how many
    flights should have left by now and have not.
    """
    events = events.sort("session", "seq")
    for what in ("dep", "arr"):
        events = _with_lags(events, what)
    events = _with_overdue(events)
    return events.filter(pl.col("outcome").is_not_null()).with_columns(
        weekday=pl.col("day").dt.weekday().cast(pl.Float64),
        late=pl.col("outcome") == "late",
    )


def last_outcome(test: pl.DataFrame) -> Probabilities:
    """Answer as the session's last landing was; before the first, nothing points to late."""
    was_late = (pl.col("arr_last_1") > LATE_MINUTES).fill_null(False)
    return test.select(was_late.cast(pl.Float64)).to_series().to_numpy()


def logistic(train: pl.DataFrame, test: pl.DataFrame) -> Probabilities:
    """Fit a logistic regression on the flight and the weather; hour and day are categories."""
    numbers = ["distance", "duration", *WEATHER.values()]
    model = make_pipeline(
        make_column_transformer(
            (
                OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=50),
                [*CATEGORIES, "hour", "weekday"],
            ),
            (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), numbers),
        ),
        LogisticRegression(C=0.3, max_iter=300),
    )

    def inputs(table: pl.DataFrame) -> pl.DataFrame:
        return table.select(NO_HISTORY).with_columns(pl.col("hour").floor())

    model.fit(inputs(train), train["late"])
    return model.predict_proba(inputs(test))[:, 1]


def gradient_boosting(
    train: pl.DataFrame, valid: pl.DataFrame, test: pl.DataFrame, features: Sequence[str]
) -> Probabilities:
    """Fit boosted trees until the log loss on `valid` stops falling."""
    vocabulary = {
        name: pl.Enum(train[name].unique().sort()) for name in CATEGORIES if name in features
    }

    def inputs(table: pl.DataFrame) -> NDArray[np.float64]:
        known = [
            pl.col(name).cast(values, strict=False).to_physical()
            for name, values in vocabulary.items()
        ]
        return table.select(features).with_columns(known).cast(pl.Float64).to_numpy()

    model = HistGradientBoostingClassifier(
        learning_rate=0.06,
        max_iter=400,
        min_samples_leaf=100,
        l2_regularization=1.0,
        categorical_features=[name in vocabulary for name in features],
        early_stopping=True,
        n_iter_no_change=20,
        random_state=0,
    )
    # Several threads wait for each other spinning, which takes long where other work is done.
    with threadpool_limits(1, "openmp"):
        model.fit(inputs(train), train["late"], X_val=inputs(valid), y_val=valid["late"])
    return model.predict_proba(inputs(test))[:, 1]


def _with_lags(events: pl.DataFrame, what: str) -> pl.DataFrame:
    """Add what the session knows of its departures ("dep") or landings ("arr") by each event."""
    delay, late = pl.col(f"{what}_delay"), pl.col(f"{what}_delay") > LATE_MINUTES
    facts = events.filter(delay.is_not_null()).select(
        "session",
        "seq",
        pl.col("time").alias(f"{what}_time"),
        *(delay.shift(k - 1).over("session").alias(f"{what}_last_{k}") for k in LAST),
        *(
            delay.rolling_mean(k, min_samples=1).over("session").alias(f"{what}_mean_of_{k}")
            for k in (3, 10)
        ),
        delay.ewm_mean(half_life=3).over("session").alias(f"{what}_recent"),
        delay.cum_max().over("session").alias(f"{what}_max"),
        (delay.cum_sum() / delay.cum_count()).over("session").alias(f"{what}_mean"),
        (late.cum_sum() / late.cum_count()).over("session").alias(f"{what}_late_share"),
        delay.cum_count().over("session").cast(pl.Float64).alias(f"{what}_count"),
    )
    known = [name for name in facts.columns if name not in ("session", "seq")]
    # A window ends before the minute of the question, as the stream's order has it.
    windows = [
        value.cast(pl.Float64)
        .rolling_mean_by("time", window, closed="left")
        .over("session")
        .alias(f"{what}_{name}_{window}")
        for window in WINDOWS
        for name, value in (("mean", delay), ("late_share", late))
    ]
    return (
        events.with_columns(windows)
        .join(facts, on=["session", "seq"], how="left", maintain_order="left")
        .with_columns(pl.col(known).forward_fill().over("session"))
        .with_columns(
            (pl.col("time") - pl.col(f"{what}_time")).dt.total_minutes().alias(f"{what}_age")
        )
    )


def _with_overdue(events: pl.DataFrame) -> pl.DataFrame:
    """Add how many of the session's flights should have departed before now and have not."""
    due = (
        events.filter(pl.col("kind") == "scheduled")
        .select("session", time=pl.col("time") + pl.duration(hours=1))
        .sort("time")
        .with_columns(due=pl.int_range(1, pl.len() + 1).over("session"))
        .unique(["session", "time"], keep="last")
    )
    departures = pl.col("dep_count").fill_null(0)
    return (
        events.sort("time")
        .join_asof(due.sort("time"), on="time", by="session", check_sortedness=False)
        .sort("session", "seq")
        .with_columns(overdue=pl.col("due").fill_null(0) - departures)
    )


LAGS = (
    *(
        f"{what}_{name}"
        for what in ("dep", "arr")
        for name in (
            *(f"last_{k}" for k in LAST),
            *("mean_of_3", "mean_of_10", "recent", "max", "mean", "late_share", "count", "age"),
            *(
                f"{statistic}_{window}"
                for window in WINDOWS
                for statistic in ("mean", "late_share")
            ),
        )
    ),
    "overdue",
)
"""The features of a session's past."""
