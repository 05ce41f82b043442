"""Files are written whole or not at all."""

from __future__ import annotations

import resource
import stat
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tidegate import tables
from tidegate.errors import InputError

COLUMNS = {
    "id": np.array(["a", 'b "c", d', ""], dtype=object),
    "name": np.array(["x", "y", "z"]),
    "seq": np.array([1, 2, 3]),
    "value": np.array([0.1, np.nan, 1e-300]),
    "true": np.array([True, False, True]),
    "none": np.array([None, "x", None], dtype=object),
}


@pytest.mark.parametrize("name", ["out.csv", "out.parquet", "new/folder/out.csv"])
def test_columns_come_back(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    tables.write(path, COLUMNS)
    tables.write(str(path), COLUMNS)  # over the old one
    read = pl.read_csv(path) if path.suffix == ".csv" else pl.read_parquet(path)
    assert read.to_dict(as_series=False) == {
        "id": ["a", 'b "c", d', ""],
        "name": ["x", "y", "z"],
        "seq": [1, 2, 3],
        "value": [0.1, None, 1e-300],
        "true": [True, False, True],
        "none": [None, "x", None],
    }
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~current_umask()


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_a_reader_of_the_old_file_never_sees_the_new(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    tables.write(path, COLUMNS)
    old = path.read_bytes()
    with path.open("rb") as reader:
        tables.write(path, {"x": np.arange(9)})
        assert reader.read() == old


def current_umask() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Umask")).split()[1], 8)


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_a_full_disk_leaves_the_old_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    tables.write(path, COLUMNS)
    old = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, limits[1]))
    try:
        with pytest.raises(InputError) as caught:
            tables.write(path, {"x": np.random.default_rng(0).random(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.code == "cannot_write"
    assert path.read_bytes() == old
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("name", "columns", "code", "field"),
    [
        ("out.xlsx", COLUMNS, "unsupported_source", None),
        ("out.csv", {"a": np.ones(2), "b": np.ones(3)}, "wrong_shape", "b"),
        ("out.csv", {"a": np.ones((2, 2))}, "wrong_shape", "a"),
        ("out.csv", {"a": np.array(["x", 1.5], dtype=object)}, "wrong_type", "a"),
        ("file/out.csv", COLUMNS, "cannot_write", None),
    ],
)
def test_refused(name: str, columns: dict, code: str, field: str | None, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError) as caught:
        tables.write(tmp_path / name, columns)
    assert caught.value.code == code
    assert caught.value.field == (field or str(tmp_path / name))
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
