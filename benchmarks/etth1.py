"""ETTh1: how well a recurrent layer forecasts the next 96 to 720 hours of seven series.

    .venv/bin/python benchmarks/etth1.py --data FOLDER
    .venv/bin/python benchmarks/etth1.py --table

File, protocol and errors are those of etth1_protocol.py.

Each series, and each hour of the day, is a session of its own, with the weights in common: its
event is one day, as 24 hourly values and how far the newest stands from its level, and its memory
goes on from day to day, over the whole of the record. So an hour's new value is one event, of the
session of that hour, and is answered at once. The level is the running mean of 720 hours; values
are taken relative to it, and the forecast is added to it. The head also reads the event past the
layer. Several such networks, which begin differently, are trained side by side, and their forecasts
averaged: together they are one layer whose matrices are zero but for blocks.

One model forecasts 720 hours, of which the shorter horizons are the beginning. When to stop is
chosen by validation, by the mean of the four horizons' squared errors. What was seen of the test
part before this model was settled is in docs/results.md.

Each run (seed) writes a file; those that are there are not made again, so Ctrl-C loses one run at
most.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import etth1_protocol as protocol
import msgspec
import numpy as np
import runs
import torch
from etth1_protocol import DAY, Errors, Record, Sums, naive, origins
from rich.progress import Progress
from torch import Tensor, nn

from tidegate.nn import GRU
from tidegate.train.repeatable import repeatable

DLINEAR = {96: 0.375, 192: 0.405, 336: 0.439, 720: 0.472}
"""Mean squared errors of Zeng et al. 2023, with 336 hours of look-back."""
PATCHTST = {96: 0.370, 192: 0.413, 336: 0.422, 720: 0.447}
"""Of Nie et al. 2023, PatchTST/64."""
RESULTS = runs.RESULTS / "etth1"


class Settings(msgspec.Struct, frozen=True):
    """How a model is trained.

    Parameters
    ----------
    units : int
        Of each member's layer.
    members : int
        Networks whose forecasts are averaged.
    level : int
        Hours of the running mean.
    days : int
        Events of a stretch that is trained on.
    unlearned : int
        Of them, the first, of which nothing is learned: the memory is still short.
    batch : int
        Stretches of an update.
    steps : int
        Updates.
    check : int
        Updates between two validations.
    dropout : float
        Of what the layer gives the head.
    learning_rate : float
        Adam's, after a short rise.
    averaging : float
        Share that the mean of weights, which is what is validated, keeps at each update.
    loss : str
        ``l1`` or ``l2``.
    months : tuple of int
        Of training, validation and test.
    horizons : tuple of int
        Hours that are measured, rising.
    """

    units: int = 64
    members: int = 4
    level: int = 720
    days: int = 30
    unlearned: int = 10
    batch: int = 64
    steps: int = 400
    check: int = 50
    dropout: float = 0.5
    learning_rate: float = 2e-3
    averaging: float = 0.99
    loss: str = "l1"
    months: tuple[int, int, int] = (12, 4, 4)
    horizons: tuple[int, ...] = (96, 192, 336, 720)


QUICK = Settings(
    units=4,
    members=2,
    level=48,
    days=4,
    unlearned=1,
    batch=4,
    steps=4,
    check=2,
    months=(1, 1, 1),
    horizons=(12, 96),
)


class Horizon(msgspec.Struct, frozen=True):
    """How good forecasts of so many hours are: the model's, and on the test the naive ones'."""

    hours: int
    validation: Errors
    test: Errors
    last_value: Errors
    last_day: Errors


class EttRun(runs.Run, frozen=True, kw_only=True):
    """What a seed gave.

    Parameters
    ----------
    settings : Settings
        Of the training.
    curve : list of (int, float)
        Updates, and the mean of the horizons' squared errors on validation after them.
    horizons : list of Horizon
        Of the updates that were best on validation.
    """

    settings: Settings
    curve: list[tuple[int, float]]
    horizons: list[Horizon]


class Model(nn.Module):
    """Members side by side: a recurrent layer each, and heads that also read the event."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        size, longest = DAY + 1, settings.horizons[-1]
        self.layers = nn.ModuleList(GRU(size, settings.units) for _ in range(settings.members))
        self.heads = nn.ModuleList(
            nn.Linear(settings.units, longest) for _ in range(settings.members)
        )
        self.skips = nn.ModuleList(
            nn.Linear(size, longest, bias=False) for _ in range(settings.members)
        )
        self.dropout = nn.Dropout(settings.dropout)
        for skip in self.skips:
            nn.init.zeros_(skip.weight)

    def forward(self, days: Tensor) -> Tensor:
        """Take days (B, T, 25); return each member's forecasts (members, B, T, 720)."""
        members = zip(self.layers, self.heads, self.skips, strict=True)
        return torch.stack(
            [head(self.dropout(layer(days)[0])) + skip(days) for layer, head, skip in members]
        )


