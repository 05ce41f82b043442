"""The script from an archive of small texts to its tables, and baselines that can be checked."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import brown
import numpy as np
import polars as pl
import pytest
import runs

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "brown.py"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine texts of sentences that a grammar makes."""
    folder, rng = tmp_path_factory.mktemp("brown"), np.random.default_rng(0)
    words = {"at": ["the", "a"], "nn": ["cat", "dog", "run"], "vb": ["sat", "run"], ".": ["."]}
    with tarfile.open(folder / "brown.tgz", "w:gz") as packed:
        for genre in "abc":
            for number in ("07", "08", "09"):
                lines = [
                    " ".join(f"{rng.choice(words[tag])}/{tag}" for tag in ("at", "nn", "vb", "."))
                    for _ in range(40)
                ]
                content = "\n".join(lines).encode()
                info = tarfile.TarInfo(f"package/c{genre}{number}")
                info.size = len(content)
                packed.addfile(info, io.BytesIO(content))
    return folder


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


def test_quick_runs_make_what_is_missing(data: Path, tmp_path: Path) -> None:
    arguments = ("--quick", "--data", data, "--out", tmp_path, "--seeds", "0")
    first = run(*arguments, "--tagging", "frequent", "--language", "gru")
    assert first.returncode == 0, first.stderr
    was = (tmp_path / "tagging-frequent-seed0.json").read_bytes()
    again = run(*arguments, "--tagging", "frequent", "bigru", "--language", "ngram", "gru")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "tagging-frequent-seed0.json").read_bytes() == was
    made = re.findall(r"^(\S+-seed0): ", again.stdout, re.MULTILINE)
    assert made == ["tagging-bigru-seed0", "language-ngram-seed0"]
    found = {(each.task, each.model): each for each in runs.read(tmp_path, brown.BrownRun)}
    assert len(found) == 4
    network = found["language", "gru"]
    # One matrix of 8 numbers a token, in embedding and head: 15 letters and signs, and the unknown.
    assert network.parameters - network.parameters_of_layer == 17 * 8 + 17
    assert network.figures["test"]["n"] == sum(len(t) - 1 for t in texts(data, "test"))
    assert again.stdout.endswith(run("--table", "--out", tmp_path).stdout)


def texts(data: Path, part: str) -> list[str]:
    documents = brown.brown.read(data)
    return [each.text for each in documents if brown.brown.part(each.name) == part]


def test_the_most_frequent_tags_are_worked_by_hand() -> None:
    def frame(*tokens: tuple[str, str]) -> pl.DataFrame:
        rows = [(word, word[-3:], tag) for word, tag in tokens]
        return pl.DataFrame(rows, schema=["word", "suffix", "tag"], orient="row")

    train = frame(("cats", "n"), ("run", "v"), ("run", "v"), ("run", "n"), ("sat", "v"))
    # run: v, as most often; rats: as cats end; sun, of which nothing is known: v, the commonest.
    asked = frame(("run", "v"), ("run", "n"), ("rats", "n"), ("sun", "n"))
    found = brown.frequent({"train": train, "valid": asked, "test": asked}, "frequent", 0, True)
    assert found.figures["test"] == {
        "n": 4,
        "accuracy": 0.5,
        "new words": 2,
        "accuracy of new words": 0.5,
    }


def test_the_docs_hold_the_runs_that_are_kept() -> None:
    page = (ROOT / "docs" / "results.md").read_text()
    for table in brown.table(brown.RESULTS).split("\n\n"):
        assert table in page
