from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tidegate.data import ts
from tidegate.errors import InputError


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(["# about", "@classLabel true 1 2", "@data", *lines]) + "\n")
    return path


def test_series_keep_their_lengths_and_order(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ts", "1.5,2,-3e-1:4,5,6:one", "7:8:two")
    series, classes = ts.read(path)
    np.testing.assert_array_equal(series[0], [[1.5, 4], [2, 5], [-0.3, 6]])
    np.testing.assert_array_equal(series[1], [[7, 8]])
    assert classes.tolist() == ["one", "two"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["1,2:3:a"], "line 4"),  # dimensions of unequal length
        (["1:2:a", "1:a"], "line 5"),
        (["x:2:a"], "line 4"),
        (["a"], "line 4"),
    ],
)
def test_what_is_no_series_is_refused(tmp_path: Path, lines: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        ts.read(write(tmp_path / "a.ts", *lines))
    (tmp_path / "b.ts").write_text("1:2:a")
    with pytest.raises(InputError, match="no line says @data"):
        ts.read(tmp_path / "b.ts")