def main() -> None:
    """Make the runs that are missing, or print the table."""
    parser = runs.arguments(__doc__, seeds=[0, 1, 2, 3, 4], quick="few hours, a small model")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help=f"with {protocol.FILE}")
    options = parser.parse_args()
    out = runs.folder_of(options, RESULTS)
    settings = QUICK if options.quick else Settings()
    if not options.table:
        record = protocol.read(options.data, settings.months, settings.level)
        with runs.progress() as bar:
            for seed in options.seeds:
                path = out / f"gru-seed{seed}.json"
                runs.once(path, partial(make, record, seed, settings, bar), said)
    print(table(out))


def said(run: EttRun) -> str:
    """Write the figures of a run in a line."""
    return ", ".join(f"{each.test.mse:.4f}" for each in run.horizons)


def days_of(record: Record, series: Tensor, hours: Tensor) -> Tensor:
    """Return the events that end at some hours: 24 values and the newest, above the level.

    Parameters
    ----------
    record : Record
        The series.
    series : int64 tensor (B, 1)
        Which.
    hours : int64 tensor (B, T)
        Of each event's newest value; 23 or more.

    Returns
    -------
    float32 tensor (B, T, 25)
    """
    inside = hours[..., None] + torch.arange(1 - DAY, 1)
    level = record.level[series, hours][..., None]
    newest = record.values[series, hours][..., None]
    return torch.cat([record.values[series[..., None], inside], newest], dim=-1) - level


def make(record: Record, seed: int, settings: Settings, bar: Progress) -> EttRun:
    """Train a model, and test what was best on validation."""
    began = time.process_time()
    with (
        runs.watched(bar, f"seed {seed}", settings.steps) as said,
        repeatable(seed, threads=1),
    ):
        model, curve = train(Model(settings), record, seed, settings, said)
        valid, test = (measure(model, record, part, settings.horizons) for part in (1, 2))
        return EttRun(
            model="gru",
            units=settings.units * settings.members,
            seed=seed,
            parameters=runs.parameters(model),
            parameters_of_layer=runs.parameters(model.layers),
            path=model.layers[0].path(torch.zeros(1, 1, DAY + 1)),
            settings=settings,
            curve=curve,
            horizons=[
                Horizon(
                    hours,
                    valid[hours],
                    test[hours],
                    naive(record, 2, hours, 1),
                    naive(record, 2, hours, DAY),
                )
                for hours in settings.horizons
            ],
            cpu_seconds=round(time.process_time() - began, 1),
            threads=1,
            place=runs.Place.here(),
        )


