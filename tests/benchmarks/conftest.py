"""The scripts of benchmarks/, which import each other by name, as they do when they run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

if TYPE_CHECKING:
    import etth1_protocol


@pytest.fixture(scope="session")
def etth1_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ETTh1.csv of three months, generated: seven waves of a day with noise."""
    import etth1_protocol

    folder = tmp_path_factory.mktemp("etth1")
    hours = np.arange(3 * etth1_protocol.MONTH + 5)  # a few more than are read
    waves = np.sin(2 * np.pi * hours[:, None] / 24 + np.arange(7))
    noise = np.random.default_rng(0).normal(size=waves.shape)
    lines = [",".join(["date", *"abcdefg"])]
    lines += [f"{at},{','.join(map(str, row))}" for at, row in enumerate(5 + waves + 0.1 * noise)]
    (folder / etth1_protocol.FILE).write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="session")
def etth1_record(etth1_folder: Path) -> etth1_protocol.Record:
    """Its series; not to be changed."""
    import etth1
    import etth1_protocol

    return etth1_protocol.read(etth1_folder, etth1.QUICK.months, etth1.QUICK.level)
