"""Polyphonic music, as well as a GRU foretells it: about 20 k parameters, and of any size.

    .venv/bin/python benchmarks/music_best.py --data FOLDER
    .venv/bin/python benchmarks/music_best.py --table

The sets and the figure are those of ``music.py``; the way of training is not that of Chung et al.
(2014) but what validation said is best. The keys pass a narrow linear layer before the GRU, which
then has units to spare; inputs and outputs are dropped, one draw a piece (Y. Gal, Z. Ghahramani,
"A theoretically grounded application of dropout in recurrent neural networks", 2016), and so are
candidates (S. Semeniuta et al., "Recurrent dropout without memory loss", 2016); AdamW, half a
cosine, and a moving average of the weights, whose epoch is chosen by validation. A run looks
at the test part once, afterwards.

Each run (set, size, seed) writes a file; those that are there are not made again, so Ctrl-C loses
one run at most.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec
import music
import runs
import torch
from music import Batch, Piece
from rich.progress import Progress
from torch import Tensor, nn

from tidegate.nn import GRU
from tidegate.nn.noise import bernoulli
from tidegate.train import TrainSettings
from tidegate.train.ema import MovingAverage
from tidegate.train.repeatable import repeatable
from tidegate.train.schedules import learning_rate

SIZES = ("small", "large")
TCN = {"jsb": 8.10, "nottingham": 3.07}
"""Test nats of a temporal convolution (S. Bai, J. Z. Kolter, V. Koltun, 2018)."""
RESULTS = runs.RESULTS / "music-best"


class Recipe(msgspec.Struct, frozen=True):
    """A model and how it is trained.

    Parameters
    ----------
    units, projection : int
        Of the GRU, and of the linear layer before it.
    input_dropout, recurrent_dropout, output_dropout : float
        Shares.
    pieces : int
        Of a batch.
    settings : TrainSettings
        But for the seed.
    """

    units: int
    projection: int
    input_dropout: float
    recurrent_dropout: float
    output_dropout: float
    pieces: int
    settings: TrainSettings


def _settings(rate: float, epochs: int, decay: float = 0.1, ema: float = 0.998) -> TrainSettings:
    return TrainSettings(
        learning_rate=rate, epochs=epochs, weight_decay=decay, ema_decay=ema, warmup_steps=50
    )


RECIPES = {
    ("jsb", "small"): Recipe(62, 24, 0.05, 0.35, 0.2, 8, _settings(0.01, 200, ema=0.995)),
    ("jsb", "large"): Recipe(300, 64, 0.1, 0.6, 0.5, 8, _settings(0.005, 450, decay=0.3)),
    ("nottingham", "small"): Recipe(62, 24, 0.0, 0.05, 0.0, 4, _settings(0.01, 400, decay=0.05)),
    ("nottingham", "large"): Recipe(300, 48, 0.05, 0.25, 0.3, 4, _settings(0.005, 80)),
}


class BestRun(runs.Run, frozen=True, kw_only=True):
    """What a set, a size and a seed gave.

    Parameters
    ----------
    set, size : str
        Of `music.SETS` and `SIZES`.
    recipe : Recipe
        With which.
    validation, test : float
        Nats a frame at the best epoch.
    best_epoch : int
        By validation.
    """

    set: str
    size: str
    recipe: Recipe
    validation: float
    test: float
    best_epoch: int


class Model(nn.Module):
    """A narrow linear layer, a GRU, and a logit for each key, which begins as the key's own."""

    def __init__(self, recipe: Recipe, pieces: Sequence[Piece]) -> None:
        super().__init__()
        self.recipe = recipe
        self.narrow = nn.Linear(music.KEYS, recipe.projection, bias=False)
        self.layer = GRU(
            recipe.projection,
            recipe.units,
            bias="single",
            reset_after=False,
            recurrent_dropout=recipe.recurrent_dropout,
        )
        self.out = nn.Linear(recipe.units, music.KEYS)
        frames = torch.cat([torch.from_numpy(piece) for piece in pieces])
        with torch.no_grad():
            self.out.bias.copy_(frames.mean(0).clamp(1e-4, 1 - 1e-4).logit())

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B, T, 88)."""
        given = self._dropped(batch.given, self.recipe.input_dropout)
        y, _ = self.layer(self.narrow(given), lengths=batch.lengths)
        logits: Tensor = self.out(self._dropped(y, self.recipe.output_dropout))
        return logits

    def _dropped(self, x: Tensor, rate: float) -> Tensor:
        """Drop numbers of (B, T, n): the same ones throughout a piece."""
        if not self.training or rate == 0:
            return x
        kept = 1 - rate
        return x * bernoulli(kept, 1 / kept, (x.shape[0], 1, x.shape[2]), x)


def main() -> None:
    """Make the runs that are missing, or print the table."""
    parser = runs.arguments(__doc__, seeds=[0, 1, 2, 3, 4], quick="a few frames, small models")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="with the .mat files")
    parser.add_argument("--sets", nargs="+", choices=music.SETS, default=list(music.SETS))
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    options = parser.parse_args()
    out = runs.folder_of(options, RESULTS)
    if options.table:
        print(table(out))
        return
    names = [music.SETS[name] for name in options.sets]
    folder = runs.folder_with(options.data, names, music.WHERE)
    with runs.progress() as bar:
        for name in options.sets:
            parts = music.read_parts(folder / music.SETS[name])
            if options.quick:
                parts = {part: [p[:20] for p in pieces[:5]] for part, pieces in parts.items()}
            for size in options.sizes:
                recipe = RECIPES[name, size]
                if options.quick:
                    epochs = msgspec.structs.replace(recipe.settings, epochs=2)
                    recipe = msgspec.structs.replace(recipe, units=8, settings=epochs)
                for seed in options.seeds:
                    path = out / f"{name}-{size}-{recipe.units}-seed{seed}.json"
                    its = partial(make, name, size, recipe, parts, seed, bar)
                    runs.once(path, its, lambda run: f"{run.test:.3f}")
    print(table(out))


def make(
    name: str,
    size: str,
    recipe: Recipe,
    parts: dict[str, list[Piece]],
    seed: int,
    bar: Progress,
) -> BestRun:
    """Train, and test what was best on validation."""
    began = time.process_time()
    settings = recipe.settings
    title = f"{name} {size}, {recipe.units} units, seed {seed}"
    with (
        runs.watched(bar, title, settings.epochs) as said,
        repeatable(seed, threads=settings.threads),
    ):
        model = Model(recipe, parts["train"])
        best_epoch, validation = train(model, parts, recipe, said)
    return BestRun(
        set=name,
        size=size,
        recipe=recipe,
        model="gru",
        units=recipe.units,
        seed=seed,
        parameters=runs.parameters(model),
        parameters_of_layer=runs.parameters(model.layer) + runs.parameters(model.narrow),
        path=model.layer.path(model.narrow(Batch.of(parts["test"][:1]).given)),
        validation=validation,
        test=music.evaluate(model, parts["test"]),
        best_epoch=best_epoch,
        cpu_seconds=round(time.process_time() - began, 1),
        threads=settings.threads or torch.get_num_threads(),
        place=runs.Place.here(),
    )


def train(
    model: Model,
    parts: dict[str, list[Piece]],
    recipe: Recipe,
    said: Callable[[int, float], None],
) -> tuple[int, float]:
    """Train; leave the averaged weights of the best epoch in the model; return it and its nats."""
    settings = recipe.settings
    weights = list(model.parameters())
    matrices = [weight for weight in weights if weight.dim() >= 2]
    vectors = [weight for weight in weights if weight.dim() < 2]
    optimizer = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": settings.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
    )
    average = MovingAverage(model, settings.ema_decay)
    steps = settings.epochs * math.ceil(len(parts["train"]) / recipe.pieces)
    step, best_epoch, best = 0, 0, music.evaluate(model, parts["valid"])
    kept = {key: value.clone() for key, value in model.state_dict().items()}
    for epoch in range(1, settings.epochs + 1):
        for batch in music.shuffled(parts["train"], recipe.pieces):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, steps, settings)
            optimizer.zero_grad()
            total, frames = music.nats(model(batch), batch)
            (total / frames).backward()
            norm = nn.utils.clip_grad_norm_(weights, settings.clip_norm)
            if norm.isfinite():  # else the weights would never be finite again
                optimizer.step()
            average.update()
            step += 1
        with average.swapped():
            figure = music.evaluate(model, parts["valid"])
            if figure < best:
                best_epoch, best = epoch, figure
                kept = {key: value.clone() for key, value in model.state_dict().items()}
        said(epoch, figure)
    model.load_state_dict(kept)
    return best_epoch, best


def table(folder: Path) -> str:
    """Write the runs of a folder as Markdown."""
    groups: dict[tuple[str, str, int], list[BestRun]] = {}
    for run in runs.read(folder, BestRun):
        groups.setdefault((run.set, run.size, run.units), []).append(run)
    rows = [
        [
            music.TITLES[name],
            f"GRU, {units} units",
            found[0].sizes,
            runs.spread([run.validation for run in found], 2),
            runs.spread([run.test for run in found], 2),
            f"{TCN[name]:.2f}",
            f"{len(found)}",
            f"{sum(run.cpu_seconds for run in found) / len(found):,.0f}",
        ]
        for (name, _, units), found in groups.items()
    ]
    header = (
        *("set", "model", "parameters, layers + output", "validation", "test"),
        *("TCN", "seeds", "CPU seconds a seed"),
    )
    return runs.markdown(header, rows, words=2)


if __name__ == "__main__":
    runs.script(main)
