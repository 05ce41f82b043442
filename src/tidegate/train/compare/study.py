"""A comparison: everybody gets the same budget, is trained with the same seeds, measured alike."""

from __future__ import annotations

import hashlib
import math
import platform
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from tidegate import __version__, answers, core, tasks
from tidegate.data.profile import LengthProfile
from tidegate.errors import InputError
from tidegate.train import parts
from tidegate.train.compare.baselines import baselines
from tidegate.train.compare.contestants import Contestant, line_up
from tidegate.train.compare.trials import Plan, Quality, Trial, Trials
from tidegate.train.config import TrainConfig
from tidegate.train.parts import Prepared

__all__ = ["FRACTIONS", "Comparison", "Entry", "Options", "Point", "compare", "defaults"]

FRACTIONS = (0.125, 0.25, 0.5)
"""Shares of the training part's sessions on the learning curve, before the whole."""

Step = Callable[[str, int, int], object]


class Options(msgspec.Struct, frozen=True):
    """What is compared, and how much is spent on each.

    Parameters
    ----------
    models : tuple of str
        Of `contestants.NAMES`.
    seeds : int
        Trainings of each that are measured on the test part, 1 or more.
    rates : tuple of float
        Factors of the configured learning rate; each contestant takes the one whose training does
        best on the validation part.
    curve : bool
        Also train on shares of the training part.
    """

    models: tuple[str, ...]
    seeds: int = 5
    rates: tuple[float, ...] = (1 / 3, 1.0, 3.0)
    curve: bool = False

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise _out_of_range("seeds", self.seeds, "1 or more; 5 make a difference tellable")
        if not self.rates or not all(0 < rate < math.inf for rate in self.rates):
            raise _out_of_range("rates", self.rates, "factors above 0, one or more")


class Entry(msgspec.Struct, frozen=True):
    """What came of one contestant.

    Parameters
    ----------
    name : str
        Its name.
    model : dict
        Its settings.
    parameters, body : int
        Numbers that it learns, and those of its layers alone.
    streams : bool
        Whether an engine answers its events as they come.
    learning_rate : float
        The one that was chosen.
    tried : tuple of Trial
        Those that chose it.
    trials : tuple of Trial
        One a seed.
    """

    name: str
    model: dict[str, Any]
    parameters: int
    body: int
    streams: bool
    learning_rate: float
    tried: tuple[Trial, ...]
    trials: tuple[Trial, ...]

    def values(self, watch: str) -> list[float]:
        """Return a metric of each seed."""
        return [trial.test[watch] for trial in self.trials]

    @property
    def seconds(self) -> float:
        """Of a training, median."""
        return statistics.median(trial.seconds for trial in self.trials)

    def cost(self, name: str) -> float | None:
        """Return a member of `Cost`, the median over seeds; None: it is not to be had."""
        found = [getattr(trial.cost, name) for trial in self.trials if trial.cost is not None]
        return statistics.median(found) if found else None


class Point(msgspec.Struct, frozen=True):
    """A point of the learning curve.

    Parameters
    ----------
    name : str
        Of the contestant.
    fraction : float
        Share of the training part's sessions.
    values : tuple of float
        The watched metric, one a seed.
    """

    name: str
    fraction: float
    values: tuple[float, ...]


class Comparison(msgspec.Struct, frozen=True):
    """What was measured, and on what.

    Parameters
    ----------
    task, label : str
        The task, and what it is about.
    watch : str
        The metric that decides.
    higher : bool
        Whether higher is better.
    part : str
        The part of the data that was measured, ``test`` or ``validation``.
    sizes : dict of str to tuple of int
        Sessions and events of each part.
    lengths : LengthProfile
        Of the training part's sessions.
    options : Options
        What was spent.
    entries : tuple of Entry
        The contestants.
    simple : dict of str to Trial
        The baselines.
    curve : tuple of Point
        The learning curve, if one was asked for.
    left_out : dict of str to str
        Who does not fit, and why.
    machine : dict of str to str
        Where it was measured.
    key : str
        Of data and configuration.
    """

    task: str
    label: str
    watch: str
    higher: bool
    part: str
    sizes: dict[str, tuple[int, int]]
    lengths: dict[str, Any]
    options: Options
    entries: tuple[Entry, ...]
    simple: dict[str, Trial]
    curve: tuple[Point, ...]
    left_out: dict[str, str]
    machine: dict[str, str]
    key: str


