"""Labels that are too few, the order of findings, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest
from checkable import honest, named, parts_of

from tidegate.data.check import Parts, examine
from tidegate.errors import InputError
from tidegate.spec import AnomalySpec, SurprisePart, TaskSpec


def test_classes_that_a_part_lacks() -> None:
    behind = pl.col("at") >= 175_000
    place = pl.int_range(2400)
    fresh = honest().with_columns(worn=pl.when(behind & (place % 9 == 0)).then(2).otherwise("worn"))
    found = examine(parts_of(fresh))
    assert ("unseen_class", "warning") in [(each.name, each.severity) for each in found]
    assert "classes of the test part: 2 (33)" in found[0].evidence
    few = honest().with_columns(worn=pl.when(behind & (place % 9 > 0)).then(0).otherwise("worn"))
    assert named(parts_of(few)) == []  # 10 and more
    few = honest().with_columns(worn=pl.when(behind & (place % 99 > 0)).then(0).otherwise("worn"))
    (finding,) = examine(parts_of(few))
    assert (finding.name, finding.severity) == ("few_labels", "warning")
    assert finding.evidence.startswith("the test part has few labels of 1 (")


def test_parts_with_few_numbers() -> None:
    kept = pl.when(pl.col("at") < 174_400).then("level")
    assert named(parts_of(honest().with_columns(level=kept), "regress", "level")) == [
        ("few_labels", "warning")
    ]


def test_of_a_task_without_labels_the_sessions_and_fields_are_looked_at() -> None:
    frame = honest().with_columns(same=pl.lit(1.0), copy=pl.col("worn"))
    parts = parts_of(frame, same="numeric", copy="numeric")
    spec = AnomalySpec(("copy",), (SurprisePart("gaussian", 0, 0),))
    bare = {name: replace(table, labels=None) for name, table in parts.tables.items()}
    found = examine(replace(parts, tables=bare, task=TaskSpec("anomaly", "", anomaly=spec)))
    assert [finding.name for finding in found] == ["constant_field"]


def test_the_worst_comes_first() -> None:
    frame = honest().with_columns(same=pl.lit(1.0), copy=pl.col("worn"), name=pl.col("id"))
    found = named(parts_of(frame, same="numeric", name="category", copy="numeric"))
    assert [severity for _, severity in found] == ["serious", "warning", "note"]


def test_a_table_without_labels_is_refused() -> None:
    parts = parts_of(honest())
    bare = replace(parts.tables["validation"], labels=None)
    with pytest.raises(InputError, match="the validation part was read without labels"):
        examine(Parts.of(parts.train, bare, schema=parts.schema, task=parts.task))
