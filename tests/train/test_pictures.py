"""Pictures are drawn, of little and of much; what they show is looked at by people."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pytest

from tidegate.errors import InputError
from tidegate.train import pictures
from tidegate.train.diagnostics import Diagnosis, LayerDiagnosis
from tidegate.train.history import Epoch
from tidegate.train.memory import Memory


def epoch(number: int, *layers: tuple[float | None, ...]) -> Epoch:
    found = [LayerDiagnosis(by_lag, {}, 4, 0, 0.0, 1.0) for by_lag in layers]
    diagnosis = Diagnosis(4, 30, {}, {}, (0, 1, 2), tuple(found)) if layers else None
    return Epoch(number, 0.7, 0.6, {}, 1.0, 2.0, 0.1, 100, 50.0, 2.0, diagnosis=diagnosis)


def points(chart: alt.TopLevelMixin, *panel: str | int) -> list[dict[str, Any]]:
    """Return what a chart, or a panel of it, draws."""
    whole = place = chart.to_dict()
    for step in panel:
        place = place[step]
    found: list[dict[str, Any]] = whole["datasets"][place["data"]["name"]]
    return found


def drawn(chart: alt.TopLevelMixin, folder: Path) -> str:
    png, svg = pictures.write(chart, folder / "deep", "it")
    assert (png.name, svg.name) == ("it.png", "it.svg")
    assert png.read_bytes().startswith(b"\x89PNG")
    return svg.read_text()


def test_the_profile_has_the_first_and_the_last_epoch(tmp_path: Path) -> None:
    history = [epoch(1, (1.0, 0.5, 1e-9), (1.0, 2.0, 0.1)), epoch(2), epoch(3, (1.0, 0.0, None))]
    chart = pictures.profile([*history[:1], epoch(2, (9.0, 9.0, 9.0)), *history[1:]])
    found = points(chart)
    assert {point["epoch"] for point in found} == {"after epoch 1", "after epoch 3"}
    last = [point for point in found if point["epoch"] == "after epoch 3"]
    assert [(point["lag"], point["norm"]) for point in last] == [(0, 1.0)]  # the others have no log
    said = drawn(pictures.profile(history), tmp_path)
    assert ">after epoch 3<" in said
    assert ">layers.0<" in said


@pytest.mark.parametrize("by_lag", [(1.0, 0.5, 0.1), (0.0, None, 0.0)])
def test_a_profile_of_one_epoch(tmp_path: Path, by_lag: tuple[float | None, ...]) -> None:
    assert "Gradient of the loss" in drawn(pictures.profile([epoch(1, by_lag)]), tmp_path)


def test_no_profile() -> None:
    with pytest.raises(InputError, match="no_diagnosis"):
        pictures.profile([epoch(1)])


def test_what_is_remembered_best_comes_first(tmp_path: Path) -> None:
    r2 = {f"field {i}": (1.0 - i / 10, -0.5) for i in range(10)}
    chart = pictures.memory(Memory((0, 1), r2, 9))
    assert {point["field"] for point in points(chart)} == {f"field {i}" for i in range(8)}
    assert min(point["r2"] for point in points(chart)) == 0.0
    assert ">field 0<" in drawn(chart, tmp_path)


def test_gates_are_ordered_by_what_they_keep(tmp_path: Path) -> None:
    z = np.tile(np.linspace(0, 1, 100, dtype=np.float32), (300, 1))
    layers = [
        {"r": z[:, ::-1].copy(), "z": z, "n": z - 1},
        {"forward.h": 2 * z, "backward.h": z},
    ]
    chart = pictures.gates(layers, "pump <7>")
    panels = chart.to_dict()["vconcat"]
    assert [len(row["hconcat"]) for row in panels] == [3, 2]
    units = points(chart, "vconcat", 0, "hconcat", 1)
    assert len(units) == pictures.MAX_UNITS
    assert {tuple(unit["event"]) for unit in units} == {tuple(range(140, 300))}
    column = [unit["value"][0] for unit in units]
    assert column == sorted(column, reverse=True)
    said = drawn(pictures.gates([{"h": z[:3, :2]}], "pump <7>"), tmp_path)
    assert re.search(r">Gates over session pump &lt;7&gt;<", said)
