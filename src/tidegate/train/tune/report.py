"""What a tuning leaves behind: the best configuration, two charts, and a page with all trials."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt
import tomli_w

from tidegate import files
from tidegate.bench import page
from tidegate.train.tune.run import Tuning
from tidegate.train.tune.space import Value
from tidegate.train.tune.study import Trial

__all__ = ["columns", "history", "importance", "shown", "write_best", "write_page"]

_BLUE, _ORANGE, _GREY = "#0072B2", "#E69F00", "#7A7A7A"
_WIDTH, _HEIGHT = 460, 260
_STATES = {"done": "finished", "pruned": "ended early", "failed": "failed"}
_BEST = "best so far"
_HISTORY = """
Each trial trained a model with settings of its own on the training part, and was measured on the
validation part after every epoch; a trial that was ended early shows its last value. The value of
the best of many trials flatters: only the test part, which tuning never looks at, tells how good
the best settings are.
"""


def write_best(tuning: Tuning, folder: Path) -> Path:
    """Write ``best.toml``, which `tidegate train` takes: the configuration with the best values.

    Raises
    ------
    InputError
        ``cannot_write``.
    """
    best, path = tuning.best, folder / "best.toml"
    document = {**tuning.best_config}
    for section, name in (("data", "events"), ("bundle", "out")):
        target = Path(tuning.folder, document[section][name]).absolute()
        relative = os.path.relpath(target, folder.absolute())
        document[section] = {**document[section], name: relative}
    about = (
        f"# Trial {best.number}, the best of {len(tuning.trials)}: {tuning.watch} {best.value:.6g} "
        "on the validation part.\n\n"
    )
    files.write_file(path, (about + tomli_w.dumps(document)).encode())
    return path


def write_page(tuning: Tuning, folder: Path, name: str) -> list[Path]:
    """Write ``tune.html``, which needs no network, and a picture of each chart.

    Parameters
    ----------
    tuning : Tuning
        With at least one trial that was trained to its end.
    folder : Path
        Where to.
    name : str
        What was tuned.

    Raises
    ------
    InputError
        ``cannot_write``.
    """
    charts = {"history": history(tuning)}
    if tuning.importance:
        charts["importance"] = importance(tuning)
    order = [*tuning.ranked, *(trial for trial in tuning.trials if trial.state != "done")]
    keys = columns(order)
    head = ("trial", "state", tuning.watch, "epochs", "CPU s", *keys.values())
    failed = [f"Trial {trial.number} failed: {trial.reason}" for trial in order if trial.reason]
    spent = f"{len(tuning.trials)} trials took {tuning.cpu_minutes:.1f} CPU minutes."
    return page.write(
        folder,
        "tune",
        charts,
        title=f"tidegate tune: {name}",
        heading=f"Tuning {name}",
        about=[_HISTORY, spent],
        table=[head, *(_row(trial, keys) for trial in order)],
        texts=2,
        facts=failed,
    )


def history(tuning: Tuning) -> alt.TopLevelMixin:
    """Draw the value of each trial, and the best so far."""
    points: list[dict[str, Any]] = []
    steps: list[dict[str, Any]] = []
    pick = max if tuning.maximize else min
    for trial in tuning.trials:
        if trial.value is None:
            continue
        points.append({"trial": trial.number, "value": trial.value, "state": _STATES[trial.state]})
        if trial.state == "done":
            best = pick([trial.value, *(step["value"] for step in steps[-1:])])
            steps.append({"trial": trial.number, "value": best, "state": _BEST})
    steps.append({**steps[-1], "trial": points[-1]["trial"]})
    colours = {_STATES["done"]: _BLUE, _STATES["pruned"]: _GREY, _BEST: _ORANGE}
    scale = alt.Scale(domain=[*colours], range=[*colours.values()])
    window = alt.Scale(domain=_window(tuning.ranked), clamp=True, nice=False)
    encoding = {
        "x": alt.X("trial:Q", title="trial", axis=alt.Axis(tickMinStep=1, format="d", grid=False)),
        "y": alt.Y("value:Q", title=f"{tuning.watch}, validation part", scale=window),
        "color": alt.Color("state:N", title=None, scale=scale),
    }
    line = alt.Chart(alt.InlineData(values=steps)).mark_line(interpolate="step-after")
    marks = alt.Chart(alt.InlineData(values=points)).mark_point(filled=True, size=50, opacity=0.9)
    layers = line.encode(**encoding), marks.encode(**encoding)
    return page.configured(alt.layer(*layers, title="Trials", width=_WIDTH, height=_HEIGHT))


def importance(tuning: Tuning) -> alt.TopLevelMixin:
    """Draw how much each key had to do with a trial being among the best quarter."""
    values = [{"key": key, "share": share} for key, share in tuning.importance.items()]
    order = [*tuning.importance]
    bars = (
        alt.Chart(alt.InlineData(values=values), title="What made the best trials differ")
        .mark_bar(color=_BLUE)
        .encode(
            x=alt.X("share:Q", title="importance (PED-ANOVA), share", axis=alt.Axis(format="%")),
            y=alt.Y("key:N", sort=order, title=None, axis=alt.Axis(labelLimit=260, ticks=False)),
        )
        .properties(width=_WIDTH, height=max(60, 26 * len(values)))
    )
    return page.configured(bars)


def columns(trials: Sequence[Trial]) -> dict[str, str]:
    """Return the keys that trials drew, and a short name of each, if it is the only one of it.

    Examples
    --------
    >>> drawn = {"model.cell": "gru", "train.augment.jitter": 0.1}
    >>> columns([Trial(0, "done", drawn, 0.5, 1, 2.0)])
    {'model.cell': 'cell', 'train.augment.jitter': 'jitter'}
    """
    keys = [*dict.fromkeys(key for trial in trials for key in trial.values)]
    last = [key.rpartition(".")[2] for key in keys]
    return {
        key: short if last.count(short) == 1 else key for key, short in zip(keys, last, strict=True)
    }


def shown(value: Value | None) -> str:
    """Return a value for a table.

    >>> shown(0.00123456), shown(64), shown("gru"), shown(None)
    ('0.001235', '64', 'gru', '')
    """
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _row(trial: Trial, keys: dict[str, str]) -> tuple[str, ...]:
    drawn = (shown(trial.values.get(key)) for key in keys)
    numbers = (str(trial.epochs), f"{trial.cpu_s:.1f}")
    return (str(trial.number), _STATES[trial.state], shown(trial.value), *numbers, *drawn)


def _window(finished: Sequence[Trial]) -> list[float]:
    """Return the range of the finished trials' values, with a margin.

    What was ended early may lie far out, and is drawn at the edge.
    """
    values = [trial.value for trial in finished if trial.value is not None]
    low, high = min(values), max(values)
    margin = 0.08 * (high - low) or 0.05 * abs(low) or 1.0
    return [low - margin, high + margin]
