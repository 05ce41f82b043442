"""A whole comparison on a small problem, cut short and gone on with."""

from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
from rises import CONFIG, write

from tidegate import answers
from tidegate.errors import InputError
from tidegate.train import TrainConfig, load_config, train_model
from tidegate.train.compare import Comparison, Options, compare, defaults, judge, page, table
from tidegate.train.compare.trials import GROUPS, Plan, fewer
from tidegate.train.parts import prepare

OPTIONS = Options(("gru", "rnn", "mingru"), seeds=2, rates=(0.5, 1.0), curve=True)


class StopError(Exception):
    pass


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainConfig, Comparison, Path]:
    folder = tmp_path_factory.mktemp("compare")
    config = load_config(write(folder))
    seen: list[str] = []

    def step(what: str, done: int, of: int) -> None:
        assert (done, of) == (len(seen), 3 * (2 + 2 + 2 * 3))
        seen.append(what)
        if len(seen) == 7:
            raise StopError

    with pytest.raises(StopError):
        compare(config, OPTIONS, folder / "out", step=step)
    kept = {file.name: file.stat().st_mtime_ns for file in (folder / "out/trials").iterdir()}
    assert len(kept) == 5  # a training that chose the rate is the first that is measured
    found = compare(config, OPTIONS, folder / "out")
    for name, time in kept.items():
        assert (folder / "out/trials" / name).stat().st_mtime_ns == time
    return config, found, folder / "out"


def test_every_number_is_of_a_training(measured: tuple[TrainConfig, Comparison, Path]) -> None:
    config, found, _ = measured
    assert (found.watch, found.higher, found.part) == ("log_loss", False, "test")
    prepared = prepare(config)
    entry = found.entries[0]
    assert entry.name == "gru"
    best = min(entry.tried, key=lambda each: each.valid["log_loss"])
    assert entry.learning_rate == best.plan.learning_rate
    again = train_model(
        prepared.train,
        prepared.valid,
        schema=prepared.schema,
        task=prepared.task,
        model=config.model,
        settings=msgspec.structs.replace(
            config.train, seed=1, learning_rate=entry.learning_rate, diagnostics=False
        ),
    )
    assert prepared.test is not None
    assert again.evaluate(prepared.test) == entry.trials[1].test
    assert entry.parameters == again.spec.parameters


def test_parts_add_up(measured: tuple[TrainConfig, Comparison, Path]) -> None:
    _, found, _ = measured
    for entry in found.entries:
        for trial in entry.trials:
            for bins in (trial.by_length, trial.by_place):
                assert sum(each.n for each in bins) == trial.test["n"]
                whole = np.average(
                    [each.value for each in bins if each.n],
                    weights=[each.n for each in bins if each.n],
                )
                assert whole == pytest.approx(trial.test["log_loss"])
            assert len(trial.groups) == GROUPS
        assert (entry.cost("step_us") is not None) == entry.streams


def test_baselines(measured: tuple[TrainConfig, Comparison, Path]) -> None:
    config, found, _ = measured
    prepared = prepare(config)
    assert prepared.test is not None
    truth = answers.open(prepared.task).truth(prepared.test, prepared.schema)
    share = answers.open(prepared.task).truth(prepared.train, prepared.schema).mean()
    entropy = -np.mean(np.where(truth == 1, np.log(share), np.log(1 - share)))
    constant, boosting = (found.simple[name].test for name in ("constant", "boosting"))
    assert constant["log_loss"] == pytest.approx(entropy, rel=1e-2)
    assert boosting["log_loss"] < constant["log_loss"] * 0.7  # the value before is among the lags


def test_the_page_and_the_table(
    measured: tuple[TrainConfig, Comparison, Path], tmp_path: Path
) -> None:
    _, found, _ = measured
    verdict = judge(found)
    path = tmp_path / "comparison.html"
    page.write(found, verdict, path)
    text = path.read_text()
    assert f"Take {verdict.choice}." in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "The learning curve" in text
    head, body = table.rows(found)
    assert [row[0] for row in body[3:]] == ["constant", "boosting"]
    assert {len(row) for row in body} == {len(head)}
    values = [float(row[1].split()[0]) for row in body[:3]]
    assert values == sorted(values)


