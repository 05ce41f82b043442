"""ETTh1, as well as recurrent layers foretell it: one that remembers, and one that reads again.

    .venv/bin/python benchmarks/etth1_best.py --data FOLDER
    .venv/bin/python benchmarks/etth1_best.py --table

File, protocol and errors are those of etth1_protocol.py. The first of two models is that of
etth1.py: its memory is carried over the whole record, and one of a seed answers all horizons. The
second reads the last 720 hours anew for every forecast, as segments above the newest value: a
linear layer and a GRU take them in, and the same GRU makes one step for each segment to come, whose
event says which it is and of which series (S. Lin et al., "SegRNN: Segment recurrent neural network
for long-term time series forecasting", 2023). A model is made for each horizon. The two forecasts
are averaged, each with half of the weight.

The epoch is chosen by the averaged forecast's squared error on validation. What was seen of the
test part before these models were settled is in docs/results.md.

Each run (horizon, seed) writes a file; those that are there are not made again, so Ctrl-C loses one
run at most.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import etth1
import etth1_protocol as protocol
import msgspec
import runs
import torch
from etth1_protocol import DAY, Errors, Record, Sums, origins
from rich.progress import Progress
from torch import Tensor, nn

from tidegate.nn import GRU
from tidegate.train.ema import MovingAverage
from tidegate.train.repeatable import repeatable

RESULTS = runs.RESULTS / "etth1-best"
VALIDATION, TEST = 1, 2


class Recipe(msgspec.Struct, frozen=True):
    """The second model, and how it is trained.

    Parameters
    ----------
    units : int
        Of a member's layer; even.
    members : int
        Networks whose forecasts are averaged.
    segment : int
        Hours; a part of `look_back` and of each horizon.
    look_back : int
        Hours that are read.
    dropout : float
        Of what the layer gives the head.
    batch : int
        Hours of an update, with all their series.
    epochs, patience : int
        At most; and after how many that are not better than the best it ends.
    learning_rate, decay : float
        Adam's in the first three epochs; and the factor of each epoch after them.
    averaging : float
        Share that the mean of weights, which is what is validated, keeps at each update.
    """

    units: int = 128
    members: int = 2
    segment: int = 48
    look_back: int = 720
    dropout: float = 0.1
    batch: int = 64
    epochs: int = 12
    patience: int = 3
    learning_rate: float = 4e-4
    decay: float = 0.9
    averaging: float = 0.99


QUICK = Recipe(units=4, members=2, segment=12, look_back=48, epochs=2, learning_rate=0.01)


class Figures(msgspec.Struct, frozen=True):
    """How far off forecasts are."""

    validation: Errors
    test: Errors


class BestRun(runs.Run, frozen=True, kw_only=True):
    """What a horizon and a seed gave.

    Parameters
    ----------
    hours : int
        The horizon.
    recipe : Recipe
        Of the model that reads again.
    carried : etth1.Settings
        Of the model that remembers; its parameters and CPU seconds are in the run's.
    best_epoch : int
        By validation.
    remembers, rereads, averaged : Figures
        Of either model, and of their mean.
    """

    hours: int
    recipe: Recipe
    carried: etth1.Settings
    best_epoch: int
    remembers: Figures
    rereads: Figures
    averaged: Figures


class Carried(msgspec.Struct, frozen=True):
    """What the model that remembers foretells.

    Parameters
    ----------
    parts : dict of int to float32 tensor (7, n, longest horizon)
        Its forecasts at each hour of validation and test that has the shortest horizon ahead.
    parameters, parameters_of_layer : int
        Of all members.
    cpu_seconds : float
        Of training and forecasts.
    """

    parts: dict[int, Tensor]
    parameters: int
    parameters_of_layer: int
    cpu_seconds: float

    def of(self, record: Record, part: int, hours: int) -> Tensor:
        """Return the forecasts of a part, so many hours ahead."""
        return self.parts[part][:, : len(origins(record, part, hours)), :hours]


class Segments(nn.Module):
    """Segments in, segments out, through one GRU."""

    def __init__(self, recipe: Recipe, series: int, hours: int) -> None:
        super().__init__()
        self.segment, units = recipe.segment, recipe.units
        self.enter = nn.Sequential(nn.Linear(self.segment, units), nn.ReLU())
        self.layer = GRU(units, units)
        self.which = nn.Parameter(torch.randn(hours // self.segment, units // 2))
        self.whose = nn.Parameter(torch.randn(series, units // 2))
        self.leave = nn.Sequential(nn.Dropout(recipe.dropout), nn.Linear(units, self.segment))

    def forward(self, past: Tensor) -> Tensor:
        """Take the hours before (B, series, look-back); return those to come (B, series, hours)."""
        newest = past[..., -1:]
        segments = (past - newest).reshape(-1, past.shape[-1] // self.segment, self.segment)
        _, state = self.layer(self.enter(segments))
        count, series = len(self.which), len(self.whose)
        events = torch.cat(
            [
                self.which.expand(series, -1, -1),
                self.whose[:, None].expand(-1, count, -1),
            ],
            dim=-1,
        )
        asked = events.expand(len(past), -1, -1, -1).reshape(-1, 1, events.shape[-1])
        y, _ = self.layer(asked, state.repeat_interleave(count, dim=-2))
        ahead: Tensor = self.leave(y).reshape(len(past), series, -1)
        return ahead + newest


class Model(nn.Module):
    """Members side by side."""

    def __init__(self, recipe: Recipe, series: int, hours: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(Segments(recipe, series, hours) for _ in range(recipe.members))

    def forward(self, past: Tensor) -> Tensor:
        """Return each member's forecasts (members, B, series, hours)."""
        return torch.stack([member(past) for member in self.members])