def defaults(config: TrainConfig) -> tuple[str, ...]:
    """Return who is compared unless told otherwise."""
    both = ("bigru",) if config.task.per == "session" else ()
    return ("gru", "lstm", "rnn", "mingru", "transformer", *both)


def compare(
    config: TrainConfig,
    options: Options,
    folder: str | Path,
    *,
    step: Step | None = None,
) -> Comparison:
    """Compare kinds of layers on the data of a configuration.

    Each contestant has as many parameters in its layers as the configured model, about. Each is
    trained once with each learning rate, and the validation part chooses; then once with each
    seed, and the test part is measured. What was trained before, by a call that was cut short or
    had fewer seeds, is not trained again.

    Parameters
    ----------
    config : TrainConfig
        Data, schema, task, and the model that the others are to be like.
    options : Options
        What is compared.
    folder : str or Path
        Where results are kept.
    step : callable, optional
        Hears what is trained next, how many trainings are done, and of how many.

    Raises
    ------
    InputError
        From `parts.prepare`, `line_up` or the fit; ``out_of_range``; ``unknown_metric``: the labels
        of the part that is measured do not define the one that decides.
    """
    prepared = parts.prepare(config)
    names, left_out = _fitting(options.models, config)
    contestants = line_up(names, config.model, prepared.schema, prepared.task)
    watch = config.train.watch or tasks.open(prepared.task).watch
    key = _key(config, prepared)
    measured = prepared.valid if prepared.test is None else prepared.test
    quality = Quality.of(prepared.task, prepared.schema, measured, watch)
    part = "validation" if prepared.test is None else "test"
    _check_watch(quality, contestants, part)
    runs = Trials(config, prepared, contestants, Path(folder, "trials"), key, quality)
    higher = watch in answers.HIGHER_IS_BETTER
    told = _Told(step, len(contestants) * _trainings(options))
    entries = tuple(_entry(each, runs, options, told, higher=higher) for each in contestants)
    curve = tuple(_curve(entries, runs, options, told)) if options.curve else ()
    simple = {
        name: quality.fill(Trial(Plan(name, 0.0, 0), key, 0, 0, 0.0, {}), outputs)
        for name, outputs in baselines(prepared, measured, watch=watch)
    }
    tables = {"training": prepared.train, "validation": prepared.valid, "test": prepared.test}
    return Comparison(
        task=prepared.task.name,
        label=prepared.task.label,
        watch=watch,
        higher=higher,
        part=part,
        sizes={
            name: (len(table.sessions), table.n_events)
            for name, table in tables.items()
            if table is not None
        },
        lengths=LengthProfile.of(prepared.train.lengths).to_dict(),
        options=options,
        entries=entries,
        simple=simple,
        curve=curve,
        left_out=left_out,
        machine=_machine(),
        key=key,
    )


def _check_watch(quality: Quality, contestants: Sequence[Contestant], part: str) -> None:
    """Refuse a metric that the labels do not define, before hours of training."""
    nothing = np.zeros((quality.table.n_events, contestants[0].answer_size), dtype=np.float32)
    measured = quality.metrics(nothing).keys() - {"n"}
    if quality.watch not in measured:
        raise InputError(
            "unknown_metric",
            f"{quality.watch!r} is not measured on the {part} part",
            field="train.watch",
            hint=f"use one of {', '.join(sorted(measured)) or 'a part with labels: it has none'}",
        )


