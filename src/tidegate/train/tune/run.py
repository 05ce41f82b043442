"""A tuning: from a configuration and a budget to the best settings that were found."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import optuna

from tidegate import tasks, toml
from tidegate.errors import InputError
from tidegate.train.tune import study as studies
from tidegate.train.tune.progress import Told
from tidegate.train.tune.search import Search
from tidegate.train.tune.study import Trial
from tidegate.train.tune.trial import Data
from tidegate.train.tune.work import Budget, Order, work, work_in_processes

__all__ = ["TRIALS", "Tuning", "folder_of", "opened", "order_of", "tune"]

TRIALS = 40
"""Of a study without a budget."""
_TELLING = 8
"""Finished trials of which the best quarter says something about the keys."""


@dataclass(frozen=True)
class Tuning:
    """What came of a study.

    Parameters
    ----------
    watch : str
        The metric of the validation part that trials were compared by.
    maximize : bool
        Whether a higher value is better.
    trials : tuple of Trial
        All finished ones, in the order of their beginnings.
    importance : dict of str to float
        Of each key that was drawn, its share of what made the best quarter of the finished trials
        differ from all (PED-ANOVA: Watanabe, Bansal, Hutter 2023); empty with fewer than eight.
    cpu_minutes : float
        Of all trials, also of those that were cut off.
    best_config : dict
        The configuration with the best trial's values, as TOML has it.
    folder : Path
        The configuration's.
    """

    watch: str
    maximize: bool
    trials: tuple[Trial, ...]
    importance: dict[str, float]
    cpu_minutes: float
    best_config: dict[str, Any]
    folder: Path

    @property
    def ranked(self) -> list[Trial]:
        """The trials that were trained to their end, best first."""
        return _ranked(self.trials, self.maximize)

    @property
    def best(self) -> Trial:
        """The best of them."""
        return self.ranked[0]


def tune(
    config: str | Path,
    *,
    out: str | Path | None = None,
    trials: int | None = None,
    cpu_minutes: float | None = None,
    workers: int = 1,
    fresh: bool = False,
    quiet: bool = False,
) -> Tuning:
    """Look for the settings that do best on a configuration's validation part.

    The test part is never looked at.

    Parameters
    ----------
    config : str or Path
        A .toml file, as `load_config` takes it; its section ``[tune]`` says what is tried.
    out : str or Path, optional
        Folder of the study's file, ``study.journal``; by default `folder_of` the configuration. A
        study that is there goes on.
    trials : int, optional
        How many the study is to have in all; without a budget, `TRIALS`.
    cpu_minutes : float, optional
        Processor minutes of all trials after which none is begun.
    workers : int
        Processes, each with a thread and a copy of the data.
    fresh : bool
        Forget the study that is there.
    quiet : bool
        Print nothing.

    Returns
    -------
    Tuning
        All trials, and the best configuration.

    Raises
    ------
    InputError
        From the configuration, its space, its data; ``out_of_range``; ``study_mismatch``: the
        file is of other data, settings or another space; ``study_in_use``, ``study_damaged``;
        ``no_trial_succeeded``.
    KeyboardInterrupt
        After Ctrl-C; the same call goes on.
    """
    config = Path(config)
    budget = _budget(trials, cpu_minutes, workers)
    order = order_of(config, Path(out or folder_of(config)), budget)
    told = None if quiet else Told(order.watch, order.maximize, budget)
    with opened(order, fresh=fresh) as study:
        try:
            _run(order, study, workers, told)
        except KeyboardInterrupt:
            if told is not None:
                n = len(studies.trials(study))
                told.note(
                    f"interrupted after {n} trials: the same command goes on from {order.path}"
                )
            raise
        finally:
            if told is not None:
                told.close()
        return _tuning(order, study)


def order_of(config: Path, out: Path, budget: Budget) -> Order:
    """Read a configuration, its space and its data.

    Raises
    ------
    InputError
        From each of them.
    """
    search = Search.of(toml.read(config), config.parent)
    chosen = search.config({})
    data = Data.read(chosen)
    watch = chosen.train.watch or tasks.open(data.task).watch
    return Order(out / "study.journal", search, data, chosen.tune, watch, budget)


@contextmanager
def opened(order: Order, *, fresh: bool = False) -> Iterator[optuna.Study]:
    """Give an order's study, new or as it was left, to this process alone.

    Raises
    ------
    InputError
        ``study_in_use``, ``study_mismatch``, ``study_damaged`` or ``cannot_write``.
    """
    with studies.alone(order.path):
        if fresh:
            order.path.write_bytes(b"")  # not unlinked: its lock is what keeps others away
        background = _background(order)
        study = studies.begin(
            order.path, order.settings, maximize=order.maximize, background=background
        )
        studies.forget_cut_off(study)
        yield study


def folder_of(config: Path) -> Path:
    """Return where a study is kept unless told otherwise.

    >>> folder_of(Path("pumps/train.toml"))
    PosixPath('pumps/train-tune')
    """
    return config.with_name(f"{config.stem}-tune")


def _run(order: Order, study: optuna.Study, workers: int, told: Told | None) -> None:
    def heard() -> None:
        if told is not None:
            told.trials(studies.trials(study))

    if told is not None:
        told.begin(studies.trials(study))
    if order.budget.spent(study):
        return
    if workers == 1:
        work(order, study, heard=heard)
    else:
        work_in_processes(order, workers, heard)


def _tuning(order: Order, study: optuna.Study) -> Tuning:
    found = studies.trials(study)
    ranked = _ranked(found, order.maximize)
    if not ranked:
        reasons = [trial.reason for trial in found if trial.reason]
        raise InputError(
            "no_trial_succeeded",
            f"none of {len(found)} trials was trained to its end"
            + (f"; the last failed with: {reasons[-1]}" if reasons else ""),
            field="tune",
            hint="give it a larger budget, or a space of settings that can be trained",
        )
    values = order.search.fixed | ranked[0].values
    return Tuning(
        order.watch,
        order.maximize,
        tuple(found),
        _importance(study, len(ranked)),
        studies.cpu_seconds(study) / 60,
        order.search.with_values(values),
        order.search.folder,
    )


def _ranked(trials: Sequence[Trial], maximize: bool) -> list[Trial]:
    sign = -1 if maximize else 1
    done = [
        (sign * t.value, t.number, t) for t in trials if t.state == "done" and t.value is not None
    ]
    return [trial for *_, trial in sorted(done)]


def _importance(study: optuna.Study, done: int) -> dict[str, float]:
    if done < _TELLING:
        return {}
    quarter = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.25)
    return optuna.importance.get_param_importances(study, evaluator=quarter)


def _budget(trials: int | None, cpu_minutes: float | None, workers: int) -> Budget:
    for name, value in (("trials", trials), ("cpu_minutes", cpu_minutes), ("workers", workers)):
        if value is not None and not value > 0:
            raise InputError(
                "out_of_range", f"{value} is not allowed", field=name, hint="use more than 0"
            )
    return Budget(TRIALS if trials is None and cpu_minutes is None else trials, cpu_minutes)


def _background(order: Order) -> dict[str, str]:
    """Return a digest of each thing that must stay as it is for trials to be compared."""
    config = order.search.config({})
    columns = config.data.session, config.data.time
    sections = config.task, config.split, config.schema, config.model, config.train
    settings = [order.data.task, columns, *sections]
    tuned = {name: getattr(order.settings, name) for name in ("prune", "startup", "seed")}
    return {
        "data": _digest_file(config.data.events),
        "settings": hashlib.sha256(msgspec.json.encode(settings)).hexdigest(),
        "space": hashlib.sha256(msgspec.json.encode([order.search.space, tuned])).hexdigest(),
    }


def _digest_file(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