def main() -> None:
    """Make the runs that are missing, or print the table."""
    parser = runs.arguments(__doc__, seeds=[0, 1, 2, 3, 4], quick="few hours, small models")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help=f"with {protocol.FILE}")
    options = parser.parse_args()
    out = runs.folder_of(options, RESULTS)
    settings, recipe = (etth1.QUICK, QUICK) if options.quick else (etth1.Settings(), Recipe())
    if not options.table:
        record = protocol.read(options.data, settings.months, settings.level)
        with runs.progress() as bar:
            for seed in options.seeds:
                first = cache(partial(carry, record, seed, settings, bar))
                for hours in settings.horizons:
                    path = out / f"hours{hours:03}-seed{seed}.json"
                    its = partial(make, record, hours, seed, settings, recipe, first, bar)
                    runs.once(path, its, lambda run: f"{run.averaged.test.mse:.4f}")
    print(table(out))


def carry(record: Record, seed: int, settings: etth1.Settings, bar: Progress) -> Carried:
    """Train the model that remembers, and keep its forecasts."""
    began = time.process_time()
    with (
        runs.watched(bar, f"seed {seed}, remembers", settings.steps) as said,
        repeatable(seed, threads=1),
    ):
        model, _ = etth1.train(etth1.Model(settings), record, seed, settings, said)
        parts = {part: _forecasts(model, record, part, settings) for part in (VALIDATION, TEST)}
    return Carried(
        parts,
        runs.parameters(model),
        runs.parameters(model.layers),
        time.process_time() - began,
    )


def _forecasts(model: nn.Module, record: Record, part: int, settings: etth1.Settings) -> Tensor:
    hours = origins(record, part, settings.horizons[0])
    found = torch.empty(len(record.values), len(hours), settings.horizons[-1])
    for at, ahead in etth1.forecasts(model, record, hours):
        found[:, at - hours[0]] = ahead
    return found


def make(
    record: Record,
    hours: int,
    seed: int,
    settings: etth1.Settings,
    recipe: Recipe,
    first: Callable[[], Carried],
    bar: Progress,
) -> BestRun:
    """Train the model that reads again, average both, and test what was best on validation."""
    carried = first()
    began = time.process_time()
    with (
        runs.watched(bar, f"seed {seed}, {hours} hours", recipe.epochs) as said,
        repeatable(seed, threads=1),
    ):
        model = Model(recipe, len(record.values), hours)
        known = carried.of(record, VALIDATION, hours)
        best_epoch = train(model, record, hours, recipe, known, said)
        parts = {
            part: (carried.of(record, part, hours), forecasts(model, record, part, hours, recipe))
            for part in (VALIDATION, TEST)
        }
    remembers, rereads, averaged = (
        Figures(*(errors(record, part, mean(parts[part], weight)) for part in (VALIDATION, TEST)))
        for weight in (1.0, 0.0, 0.5)
    )
    layers = [member.layer for member in model.members]
    return BestRun(
        model="gru",
        units=settings.units * settings.members + recipe.units * recipe.members,
        seed=seed,
        parameters=carried.parameters + runs.parameters(model),
        parameters_of_layer=carried.parameters_of_layer + sum(map(runs.parameters, layers)),
        path=layers[0].path(torch.zeros(1, 1, recipe.units)),
        hours=hours,
        recipe=recipe,
        carried=settings,
        best_epoch=best_epoch,
        remembers=remembers,
        rereads=rereads,
        averaged=averaged,
        cpu_seconds=round(time.process_time() - began + carried.cpu_seconds, 1),
        threads=1,
        place=runs.Place.here(),
    )


