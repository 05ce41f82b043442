"""A bundle whose model does not answer with what its task words is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fuzz import TASKS, of_tasks, small_bundle

from tidegate import bundle as bundles
from tidegate.bundle import Bundle
from tidegate.errors import BundleError


@pytest.fixture(scope="module")
def made() -> dict[str, Bundle]:
    return of_tasks(small_bundle())


@pytest.mark.parametrize("name", TASKS)
def test_each_task_is_loaded_as_it_was(made: dict[str, Bundle], tmp_path: Path, name: str) -> None:
    bundles.save(made[name], tmp_path / name)
    loaded = bundles.load(tmp_path / name)
    assert (loaded.task, loaded.spec) == (made[name].task, made[name].spec)


def items(**changed: Any) -> Callable[[Any], Any]:
    return lambda task: {"items": msgspec.structs.replace(task.items, **changed)}


CHANGES: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "more items": ("next_item", items(top=3), "readout"),
    "no items": ("next_item", items(top=0), "task.items.top"),
    "fewer than none": ("language", items(top=-1), "task.items.top"),
    "items missing": ("language", lambda _: {"items": None}, "task.items"),
    "of another task": ("next_item", lambda _: {"name": "embed"}, "task.items"),
    "no readout": ("language", lambda _: {"name": "next_item"}, "readout"),
    "one class twice": ("language", lambda _: {"classes": ("", "A1", "A1", "C3")}, "task.classes"),
    "one class": (
        "forecast",
        lambda _: {"name": "tag", "forecast": None, "classes": ("a",)},
        "task.classes",
    ),
    "a field too few": (
        "anomaly",
        lambda task: {"anomaly": msgspec.structs.replace(task.anomaly, fields=("speed",))},
        "task.anomaly.fields",
    ),
    "other outputs": (
        "forecast",
        lambda task: {
            "forecast": msgspec.structs.replace(task.forecast, horizons=(1,), margins=())
        },
        "outputs",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_task_that_is_not_the_models_is_refused(
    made: dict[str, Bundle], tmp_path: Path, change: str
) -> None:
    name, changed, says = CHANGES[change]
    task = msgspec.structs.replace(made[name].task, **changed(made[name].task))
    with pytest.raises(BundleError, match=says) as caught:  # what is written is read again
        bundles.save(replace(made[name], task=task), tmp_path / "spoiled")
    assert caught.value.code == "bundle_damaged"