def test_other_data_are_not_mixed_in(
    measured: tuple[TrainConfig, Comparison, Path], tmp_path: Path
) -> None:
    config, found, folder = measured
    other = msgspec.structs.replace(
        config, train=msgspec.structs.replace(config.train, weight_decay=0.5)
    )
    again = compare(other, Options(("gru",), 1, (1.0,)), folder)
    assert again.key != found.key
    assert again.entries[0].trials[0].test != found.entries[0].trials[0].test


def test_another_order_of_the_events_is_not_mixed_in(tmp_path: Path) -> None:
    config = load_config(write(tmp_path))
    events = pl.read_parquet(tmp_path / "events.parquet")
    events.with_columns(backwards=-pl.col("at")).write_parquet(tmp_path / "events.parquet")
    other = msgspec.structs.replace(
        config, data=msgspec.structs.replace(config.data, time="backwards")
    )
    one, again = (
        compare(each, Options(("gru",), 1, (1.0,)), tmp_path / "out") for each in (config, other)
    )
    assert again.key != one.key
    assert again.entries[0].trials[0].test != one.entries[0].trials[0].test


def test_a_metric_that_the_test_part_does_not_define_is_refused_first(tmp_path: Path) -> None:
    text = CONFIG.replace("warmup_steps = 2", 'warmup_steps = 2\nwatch = "auc"')
    config = load_config(write(tmp_path, text))
    tested = prepare(config).test
    assert tested is not None
    events = pl.read_parquet(tmp_path / "events.parquet")
    events.with_columns(
        rose=pl.when(pl.col("id").is_in(tested.sessions)).then(0).otherwise("rose")
    ).write_parquet(tmp_path / "events.parquet")
    with pytest.raises(InputError) as caught:
        compare(config, Options(("gru",), 1, (1.0,)), tmp_path / "out")
    assert (caught.value.code, caught.value.field) == ("unknown_metric", "train.watch")
    assert not (tmp_path / "out").exists()


def test_forecasts_are_measured_in_groups_and_bins(tmp_path: Path) -> None:
    changes = {
        'label = "rose"\n': "",
        'name = "classify"': 'name = "forecast"\nfield = "level"\nforecast = {horizons = 2}',
        'by = "session"\nfractions = [0.6, 0.2, 0.2]': (
            'by = "cut"\nvalid_from = 600\ntest_from = 1200'
        ),
    }
    text = CONFIG
    for old, new in changes.items():
        text = text.replace(old, new)
    path = write(tmp_path, text)
    rng = np.random.default_rng(0)
    pl.DataFrame(
        {
            "id": np.repeat(["a", "b", "c"], 30),
            "at": np.tile(np.arange(30) * 60.0, 3),
            "level": rng.standard_normal(90).cumsum(),
            "site": ["north"] * 90,
        }
    ).write_parquet(tmp_path / "events.parquet")
    found = compare(load_config(path), Options(("gru",), 1, (1.0,)), tmp_path / "out")
    trial = found.entries[0].trials[0]
    assert trial.test["n"] == 3 * 2 * 10  # series, horizons, values of the part
    groups = [each for each in trial.groups if each is not None]
    assert np.mean(groups) == pytest.approx(trial.test["mae"])
    assert sum(each.n for each in trial.by_place) == trial.test["n"]


def test_a_share_of_the_sessions(config: TrainConfig) -> None:
    whole = prepare(config).train
    some, more = (set(fewer(whole, share, 3).sessions) for share in (0.125, 0.5))
    assert some < more
    assert len(more) == round(len(whole.sessions) / 2)
    assert fewer(whole, 1.0, 3) is whole
    assert Plan("gru", 0.01, 2, 0.25).file == "gru-0.25-0.01-2.json"


def test_bad_options(config: TrainConfig) -> None:
    for bad in ({"seeds": 0}, {"rates": ()}, {"rates": (-1.0,)}, {"rates": (1.0, float("nan"))}):
        with pytest.raises(InputError) as caught:
            Options(("gru",), **bad)  # type: ignore[arg-type]
        assert caught.value.code == "out_of_range"
    assert "bigru" not in defaults(config)
