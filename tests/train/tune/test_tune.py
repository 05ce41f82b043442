"""A tuning: the same trials however often it is interrupted, pruning, workers, refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tidegate.errors import InputError
from tidegate.train import load_config, run
from tidegate.train.tune.report import write_best, write_page
from tidegate.train.tune.run import Tuning, opened, order_of, tune
from tidegate.train.tune.study import Trial, alone
from tidegate.train.tune.work import Budget, work

Write = Callable[..., Path]


def told(trials: Any) -> list[tuple[Any, ...]]:
    """What must be the same in another study; not times, nor numbers, which count interruptions."""
    return [(one.state, one.values, one.value, one.epochs, one.reason) for one in trials]


def tuned(path: Path, **options: Any) -> Tuning:
    return tune(path, quiet=True, **options)


def cut_off(path: Path, out: Path, batches: int) -> None:
    """Tune, and be gone in the middle of a trial."""
    order = order_of(path, out, Budget(9, None))
    left = iter(range(batches))
    with opened(order) as study:
        work(order, study, stop=lambda: next(left, None) is None)


def test_interruptions_change_nothing(write: Write, tmp_path: Path) -> None:
    path = write()
    whole = tuned(path, trials=9, out=tmp_path / "whole")
    assert len(whole.trials) == 9
    assert len({str(trial.values) for trial in whole.trials}) == 9
    for batches in (2, 19, 40):
        cut_off(path, tmp_path / "cut", batches)
    going_on = tuned(path, trials=9, out=tmp_path / "cut")
    assert told(going_on.trials) == told(whole.trials)
    assert [trial.number for trial in going_on.trials] != [*range(9)]  # there were interruptions
    assert going_on.best_config == whole.best_config
    again = tuned(path, trials=9, out=tmp_path / "cut")  # nothing left to do
    assert again == going_on
    fresh = tuned(path, trials=4, out=tmp_path / "cut", fresh=True)
    assert told(fresh.trials) == told(whole.trials)[:4]


def test_workers_share_a_study(write: Write, tmp_path: Path) -> None:
    path = write()
    both = tuned(path, trials=5, workers=2)
    assert [trial.number for trial in both.trials] == [*range(5)]
    assert all(trial.value is not None for trial in both.trials)
    alone = tuned(path, trials=3, out=tmp_path / "alone")
    # Those at random; which of them ends early depends on who was first.
    drawn = [trial.values for trial in both.trials[:3]]
    assert drawn == [trial.values for trial in alone.trials]
    assert len({str(trial.values) for trial in both.trials}) == 5


HOPELESS = '[tune.space]\n"train.learning_rate" = [1e-9, 0.05]\n"model.hidden_size" = [4, 5, 6, 7]'


def test_pruning(write: Write, tmp_path: Path) -> None:
    found = tuned(write(HOPELESS, startup="4"), trials=14).trials
    early = [trial for trial in found if trial.state == "pruned"]
    assert early
    assert all(trial.epochs == 2 and trial.value is not None for trial in early)
    assert all(trial.number >= 4 for trial in early)
    worst = max(trial.value or 0 for trial in found if trial.values["train.learning_rate"] == 0.05)
    assert all(trial.epochs == 3 for trial in found if trial.state == "done")
    path = write(HOPELESS, startup="4\nprune = false")
    patient = tuned(path, trials=14, out=tmp_path / "patient").trials
    assert {trial.state for trial in patient} == {"done"}
    assert worst < max(trial.value or 0 for trial in patient)


def test_a_trial_that_fails_is_no_end(write: Write) -> None:
    """Peepholes beside a GRU, and a learning rate that leaves nothing finite."""
    space = (
        '[tune.space]\n"model.cell" = ["gru", "lstm"]\n"model.peephole" = [true, false]\n'
        '"train.learning_rate" = [0.02, 1e38]\n"train.max_returns" = [0]'
    )
    tuning = tuned(write(space), trials=10)
    reasons = {trial.reason.split("(")[1].split(")")[0] for trial in tuning.trials if trial.reason}
    assert reasons == {"out_of_range", "loss_not_finite"}
    for trial in tuning.trials:
        impossible = trial.values["model.cell"] == "gru" and trial.values["model.peephole"]
        assert impossible == ("peephole" in trial.reason)
        assert (trial.state == "failed") == bool(trial.reason)
    assert tuning.best.values["train.learning_rate"] == 0.02


def test_nothing_succeeded(write: Write) -> None:
    space = '[tune.space]\n"train.learning_rate" = [1e37, 1e38]\n"train.max_returns" = [0]'
    with pytest.raises(InputError, match=r"none of 2 trials .*loss_not_finite") as refused:
        tuned(write(space), trials=2)
    assert refused.value.code == "no_trial_succeeded"


def test_the_best_configuration_trains_to_the_value_of_its_trial(
    write: Write, tmp_path: Path
) -> None:
    path = write(epochs='3\nwatch = "auc"')
    tuning = tuned(path, trials=5)
    assert tuning.maximize
    assert tuning.best.value == max(t.value or 0 for t in tuning.trials if t.state == "done")
    folder = tmp_path / "elsewhere" / "far"
    best = write_best(tuning, folder)
    assert best.read_text().startswith(f"# Trial {tuning.best.number}, the best of 5: auc 0.")
    config = load_config(best)
    assert Path(config.data.events).resolve() == tmp_path / "drives.parquet"
    assert config.train.batch_tokens == 256
    bundle = run(config, quiet=True)
    assert bundle.path.resolve() == tmp_path / "cars"
    assert bundle.provenance["metrics"]["valid"]["auc"] == tuning.best.value


def test_the_test_part_is_not_looked_at(write: Write, tmp_path: Path, drives: pl.DataFrame) -> None:
    path = write()
    before = tuned(path, trials=3, out=tmp_path / "before")
    late = pl.col("at") >= 2e6
    other = drives.with_columns(
        speed=pl.when(late).then(-1e9).otherwise("speed"),
        jam=pl.when(late).then(pl.lit("unknown")).otherwise("jam"),
    )
    other.write_parquet(tmp_path / "drives.parquet")
    assert told(tuned(path, trials=3).trials) == told(before.trials)


def test_a_budget_in_cpu_minutes(write: Write) -> None:
    path = write()
    tuning = tuned(path, cpu_minutes=1e-4)
    assert len(tuning.trials) == 1
    assert tuning.cpu_minutes == tuning.best.cpu_s / 60 > 1e-4
    assert len(tuned(path, cpu_minutes=1e-4).trials) == 1  # it is the study's, not the session's
    assert len(tuned(path, cpu_minutes=1e-4, trials=3).trials) == 1
    assert len(tuned(path, trials=3).trials) == 3


@pytest.mark.parametrize("option", ["trials", "cpu_minutes", "workers"])
def test_a_budget_is_above_nothing(write: Write, option: str) -> None:
    with pytest.raises(InputError, match=f"{option}: 0 is not allowed"):
        tuned(write(), **{option: 0})


def test_a_file_belongs_to_one_study(write: Write, tmp_path: Path, drives: pl.DataFrame) -> None:
    path, out = write(), tmp_path / "out"
    tuned(path, trials=1, out=out)
    space = '[tune.space]\n"model.hidden_size" = [3, 4]'
    for changed, changes in {"space": {"space": space}, "settings": {"epochs": "4"}}.items():
        write(**changes)
        with pytest.raises(InputError, match=f"not the same {changed}") as refused:
            tuned(path, trials=2, out=out)
        assert refused.value.code == "study_mismatch"
    write()
    drives.head(1400).write_parquet(tmp_path / "drives.parquet")
    with pytest.raises(InputError, match="not the same data"):
        tuned(path, trials=2, out=out)
    drives.write_parquet(tmp_path / "drives.parquet")
    assert len(tuned(path, trials=2, out=out).trials) == 2  # nothing was changed by refusals


def test_a_torn_line_is_mended_and_other_damage_refused(write: Write, tmp_path: Path) -> None:
    path, file = write(), tmp_path / "train-tune" / "study.journal"
    first = tuned(path, trials=2)
    with file.open("ab") as journal:
        journal.write(b'{"op_code": 5, "wor')  # a kill in the middle of a write
    Path(f"{file}.lock").symlink_to(file)
    more = tuned(path, trials=3)
    assert told(more.trials)[:2] == told(first.trials)
    file.write_text("no study\n")
    with pytest.raises(InputError) as refused:
        tuned(path, trials=3)
    assert refused.value.code == "study_damaged"
    assert told(tuned(path, trials=3, fresh=True).trials) == told(more.trials)


def test_one_command_at_a_time(write: Write, tmp_path: Path) -> None:
    path = write()
    with alone(tmp_path / "train-tune" / "study.journal"), pytest.raises(InputError) as refused:
        tuned(path, trials=1)
    assert refused.value.code == "study_in_use"


def test_the_page_shows_all_trials(tmp_path: Path) -> None:
    values = [0.5, None, 0.7, 0.4]
    states = ["done", "failed", "pruned", "done"]
    trials = tuple(
        Trial(n, state, {"model.cell": "gru"}, value, 3, 1.5, "" if value else "out of <memory>")
        for n, (state, value) in enumerate(zip(states, values, strict=True))
    )
    tuning = Tuning("rmse", False, trials, {"model.cell": 1.0}, 0.1, {}, tmp_path)
    assert tuning.best.number == 3
    written = write_page(tuning, tmp_path / "out", "train.toml")
    names = ["tune.html", "tune-history.png", "tune-importance.png"]
    assert [path.name for path in written] == names
    page = written[0].read_text()
    assert "Trial 1 failed: out of &lt;memory&gt;" in page
    assert page.rsplit("<table>", 1)[1].count("<tr>") == 5
    assert "src=" not in page.split("</script>")[-1]