def mean(forecasts: tuple[Tensor, Tensor], weight: float = 0.5) -> Tensor:
    """Return the mean of two forecasts, the first with a weight."""
    first, second = forecasts
    return weight * first + (1 - weight) * second


def errors(record: Record, part: int, found: Tensor) -> Errors:
    """Return the errors of a part's forecasts (series, n, hours)."""
    sums = Sums()
    sums.add(record, origins(record, part, found.shape[2]), found)
    return sums.errors()


def past_of(record: Record, hours: Tensor, recipe: Recipe) -> Tensor:
    """Return what is read at some hours, (B,): (B, series, look-back), the newest value last."""
    inside = hours[:, None] + torch.arange(1 - recipe.look_back, 1)
    return record.values[:, inside].transpose(0, 1)


def train(
    model: Model,
    record: Record,
    hours: int,
    recipe: Recipe,
    known: Tensor,
    said: Callable[[int, float], None],
) -> int:
    """Train; leave the averaged weights of the best epoch in the model, and return that epoch.

    The best epoch is that whose forecasts, averaged with those that are known (series, n, hours),
    have the least squared error on validation.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate)
    average = MovingAverage(model, recipe.averaging)
    begins = torch.arange(recipe.look_back - 1, record.bounds[0] - DAY)
    best, best_epoch, kept = float("inf"), 0, {}
    for epoch in range(1, recipe.epochs + 1):
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * recipe.decay ** max(0, epoch - 3)
        for at in begins[torch.randperm(len(begins))].split(recipe.batch):
            optimizer.zero_grad()
            loss(model, record, at, hours, recipe).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            average.update()
        with average.swapped():
            found = forecasts(model, record, VALIDATION, hours, recipe)
            figure = errors(record, VALIDATION, mean((known, found))).mse
            if figure < best:
                best, best_epoch = figure, epoch
                kept = {key: value.clone() for key, value in model.state_dict().items()}
        said(epoch, figure)
        if epoch - best_epoch == recipe.patience:
            break
    model.load_state_dict(kept)
    return best_epoch


def loss(model: Model, record: Record, at: Tensor, hours: int, recipe: Recipe) -> Tensor:
    """Return the mean absolute error of forecasts made at some hours, (B,), added up over members.

    What lies behind the training part is not learned from.
    """
    ahead, end = at[:, None] + torch.arange(1, hours + 1), record.bounds[0]
    known = (ahead < end)[:, None]
    right = record.values[:, ahead.clamp(max=end - 1)].transpose(0, 1)
    found = model(past_of(record, at, recipe))
    total = ((found - right) * known).abs().sum()
    return total / (known.sum() * len(record.values))


@torch.no_grad()
def forecasts(model: Model, record: Record, part: int, hours: int, recipe: Recipe) -> Tensor:
    """Return the members' mean forecasts at each hour of a part: (series, n, hours)."""
    was_training = model.training
    model.eval()
    found = [
        model(past_of(record, at, recipe)).mean(dim=0)
        for at in origins(record, part, hours).split(256)
    ]
    model.train(was_training)
    return torch.cat(found).transpose(0, 1)


def table(folder: Path) -> str:
    """Write the runs of a folder as Markdown."""
    groups: dict[int, list[BestRun]] = {}
    for run in runs.read(folder, BestRun):
        groups.setdefault(run.hours, []).append(run)
    rows = [
        [
            f"{hours}",
            runs.spread([run.averaged.test.mse for run in found], 3),
            runs.spread([run.averaged.test.mae for run in found], 3),
            runs.spread([run.remembers.test.mse for run in found], 3),
            runs.spread([run.rereads.test.mse for run in found], 3),
            runs.spread([run.averaged.validation.mse for run in found], 3),
            found[0].sizes,
            f"{len(found)}",
            f"{sum(run.cpu_seconds for run in found) / len(found):,.0f}",
        ]
        for hours, found in groups.items()
    ]
    header = (
        *("hours", "averaged, test MSE", "test MAE", "remembers, test MSE"),
        *("reads again, test MSE", "averaged, validation MSE", "parameters, layers + rest"),
        *("seeds", "CPU seconds a seed"),
    )
    return runs.markdown(header, rows, words=0)


if __name__ == "__main__":
    runs.script(main)
