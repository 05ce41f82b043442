"""Sessions that are in two parts, reach into another one, or are there twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
from checkable import honest, named, parts_of

from tidegate.data.check import Parts, examine


def copied(frame: pl.DataFrame, source: int, target: int) -> pl.DataFrame:
    """Write one session's events under another's id, at its times."""
    copy = frame.filter(pl.col("id") == f"s{source}").with_columns(
        id=pl.lit(f"s{target}"), at=pl.col("at") + (target - source) * 1000.0
    )
    return pl.concat([frame.filter(pl.col("id") != f"s{target}"), copy])


def test_a_session_of_two_parts() -> None:
    parts = parts_of(honest())
    train, valid = parts.train, parts.tables["validation"]
    mixed = replace(valid, sessions=[*train.sessions[:2], *valid.sessions[2:]])
    found = examine(Parts.of(train, mixed, schema=parts.schema, task=parts.task))
    assert [(finding.name, finding.severity) for finding in found] == [
        ("overlapping_sessions", "serious")
    ]
    assert "2 of the 25 sessions of the validation part" in found[0].evidence
    assert "'s0', 's1'" in found[0].evidence


def test_sessions_that_go_on_behind_the_cut() -> None:
    """Session 149 begins at 149,000 s; its last events are moved behind 150,000 s."""
    place = pl.int_range(pl.len()).over("id")

    def delayed(first: int, sessions: list[str]) -> pl.DataFrame:
        late = pl.col("id").is_in(sessions) & (place >= first)
        return honest().with_columns(at=pl.col("at") + pl.when(late).then(7200.0).otherwise(0.0))

    (note,) = examine(parts_of(delayed(11, ["s149"])))
    assert (note.name, note.severity) == ("future_in_training", "note")
    assert note.evidence.startswith("1 events (0.06%) of the training part, of 1 sessions")
    assert note.evidence.endswith("by up to 1.91 h")
    many = [f"s{i}" for i in range(146, 150)]
    assert named(parts_of(delayed(4, many))) == [("future_in_training", "warning")]
    (late,) = examine(parts_of(delayed(4, ["s174"])))
    assert "of the validation part" in late.evidence
    by_session = replace(parts_of(delayed(4, many)), starts=())
    assert named(by_session) == []


def test_copies_across_parts_and_within_one() -> None:
    across = [("duplicated_sessions", "warning")]
    assert named(parts_of(copied(honest(), 3, 190))) == across
    (finding,) = examine(parts_of(copied(honest(), 3, 190)))
    assert finding.evidence.startswith("1 of the 25 sessions (4.0%) of the test part")
    assert finding.evidence.endswith("'s3' = 's190'")
    assert named(parts_of(copied(honest(), 3, 90))) == [("duplicated_sessions", "note")]


def test_other_labels_or_rows_make_no_copy() -> None:
    frame = copied(honest(), 3, 190)
    last = (pl.col("id") == "s190") & (pl.int_range(pl.len()).over("id") == 11)
    relabelled = pl.when(last).then(1 - pl.col("worn")).otherwise(pl.col("worn"))
    assert named(parts_of(frame.with_columns(worn=relabelled))) == []
    moved = pl.when(last).then(pl.col("noise") + 0.1).otherwise(pl.col("noise"))
    assert named(parts_of(frame.with_columns(noise=moved))) == []


def test_a_copy_is_found_under_another_serial_number() -> None:
    frame = copied(honest(), 3, 190).with_columns(serial=pl.format("no. {}", "id"))
    names = [name for name, _ in named(parts_of(frame, serial="category"))]
    assert sorted(names) == ["duplicated_sessions", "identifier_among_fields"]


def test_sessions_that_chance_makes_equal_are_no_copies() -> None:
    """Rows of a few values repeat in short sessions."""
    rng = np.random.default_rng(3)
    frame = honest().with_columns(noise=pl.Series(rng.integers(0, 2, 2400) * 1.0))
    short = frame.filter(pl.int_range(pl.len()).over("id") < 2)
    assert "duplicated_sessions" not in [name for name, _ in named(parts_of(short))]
    still = frame.with_columns(noise=pl.lit(1.0), worn=pl.col("at").mod(240).eq(0).cast(pl.Int64))
    assert "duplicated_sessions" not in [name for name, _ in named(parts_of(still))]
