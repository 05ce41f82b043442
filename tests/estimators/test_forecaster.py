from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, GroupKFold
from streamed import streamed

from tidegate import bundle as bundles
from tidegate import scoring, tables
from tidegate.engine import offline
from tidegate.errors import InputError
from tidegate.estimators import RecurrentForecaster
from tidegate.schema import Field, SchemaConfig

SMALL: dict[str, Any] = {"hidden_size": 8, "epochs": 3, "random_state": 0, "horizons": 3}
BEGIN = datetime(2024, 1, 1)


def waves(n: int = 8, length: int = 40) -> np.ndarray:
    return np.asarray(np.sin(np.arange(length) * 0.5 + np.arange(n)[:, None]))


def long(length: int = 40, names: tuple[Any, ...] = ("b", "a")) -> pl.DataFrame:
    """Series by the hour, whose rows are mixed."""
    rows = [
        (name, BEGIN + timedelta(hours=at), float(np.sin(at * 0.5 + place)))
        for place, name in enumerate(names)
        for at in range(length)
    ]
    frame = pl.DataFrame(rows, schema=["unique_id", "ds", "y"], orient="row")
    return frame.sample(fraction=1.0, shuffle=True, seed=1)


def test_it_learns_a_wave_better_than_the_last_value() -> None:
    X = waves(12)
    model = RecurrentForecaster(**SMALL | {"epochs": 20}).fit(X)
    last = -float(np.abs(X[:, -3:] - X[:, [-4]]).mean())
    assert model.score(X) > last / 2
    assert model.predict(X).shape == (12, 3)
    assert model.horizons_ == (1, 2, 3)


def test_horizons_are_what_names_some_numbers() -> None:
    for horizons in ([1, 3], (1, 3), np.array([1, 3])):
        model = RecurrentForecaster(**SMALL | {"horizons": horizons, "epochs": 1}).fit(waves())
        assert model.horizons_ == (1, 3)


def test_all_forms_of_series_give_the_same_forecasts() -> None:
    X = waves()
    forms = [X, X[:, :, None], list(X), list(X[:, :, None])]
    found = [RecurrentForecaster(**SMALL).fit(form).predict(form) for form in forms]
    for each in found[1:]:
        np.testing.assert_array_equal(each, found[0])


def test_a_frame_is_answered_with_a_frame_of_its_kind() -> None:
    frame = long()
    plain = pd.DataFrame(frame.to_dict(as_series=False))
    model = RecurrentForecaster(**SMALL).fit(frame)
    found = model.predict_interval(frame)
    assert found.columns == ["unique_id", "ds", "horizon", "y_hat", "lo", "hi"]
    assert found["unique_id"].unique(maintain_order=True).to_list() == (
        frame["unique_id"].unique(maintain_order=True).to_list()
    )
    assert found["horizon"].to_list() == [1, 2, 3] * 2
    assert found["ds"].to_list() == [BEGIN + timedelta(hours=39 + h) for h in (1, 2, 3)] * 2
    assert (found["lo"] <= found["y_hat"]).all()
    assert (found["y_hat"] <= found["hi"]).all()
    in_pandas = model.predict_interval(plain)
    assert isinstance(in_pandas, pd.DataFrame)
    assert in_pandas["y_hat"].tolist() == found["y_hat"].to_list()
    assert in_pandas["ds"].tolist() == found["ds"].to_list()
    arrays = [frame.filter(unique_id=name).sort("ds")["y"].to_numpy() for name in ("a", "b")]
    assert model.predict(frame.sort("unique_id"))["y_hat"].to_list() == pytest.approx(
        [y for x in arrays for y in model.predict(one(x))["y_hat"]], abs=1e-12
    )


def one(values: np.ndarray) -> pl.DataFrame:
    times = [BEGIN + timedelta(hours=at) for at in range(len(values))]
    return pl.DataFrame({"unique_id": ["new"] * len(values), "ds": times, "y": values})


@pytest.mark.parametrize(
    ("times", "ahead"),
    [
        (list(range(40)), [40, 41, 42]),
        (
            [BEGIN.date() + timedelta(days=d) for d in range(40)],
            [date(2024, 2, d) for d in (10, 11, 12)],
        ),
        (
            [(BEGIN + timedelta(days=d)).isoformat() for d in range(40)],
            [datetime(2024, 2, d) for d in (10, 11, 12)],
        ),
        (
            [BEGIN.replace(tzinfo=UTC) + timedelta(days=d) for d in range(40)],
            [datetime(2024, 2, d, tzinfo=UTC) for d in (10, 11, 12)],
        ),
    ],
    ids=["numbers", "dates", "text", "zoned"],
)
def test_times_come_back_as_they_were(times: list[Any], ahead: list[Any]) -> None:
    frame = pl.DataFrame({"unique_id": [7] * 40, "ds": times, "y": np.sin(np.arange(40.0))})
    found = RecurrentForecaster(**SMALL | {"epochs": 1}).fit(frame).predict(frame)
    assert found["ds"].to_list() == ahead
    assert found["unique_id"].to_list() == [7] * 3