def train(
    model: Model,
    record: Record,
    seed: int,
    settings: Settings,
    said: Callable[[int, float], None],
) -> tuple[Model, list[tuple[int, float]]]:
    """Train on stretches of the training part; return the mean weights that validate best."""
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    mean = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(settings.averaging)
    )
    generator = torch.Generator().manual_seed(seed)
    best, curve = np.inf, []
    kept = {key: value.clone() for key, value in model.state_dict().items()}
    for step in range(1, settings.steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * min(1.0, step / 20)
        optimizer.zero_grad()
        loss(model, record, settings, generator).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        mean.update_parameters(model)
        if step % settings.check == 0:
            found = measure(mean.module, record, 1, settings.horizons)
            figure = sum(errors.mse for errors in found.values()) / len(found)
            curve.append((step, figure))
            said(step, figure)
            if figure < best:
                best = figure
                kept = {key: value.clone() for key, value in mean.module.state_dict().items()}
    model.load_state_dict(kept)
    return model, curve


def loss(
    model: Model,
    record: Record,
    settings: Settings,
    generator: torch.Generator,
) -> Tensor:
    """Return the mean error of a batch of stretches, over the hours that the training part has."""
    size, end = (settings.batch, 1), record.bounds[0]
    series = torch.randint(len(record.values), size, generator=generator)
    first = DAY * settings.days - 1
    last = torch.randint(first, end - 1, size, generator=generator)
    hours = last - DAY * torch.arange(settings.days - 1, -1, -1)
    found = model(days_of(record, series, hours))[:, :, settings.unlearned :]
    hours = hours[:, settings.unlearned :]
    ahead = hours[..., None] + torch.arange(1, settings.horizons[-1] + 1)
    known = ahead < end
    right = record.values[series[..., None], ahead.clamp(max=end - 1)]
    errors = (found - (right - record.level[series, hours][..., None])) * known
    total = errors.abs().sum() if settings.loss == "l1" else errors.square().sum()
    return total / known.sum() / len(found)


@torch.no_grad()
def forecasts(model: nn.Module, record: Record, hours: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Make the forecasts of some hours, with a memory that goes back to the record's beginning.

    Yields
    ------
    tuple
        Hours, (n,), all of one time of the day; and the forecasts made at them, (7, n, 720).
    """
    was_training = model.training
    model.eval()
    series = torch.arange(len(record.values))[:, None]
    for clock in range(DAY):
        at = torch.arange(DAY - 1 + clock, int(hours[-1]) + 1, DAY)
        kept = at >= hours[0]
        found = model(days_of(record, series, at[None].expand(len(series), -1))).mean(dim=0)
        yield at[kept], found[:, kept] + record.level[:, at[kept], None]
    model.train(was_training)


def measure(
    model: nn.Module, record: Record, part: int, horizons: Sequence[int]
) -> dict[int, Errors]:
    """Return the errors of a model's forecasts of a part, for each horizon."""
    sums = {horizon: Sums() for horizon in horizons}
    for hours, found in forecasts(model, record, origins(record, part, min(horizons))):
        for horizon in horizons:
            whole = hours <= origins(record, part, horizon)[-1]
            sums[horizon].add(record, hours[whole], found[:, whole, :horizon])
    return {horizon: each.errors() for horizon, each in sums.items()}


def table(folder: Path) -> str:
    """Write the runs of a folder as Markdown."""
    found = runs.read(folder, EttRun)
    groups: dict[int, list[Horizon]] = {}
    for run in found:
        for each in run.horizons:
            groups.setdefault(each.hours, []).append(each)
    rows = [
        [
            f"{hours}",
            runs.spread([each.test.mse for each in group], 3),
            runs.spread([each.test.mae for each in group], 3),
            f"{group[0].last_value.mse:.3f}",
            f"{group[0].last_day.mse:.3f}",
            f"{DLINEAR.get(hours, 0):.3f}",
            f"{PATCHTST.get(hours, 0):.3f}",
            runs.spread([each.validation.mse for each in group], 3),
            f"{len(group)}",
        ]
        for hours, group in groups.items()
    ]
    header = (
        *("hours", "test MSE", "test MAE", "last value, MSE", "last day, MSE"),
        *("DLinear, MSE", "PatchTST/64, MSE", "validation MSE", "seeds"),
    )
    lines = [runs.markdown(header, rows, words=0)]
    if found:
        seconds = sum(run.cpu_seconds for run in found) / len(found)
        lines.append(
            f"Parameters, layers + heads: {found[0].sizes}. CPU seconds a seed: {seconds:,.0f}. "
            f"Path: {found[0].path}."
        )
    return "\n\n".join(lines)


if __name__ == "__main__":
    runs.script(main)
