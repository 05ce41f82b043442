"""The features of boosting with lags: right, and of the past only."""

from __future__ import annotations

import random
from datetime import timedelta

import polars as pl
import pytest
from baselines import LAGS, last_outcome, questions


@pytest.fixture(scope="module")
def events(make_flight, make_events) -> pl.DataFrame:
    """Two busy days of two carriers."""
    rng = random.Random(5)
    flights = []
    for number in range(80):
        due = rng.randrange(6, 22) * 100 + rng.randrange(60)
        delay = rng.choice([None, -5, 0, 3, 20, 45, 120])
        lands = None if delay is None or rng.random() < 0.05 else delay + rng.randrange(-20, 20)
        day, carrier = (7, rng.choice([4, 5])), rng.choice(["AA", "B6"])
        flights.append(
            make_flight(day, due, (due + 230) % 2400 // 100 * 100, delay, lands, "MIA", number)
            | {"carrier": carrier}
        )
    return make_events(flights)


def test_each_feature_is_what_a_plain_loop_gives(events):
    asked = questions(events)
    assert len(asked) > 50
    for question in asked.iter_rows(named=True):
        past = events.filter(
            pl.col("session") == question["session"], pl.col("seq") < question["seq"]
        )
        for what in ("dep", "arr"):
            delays = past[f"{what}_delay"].drop_nulls().to_list()
            late = [delay > 15 for delay in delays]
            expected = {
                "last_1": delays[-1] if delays else None,
                "last_5": delays[-5] if len(delays) >= 5 else None,
                "mean_of_3": _mean(delays[-3:]),
                "mean": _mean(delays),
                "late_share": _mean(late),
                "max": max(delays, default=None),
                "count": len(delays) or None,
            }
            since = question["time"] - timedelta(hours=1)
            hour = past.filter(pl.col("time") >= since)[f"{what}_delay"].drop_nulls()
            expected["mean_1h"] = _mean(hour.to_list())
            for name, value in expected.items():
                found = question[f"{what}_{name}"]
                assert found == pytest.approx(value), (what, name)
        due = past.filter(
            pl.col("kind") == "scheduled",
            pl.col("time") + timedelta(hours=1) <= question["time"],
        )
        assert question["overdue"] == len(due) - past["dep_delay"].drop_nulls().len()


def test_no_feature_knows_the_future(events):
    asked = questions(events)
    for session, seq in asked.select("session", "seq").sample(12, seed=1).rows():
        here = (pl.col("session") == session) & (pl.col("seq") == seq)
        until = events.filter((pl.col("session") != session) | (pl.col("seq") <= seq))
        assert questions(until).filter(here).equals(asked.filter(here))


def test_features_are_there_and_questions_are_labelled(events):
    asked = questions(events)
    assert set(LAGS) <= set(asked.columns)
    assert len(LAGS) == len(set(LAGS))
    assert asked["kind"].unique().to_list() == ["scheduled"]
    assert asked["outcome"].null_count() == 0


def test_the_last_outcome_is_that_of_the_last_landing(events):
    asked = questions(events)
    said = last_outcome(asked)
    assert set(said) == {0.0, 1.0}
    assert said.tolist() == [(delay or 0) > 15 for delay in asked["arr_last_1"]]


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