def test_names_of_columns_are_free_and_rows_without_times_keep_their_order() -> None:
    frame = long().rename({"unique_id": "shop", "ds": "hour", "y": "sold"})
    names = {"session": "shop", "time": "hour", "field": "sold"}
    found = RecurrentForecaster(**SMALL, **names).fit(frame).predict(frame)
    assert found.columns == ["shop", "hour", "horizon", "y_hat"]
    in_order = frame.sort("hour").drop("hour")
    untimed = RecurrentForecaster(**SMALL, **names | {"time": None}).fit(in_order)
    assert untimed.predict(in_order).columns == ["shop", "horizon", "y_hat"]


def test_quantiles_rise_and_have_columns_of_their_own() -> None:
    X = waves()
    model = RecurrentForecaster(**SMALL, quantiles=(0.1, 0.5, 0.9), coverage=0).fit(X)
    found = model.predict_quantiles(X)
    assert found.shape == (8, 3, 3)
    assert (np.diff(found, axis=-1) >= 0).all()
    np.testing.assert_array_equal(found[..., 1], model.predict(X))
    with pytest.raises(InputError, match="coverage"):
        model.predict_interval(X)
    frame = long()
    model = RecurrentForecaster(**SMALL, quantiles=(0.1, 0.5, 0.9)).fit(frame)
    assert model.predict_quantiles(frame).columns[3:] == ["y_hat", "q0.1", "q0.5", "q0.9"]
    with pytest.raises(InputError, match="quantiles"):
        RecurrentForecaster(**SMALL).fit(X).predict_quantiles(X)


def test_a_bundle_answers_what_predict_does(tmp_path: Path) -> None:
    frame = long()
    model = RecurrentForecaster(**SMALL, quantiles=(0.1, 0.5, 0.9)).fit(frame)
    model.to_bundle(tmp_path / "b", "waves", "1")
    intervals, quantiles = model.predict_interval(frame), model.predict_quantiles(frame)
    for name in ("a", "b"):
        series = frame.filter(unique_id=name).sort("ds")
        times = series["ds"].dt.epoch("us") / 1e6
        *_, said = streamed(tmp_path / "b", series.select("y").to_dicts(), times.to_list())
        for key, column in {"forecast": "y_hat", "low": "lo", "high": "hi"}.items():
            assert said[key] == intervals.filter(unique_id=name)[column].to_list()
        assert said["quantiles"]["0.9"] == quantiles.filter(unique_id=name)["q0.9"].to_list()
    loaded = bundles.load(tmp_path / "b")
    table = scoring.read(loaded, frame.sort("ds"))
    scored = scoring.answer(loaded, offline.open(loaded), table)
    last = [np.flatnonzero(scored["session"] == name)[-1] for name in ("a", "b")]
    ordered = intervals.sort("unique_id", maintain_order=True)
    for horizon in (1, 2, 3):
        of_it = ordered.filter(horizon=horizon)
        for key, column in {"forecast": "y_hat", "low": "lo", "high": "hi"}.items():
            assert scored[f"{key}_{horizon}"][last].tolist() == of_it[column].to_list()
    tables.write(tmp_path / "scores.parquet", scored)


def test_what_is_known_beside_the_series_is_read() -> None:
    frame = (
        long(60)
        .sort("ds")
        .with_columns(sale=pl.col("ds").dt.hour() == 5, place=pl.col("unique_id") + "!")
    )
    schema = SchemaConfig(
        {
            "y": Field("numeric", missing="carry"),
            "sale": Field("boolean", missing="zero"),
            "place": Field("category", constant=True),
        }
    )
    for model in (RecurrentForecaster(**SMALL), RecurrentForecaster(**SMALL, schema=schema)):
        fitted = model.fit(frame)
        assert set(fitted.trained_.schema.names) == {"y", "sale", "place"}
        assert fitted.predict(frame)["y_hat"].is_finite().all()


@pytest.mark.parametrize("kind", ["NaN", "NA"])
def test_nothing_is_missing_as_pandas_has_it(kind: str) -> None:
    frame = long().with_columns(y=pl.when(pl.int_range(pl.len()) != 7).then("y"))
    native = frame.to_pandas()
    native = native.convert_dtypes() if kind == "NA" else native
    wanted = RecurrentForecaster(**SMALL).fit(frame).predict(frame)
    found = RecurrentForecaster(**SMALL).fit(native).predict(native)
    assert found["y_hat"].tolist() == wanted["y_hat"].to_list()