class _Told:
    """Counts the trainings."""

    def __init__(self, step: Step | None, of: int) -> None:
        self._step, self._of, self._done = step, of, 0

    def __call__(self, plan: Plan) -> None:
        share = "" if plan.fraction >= 1 else f", {plan.fraction:.0%} of the sessions"
        what = f"{plan.contestant}: learning rate {plan.learning_rate:.2g}, seed {plan.seed}{share}"
        if self._step is not None:
            self._step(what, self._done, self._of)
        self._done += 1


def _trainings(options: Options) -> int:
    tried = len(options.rates) if len(options.rates) > 1 else 0
    return tried + options.seeds * (1 + len(FRACTIONS) * options.curve)


def _fitting(names: Sequence[str], config: TrainConfig) -> tuple[list[str], dict[str, str]]:
    out: dict[str, str] = {}
    if config.train.mode == "lanes":
        reason = "lanes carry a state, which it does not have"
        out |= dict.fromkeys({"transformer", "mingru", "bigru"} & {*names}, reason)
    if config.task.per == "event" and "bigru" in names:
        out["bigru"] = "an answer to each event must not see the events after it"
    return [name for name in names if name not in out], out


def _entry(
    contestant: Contestant, runs: Trials, options: Options, told: _Told, *, higher: bool
) -> Entry:
    base, first = runs.config.train.learning_rate, runs.config.train.seed
    plans = [Plan(contestant.name, _rounded(base * factor), first) for factor in options.rates]
    tried: list[Trial] = []
    if len(plans) > 1:
        for plan in plans:
            told(plan)
            tried.append(runs.run(plan))
        sign = 1 if higher else -1
        plans = [max(tried, key=lambda each: sign * each.valid[runs.quality.watch]).plan]
    rate, trials = plans[0].learning_rate, []
    for seed in range(first, first + options.seeds):
        plan = Plan(contestant.name, rate, seed)
        told(plan)
        trials.append(runs.run(plan))
    return Entry(
        contestant.name,
        msgspec.to_builtins(contestant.model),
        contestant.parameters,
        contestant.body,
        contestant.streams,
        rate,
        tuple(tried),
        tuple(trials),
    )


def _curve(entries: Sequence[Entry], runs: Trials, options: Options, told: _Told) -> list[Point]:
    points = []
    first = runs.config.train.seed
    for entry in entries:
        for fraction in FRACTIONS:
            found = []
            for seed in range(first, first + options.seeds):
                plan = Plan(entry.name, entry.learning_rate, seed, fraction)
                told(plan)
                found.append(runs.run(plan).test[runs.quality.watch])
            points.append(Point(entry.name, fraction, tuple(found)))
        points.append(Point(entry.name, 1.0, tuple(entry.values(runs.quality.watch))))
    return points


def _rounded(rate: float) -> float:
    return float(f"{rate:.3g}")


def _key(config: TrainConfig, prepared: Prepared) -> str:
    """Return a text that differs when data or configuration differ."""
    with Path(config.data.events).open("rb") as file:
        data = hashlib.file_digest(file, "sha256").hexdigest()
    columns = (config.data.session, config.data.time)
    parts = (config.schema, config.split, config.task, config.model, config.train, prepared.task)
    said = msgspec.json.encode([data, columns, *map(_told, parts)], enc_hook=str)
    return hashlib.sha256(said).hexdigest()


def _told(value: Any) -> Any:
    """Return what settings say beside their defaults: a later version may have more of them."""
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.fields(value)
        given = {field.name: getattr(value, field.name) for field in fields}
        return {f.name: _told(given[f.name]) for f in fields if given[f.name] != f.default}
    if isinstance(value, dict):
        return {name: _told(member) for name, member in value.items()}
    return value


def _machine() -> dict[str, str]:
    return {
        "processor": platform.processor() or platform.machine(),
        "instruction_set": core.isa(),
        "tidegate": __version__,
        "torch": str(torch.__version__),
    }


def _out_of_range(field: str, value: object, rule: str) -> InputError:
    return InputError("out_of_range", f"{value!r} is not allowed", field=field, hint=f"use {rule}")
