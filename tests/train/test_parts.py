"""The parts of a configuration, as a check of data takes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tidegate.errors import InputError
from tidegate.train import parse_config
from tidegate.train.parts import for_check

CONFIG = """
[data]
events = "events.parquet"
session = "id"
time = "at"
label = "sold"
[task]
name = "classify"
per = "session"
[split]
{split}
[schema.fields]
price = {{ kind = "numeric" }}
[bundle]
name = "m"
version = "1"
out = "m"
"""
BY_TIME = 'by = "time"\nvalid_from = 60\ntest_from = 80'
BY_SESSION = 'by = "session"\nfractions = [0.6, 0.4]'


def write(folder: Path, labels: list[str | None]) -> None:
    """Ten sessions of two events, 10 s apart; only the last events' labels count."""
    pl.DataFrame(
        {
            "id": np.repeat([f"s{i}" for i in range(10)], 2),
            "at": np.arange(20) * 5.0,
            "price": np.arange(20.0),
            "sold": [name for label in labels for name in ("open", label)],
        }
    ).write_parquet(folder / "events.parquet")


def test_classes_are_of_all_parts_and_the_schema_of_training(tmp_path: Path) -> None:
    write(tmp_path, ["no", "yes", None, "no", "yes", "no", "yes", "no", "later", "no"])
    parts = for_check(parse_config(CONFIG.format(split=BY_TIME), tmp_path))
    assert [len(table.sessions) for table in parts.tables.values()] == [6, 2, 2]
    assert parts.starts == (60.0, 80.0)
    assert parts.task.classes == ("later", "no", "yes")
    np.testing.assert_array_equal(
        parts.labels["training"],
        np.array([np.nan, 1, np.nan, 2, np.nan, np.nan, np.nan, 1, np.nan, 2, np.nan, 1]),
    )
    center = parts.schema.to_dict()["fields"][0]["statistics"]["center"]
    assert center == parts.train.columns["price"].mean() == 5.5


def test_a_split_by_session_has_no_starts_and_may_have_no_test(tmp_path: Path) -> None:
    write(tmp_path, ["no", "yes"] * 5)
    parts = for_check(parse_config(CONFIG.format(split=BY_SESSION), tmp_path))
    assert list(parts.tables) == ["training", "validation"]
    assert parts.starts == ()


def test_labels_of_one_class_are_refused(tmp_path: Path) -> None:
    write(tmp_path, ["no"] * 10)
    with pytest.raises(InputError) as caught:
        for_check(parse_config(CONFIG.format(split=BY_TIME), tmp_path))
    assert caught.value.code == "one_class"