def test_a_gap_goes_on_with_the_last_value() -> None:
    frame = long(60)
    gaps = frame.filter(pl.col("ds").dt.hour() % 7 != 3)
    model = RecurrentForecaster(**SMALL).fit(gaps)
    lengths = model.trained_.valid.lengths
    assert lengths.tolist() == [60, 60]
    assert len(model.predict(gaps)) == 6


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda frame: pl.concat([frame, frame.head(1)]), "duplicate_time"),
        (
            lambda frame: frame.with_columns(
                ds=pl.col("ds") + pl.duration(seconds=pl.col("y").rank())
            ),
            "mixed_step",
        ),
        (lambda frame: frame.drop("ds"), "missing_column"),
        (lambda frame: frame.drop("unique_id"), "missing_column"),
        (lambda frame: frame.rename({"y": "z"}), "missing_column"),
        (lambda frame: frame.with_columns(y=pl.lit("much")), "wrong_type"),
        (lambda frame: frame.with_columns(y=pl.lit(None, dtype=pl.Float64)), "no_labels"),
        (lambda frame: frame.head(0), "too_short"),
        (lambda frame: frame.group_by("unique_id").head(1), "too_short"),
    ],
    ids=["duplicate", "mixed", "no ds", "no id", "no y", "text", "missing", "empty", "one row"],
)
def test_a_frame_that_makes_no_series_is_refused(change: Any, code: str) -> None:
    with pytest.raises(InputError) as refused:
        RecurrentForecaster(**SMALL).fit(change(long()))
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("column", "parameter"), [("unique_id", "session"), ("ds", "time"), ("y", "field")]
)
def test_it_says_which_parameter_names_a_column_that_is_not_there(
    column: str, parameter: str
) -> None:
    with pytest.raises(InputError, match=f"{column}: .* say by `{parameter}` which is meant"):
        RecurrentForecaster(**SMALL).fit(long().rename({column: "other"}))


@pytest.mark.parametrize(
    ("options", "X", "code"),
    [
        ({}, np.zeros((3, 3)), "too_short"),
        ({}, [np.zeros(1), np.zeros(1)], "too_short"),
        ({"horizons": 0}, waves(), "out_of_range"),
        ({"loss": "rmse"}, waves(), "wrong_type"),
        ({"quantiles": (0.9, 0.1)}, waves(), "out_of_range"),
        ({"validation_fraction": 2}, waves(), "out_of_range"),
        ({"bidirectional": True}, waves(), "bad_config"),
        ({"field": "y"}, waves(), "wrong_type"),
    ],
)
def test_what_makes_no_forecast_is_refused(options: dict[str, Any], X: Any, code: str) -> None:
    with pytest.raises(InputError) as refused:
        RecurrentForecaster(**SMALL | options).fit(X)
    assert refused.value.code == code


def test_a_series_that_is_too_short_to_be_measured_is_refused() -> None:
    model = RecurrentForecaster(**SMALL).fit(waves())
    with pytest.raises(InputError, match="too_short"):
        model.score(waves(2, 3))
    assert model.predict(waves(2, 3)).shape == (2, 3)  # but forecast from
    with pytest.raises(InputError, match="fitted on"):
        model.predict(long())


def test_a_constant_series_stays_what_it_is() -> None:
    X = np.full((4, 30), 7.0)
    model = RecurrentForecaster(**SMALL | {"epochs": 10}).fit(X)
    np.testing.assert_allclose(model.predict(X), 7.0, atol=0.5)


def test_it_is_searched_by_series() -> None:
    X = list(waves())
    search = GridSearchCV(RecurrentForecaster(**SMALL), {"cell": ["gru", "rnn"]}, cv=2).fit(X)
    assert search.predict(X).shape == (8, 3)
    frame = long(names=("a", "b", "c", "d")).to_pandas()
    groups = frame["unique_id"]
    search = GridSearchCV(RecurrentForecaster(**SMALL), {"cell": ["gru"]}, cv=GroupKFold(2))
    assert np.isfinite(search.fit(frame, groups=groups).best_score_)


def test_its_own_parameters_are_named_with_the_shared_ones() -> None:
    model = RecurrentForecaster(horizons=[1, 24], hidden_size=7)
    assert {"horizons", "quantiles", "hidden_size", "patience"} <= model.get_params().keys()
    assert repr(model) == "RecurrentForecaster(hidden_size=7, horizons=[1, 24])"
    assert repr(clone(model)) == repr(model)
    with pytest.raises(TypeError, match="horizon"):
        RecurrentForecaster(horizon=3)
