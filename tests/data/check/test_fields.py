"""Fields that give the label away are found, and fields that merely help are not."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from checkable import honest, named, parts_of

from tidegate.data.check import examine

TARGET = [("target_among_fields", "serious")]
FUTURE = [("future_field", "warning")]
later = pl.col("worn").shift(-1).over("id")
worn = pl.col("worn")


@pytest.mark.parametrize("seed", range(5))
def test_honest_fields_are_clean(seed: int) -> None:
    frame = honest(seed)
    assert named(parts_of(frame)) == []
    assert named(parts_of(frame, "regress", "level")) == []


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        (worn, "numeric"),
        (worn == 0, "boolean"),
        (worn * 3 - pl.col("noise") / 100, "numeric"),  # each class has its range
        (pl.when(worn == 1).then(pl.lit("alarm")).otherwise(pl.col("site")), "category"),
        (pl.when(worn == 1).then(pl.lit(4.0)), "numeric"),  # only there if it is worn
        (pl.when(worn == 1).then(pl.lit("ticket")), "category"),
    ],
)
def test_the_class_among_the_fields(made: pl.Expr, kind: str) -> None:
    frame = honest().with_columns(extra=made)
    assert named(parts_of(frame, extra=kind)) == TARGET
    (finding,) = examine(parts_of(frame, extra=kind))
    assert finding.evidence.startswith("extra ")
    assert "tells 100.0% of the labels (worn)" in finding.evidence


def test_the_training_part_alone_counts() -> None:
    rng = np.random.default_rng(1)
    frame = honest().with_columns(other=pl.Series(rng.integers(0, 2, 2400)))
    trained = pl.col("at") < 150_000
    copied = frame.with_columns(extra=pl.when(trained).then(worn).otherwise(pl.col("other")))
    assert named(parts_of(copied, extra="numeric")) == TARGET
    copied = frame.with_columns(extra=pl.when(trained).then(pl.col("other")).otherwise(worn))
    assert named(parts_of(copied, extra="numeric")) == []


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (pl.col("level") * 1.8 + 32, TARGET),
        (-(pl.col("level") ** 3), TARGET),
        (pl.col("level").round(1), TARGET),
        (pl.col("level") > 1, TARGET),
        (pl.col("level") + pl.col("noise") / 5, []),  # close to it is not made of it
    ],
)
def test_the_number_among_the_fields(made: pl.Expr, found: list[tuple[str, str]]) -> None:
    frame = honest().with_columns(extra=made.cast(pl.Float64))
    assert named(parts_of(frame, "regress", "level", extra="numeric")) == found


def test_slow_numbers_that_resemble_the_last_label_are_no_target() -> None:
    """The label before is a fair field, and correlates with a slow one at 0.999."""
    rng = np.random.default_rng(2)
    slow = rng.normal(size=2400).cumsum()
    frame = honest().with_columns(slow=pl.Series(slow), extra=pl.Series(np.append(0, slow[:-1])))
    assert np.corrcoef(slow[1:], slow[:-1])[0, 1] > 0.995
    assert named(parts_of(frame, "regress", "slow", extra="numeric")) == []


def test_few_events_tell_nothing() -> None:
    """19 labels that differ from the most common one may be told right by chance."""
    frame = honest().with_columns(rare=(pl.int_range(2400) % 90 == 0).cast(pl.Int64))
    trained = int(frame.filter(pl.col("at") < 150_000)["rare"].sum())
    assert trained == 20
    copied = frame.with_columns(extra=pl.col("rare"))
    assert TARGET[0] in named(parts_of(copied, label="rare", extra="numeric"))
    fewer = copied.with_columns(pl.col("rare", "extra") * (pl.int_range(2400) != 90))
    assert TARGET[0] not in named(parts_of(fewer, label="rare", extra="numeric"))


def test_the_next_label_among_the_fields() -> None:
    frame = honest().with_columns(extra=later)
    assert named(parts_of(frame, extra="numeric")) == FUTURE
    frame = honest().with_columns(
        extra=pl.when(later == 1).then(pl.lit("b")).otherwise(pl.lit("a"))
    )
    assert named(parts_of(frame, extra="category")) == FUTURE
    frame = honest().with_columns(extra=pl.col("level").shift(-1).over("id"))
    assert named(parts_of(frame, "regress", "level", extra="numeric")) == FUTURE


def test_the_next_label_may_stand_some_events_later() -> None:
    asked = pl.int_range(2400) % 3 == 0
    frame = honest().with_columns(worn=pl.when(asked).then(worn))
    ahead = frame.with_columns(extra=pl.col("worn").shift(-3).over("id"))
    assert named(parts_of(ahead, extra="numeric")) == FUTURE
    behind = frame.with_columns(extra=pl.col("worn").shift(3).over("id"))
    assert named(parts_of(behind, extra="numeric")) == []


def test_earlier_labels_and_fields_are_no_future() -> None:
    frame = honest().with_columns(
        before=worn.shift(1).over("id"),
        faded=pl.col("noise").shift(1).over("id"),
        so_far=worn.cum_sum().over("id") - worn,
    )
    assert named(parts_of(frame, before="numeric", faded="numeric", so_far="numeric")) == []


def test_labels_that_stay_are_told_by_the_last_one() -> None:
    """A label that rises once a session: the label before knows the next as well as most fields."""
    step = (pl.int_range(pl.len()).over("id") >= 6).cast(pl.Int64)
    frame = honest().with_columns(
        stays=step, before=step.shift(1, fill_value=0).over("id"), loud=pl.col("noise") > 0
    )
    assert named(parts_of(frame, label="stays", before="numeric", loud="boolean")) == []


def test_what_the_whole_session_comes_to() -> None:
    frame = honest().with_columns(extra=worn.last().over("id"))
    assert named(parts_of(frame, extra="boolean")) == FUTURE
    frame = honest().with_columns(extra=worn.first().over("id"))
    assert named(parts_of(frame, extra="boolean")) == []
    uneven = honest().filter(pl.col("noise") < 1)
    counted = uneven.with_columns(extra=pl.len().over("id").cast(pl.Float64))
    assert named(parts_of(counted, extra="numeric")) == FUTURE
    counted = uneven.with_columns(extra=pl.int_range(pl.len()).over("id").cast(pl.Float64))
    assert named(parts_of(counted, extra="numeric")) == []


def test_the_label_of_a_session_is_compared_where_it_stands() -> None:
    frame = honest().with_columns(sold=(pl.col("noise").sum() > 0).over("id").cast(pl.Int64))
    given = frame.with_columns(extra=pl.col("sold"))
    assert named(parts_of(given, label="sold", per="session", extra="numeric")) == TARGET
    assert named(parts_of(frame, label="sold", per="session")) == []


def test_identifiers() -> None:
    warned = [("identifier_among_fields", "warning")]
    frame = honest().with_columns(extra=pl.format("serial {}", "id"))
    assert named(parts_of(frame, extra="category")) == warned
    frame = honest().with_columns(extra=pl.format("event {}", pl.int_range(2400)))
    assert named(parts_of(frame, extra="category")) == warned
    frame = honest().with_columns(extra=pl.format("user {}", pl.int_range(2400) // 12 % 40))
    assert named(parts_of(frame, extra="category")) == []


def test_fields_that_say_nothing() -> None:
    frame = honest().with_columns(extra=pl.lit(3.0))
    assert named(parts_of(frame, extra="numeric")) == [("constant_field", "note")]
    place = pl.int_range(2400)
    frame = honest().with_columns(extra=pl.when(place % 11 == 0).then(pl.col("noise")))
    assert named(parts_of(frame, extra="numeric")) == [("mostly_missing", "note")]
    frame = honest().with_columns(extra=pl.when(place % 9 == 0).then(pl.col("noise")))
    assert named(parts_of(frame, extra="numeric")) == []
