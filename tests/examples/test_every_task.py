"""Every example, in small on real events: trained, measured, reported on, scored and served.

What a server says to the events, sent as a table and one by one, is what `tidegate score` writes,
to the bit. `make examples` does the same with each example as it stands, on all of its data.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
import reportable
from examples_of import EXAMPLES
from proof import prove, sample
from typer.testing import CliRunner, Result

from tidegate import bundle as bundles
from tidegate import train
from tidegate.bundle import Bundle
from tidegate.cli.app import app

SAMPLES = Path(__file__).parent / "samples"


def ratings(folder: Path) -> Path:
    """Ratings like those of MovieLens, which are not passed on."""
    rng = np.random.default_rng(1)
    begins = np.sort(rng.integers(875_000_000, 893_000_000, 60))
    film = (rng.integers(0, 40, (60, 1)) + np.arange(8)) % 40  # one follows the other
    path = folder / "ratings.csv"
    pl.DataFrame(
        {
            "user": np.repeat(np.arange(60), 8),
            "film": film.ravel() + 1,
            "time": (begins[:, None] + np.arange(8)).ravel(),
        }
    ).write_csv(path)
    return path


def cut(valid: str, test: str) -> dict[str, dict[str, Any]]:
    """A series of six weeks instead of years."""
    instants = [datetime.fromisoformat(each).replace(tzinfo=UTC) for each in (valid, test)]
    return {
        "split": {"valid_from": instants[0], "test_from": instants[1]},
        "train": {"epochs": 1, "max_length": 168, "stride": 84, "batch_tokens": 700},
    }


@dataclass(frozen=True)
class Case:
    """An example, its events, and what is smaller than in the example."""

    path: str
    events: str | Callable[[Path], Path]
    task: str
    smaller: dict[str, dict[str, Any]] = field(default_factory=dict)
    metric: str = ""
    streams: bool = True

    @property
    def name(self) -> str:
        return f"{self.task}: {self.path}"


SHORT = {"train": {"epochs": 1, "batch_tokens": 1000}}
CASES = (
    Case("flights/flights", "flights", "classify", SHORT, "auc"),
    Case("vowels/train", "vowels", "classify", {"train": {"epochs": 2}}, "accuracy"),
    Case("flights/delay", "flights", "regress", SHORT, "mae"),
    Case(
        *("forecast/electricity", "electricity", "forecast"), cut("2013-06-25", "2013-07-05"), "mae"
    ),
    Case("forecast/pollution", "pollution", "forecast", cut("2012-12-25", "2013-01-05"), "mae"),
    Case("forecast/traffic", "traffic", "forecast", cut("2016-09-25", "2016-10-05"), "mae"),
    Case("next_item/train", ratings, "next_item", {"train": {"epochs": 1}}, "recall"),
    Case("anomaly/train", "motes", "anomaly", {"train": {"epochs": 1}}, "nats"),
    Case("tagging/train", "tokens", "tag", SHORT, "accuracy", streams=False),
    Case("tagging/stream", "tokens", "tag", SHORT, "accuracy"),
    Case(
        *("language/train", "characters", "language"),
        {"train": {"epochs": 1, "lanes": 8}},
        "perplexity",
    ),
    Case("chorales/train", "notes", "language", {"train": {"epochs": 1}}, "perplexity"),
    Case("flights/flights", "flights", "embed", SHORT),
)
"""The last is the state of the first."""


@dataclass(frozen=True)
class Made:
    """What came of a case."""

    case: Case
    folder: Path
    events: Path
    bundle: Path

    @property
    def loaded(self) -> Bundle:
        return bundles.load(self.bundle)

    @property
    def scored(self) -> Path:
        """What `tidegate score` writes of the events, once."""
        path = self.folder / "scored.parquet"
        if not path.exists():
            assert said("score", self.bundle, self.events, "--out", path)["events"] > 0
        return path


def tidegate(*arguments: Any) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def said(*arguments: Any) -> Any:
    """What a verb that succeeds says with ``--json``."""
    done = tidegate(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    case: Case = request.param
    folder = tmp_path_factory.mktemp("example")
    events = (
        SAMPLES / f"{case.events}.parquet" if isinstance(case.events, str) else case.events(folder)
    )
    config = train.load_config(EXAMPLES / f"{case.path}.toml")
    sections = {**case.smaller, "data": {"events": str(events)}}
    sections["bundle"] = {"out": str(folder / "bundle")}
    replace = msgspec.structs.replace
    for name, changes in sections.items():
        config = replace(config, **{name: replace(getattr(config, name), **changes)})
    train.run(config, quiet=True)
    bundle = folder / "bundle"
    if case.task == "embed":
        said("embed", bundle, "--save", folder / "state")
        bundle = folder / "state"
    assert bundles.load(bundle).task.name == case.task
    return Made(case, folder, events, bundle)


def test_every_task_has_an_example() -> None:
    tasks = msgspec.json.schema(train.TrainConfig)["$defs"]["TaskConfig"]["properties"]["name"]
    assert {case.task for case in CASES} == {*tasks["enum"], "embed"}
    configs = {f"{path.parent.name}/{path.stem}" for path in EXAMPLES.glob("*/*.toml")}
    assert {case.path for case in CASES} == configs


def test_what_is_served_is_what_is_scored(made: Made) -> None:
    if not made.case.streams:
        refused = tidegate("serve", made.bundle, "--store", made.folder / "store", "--port", 0)
        assert refused.exit_code == 4
        assert "unsupported_spec" in refused.output
        return
    proof = prove(made.bundle, made.events, made.scored, made.folder / "store")
    assert proof.events == len(pl.read_parquet(made.scored))
    assert proof.one_by_one >= 20


def test_it_is_measured_as_in_training(made: Made) -> None:
    metrics = said("evaluate", made.bundle, made.events)["metrics"]
    if made.case.task == "embed":
        assert metrics == {"n": 0}  # a state is neither right nor wrong
        return
    assert np.isfinite(metrics[made.case.metric])
    assert made.case.metric in made.loaded.provenance["metrics"]["train"]


def test_a_report_has_the_sections_of_its_task(made: Made) -> None:
    out, few = made.folder / "report.html", made.folder / "few.parquet"
    columns = made.loaded.provenance["columns"]
    sample(made.events, columns["session"], columns.get("time"), 8, 60).write_parquet(few)
    done = tidegate("report", made.bundle, few, "--out", out)
    if made.case.task == "embed":
        assert done.exit_code == 3
        assert "nothing_to_measure" in done.output
        return
    assert done.exit_code == 0, done.output
    page = reportable.Loads(out.read_text())
    assert page.dangers == []
    wanted = {
        "classify": ["Calibration", "Confusion"],
        "regress": ["Residuals"],
        "forecast": ["Errors by horizon"],
        "next_item": ["Where the right item stands", "Popular items and rare ones"],
        "anomaly": ["Surprise"],
        "tag": ["Tags", "Words that training did not meet", "Calibration", "Confusion"],
        "language": ["Surprise", "A sample"],
    }[made.case.task]
    assert {"Metrics", *wanted, "Training"} <= set(page.words)


def test_the_doctor_sees_the_run(made: Made) -> None:
    done = tidegate("doctor", made.bundle, "--json")
    if made.case.task == "embed":
        assert done.exit_code == 3
        return
    assert done.exit_code in (0, 6), done.output  # an epoch on a sample may well be a failure
    assert isinstance(json.loads(done.stdout)["findings"], list)


def test_it_is_compressed_and_scores_as_much(made: Made) -> None:
    small = made.folder / "int8"
    found = said("compress", made.bundle, "--int8", "--out", small)
    assert found["weight_bytes"]["after"] < found["weight_bytes"]["before"]
    said("score", small, made.events, "--out", made.folder / "int8.parquet")
    before, after = map(pl.read_parquet, (made.scored, made.folder / "int8.parquet"))
    assert before.schema == after.schema
    assert not before.equals(after)
