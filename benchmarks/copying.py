"""Copy memory: ten symbols, a long silence, and then the ten symbols again.

    .venv/bin/python benchmarks/copying.py
    .venv/bin/python benchmarks/copying.py --table

A sequence, as in Bai et al. (2018), is ten of eight symbols, T - 1 blanks, and a mark from which on
the ten have to be said; at all steps before, a blank. The figure is their cross-entropy in nats,
over all T + 20 steps. Who knows the blanks and guesses the symbols has 10 ln 8 / (T + 20): 0.0204
where T is 1,000, 0.0945 where it is 200. Solved is a hundredth of that.

Both models have about 16 k parameters, Adam, gradients of norm 1 at most, and new sequences at each
step. The GRU begins with gates for long memory (chrono; Tallec, Ollivier 2018), the RNN with an
orthogonal matrix.

Each run (length, model, seed) writes a file; those that are there are not made again, so Ctrl-C
loses one run at most.
"""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import msgspec
import runs
import torch
from synthetic import Problem, Settings, SyntheticRun, make, said
from torch import Tensor, nn

from tidegate.nn import GRU, RNN

SYMBOLS, COPIED = 8, 10
BLANK, MARK = 0, SYMBOLS + 1
UNITS = {"gru": 66, "rnn": 117}
"""About 16 k parameters each."""
BAI = {(1000, "gru"): "0.0197", (1000, "rnn"): "0.0202"}
"""That the paper reports, of models of 16 k parameters."""
RESULTS = runs.RESULTS / "copying"
SETTINGS = Settings(length=1000, steps=2500, check=50, held_out=200)
QUICK = Settings(length=10, steps=4, check=2, held_out=10)


class Model(nn.Module):
    """One recurrent layer, and a logit for each symbol at each step."""

    def __init__(self, model: str, units: int, length: int) -> None:
        super().__init__()
        if model == "gru":
            self.layer: nn.Module = GRU(MARK + 1, units, init="chrono", longest=length)
        else:
            self.layer = RNN(MARK + 1, units)
        self.out = nn.Linear(units, SYMBOLS + 1)

    def forward(self, given: Tensor) -> Tensor:
        """Take symbols (B, T + 20); return logits (B, T + 20, 9)."""
        y, _ = self.layer(self.rows(given))
        logits: Tensor = self.out(y)
        return logits

    def rows(self, given: Tensor) -> Tensor:
        """Return what the layer takes: a column for each symbol."""
        return nn.functional.one_hot(given, MARK + 1).float()

    def path(self, given: Tensor) -> str:
        """Say which way the layer goes."""
        return str(self.layer.path(self.rows(given)))


def draw(generator: torch.Generator, sequences: int, length: int) -> tuple[Tensor, Tensor]:
    """Return what is given and what is wanted, both (B, length + 20)."""
    symbols = torch.randint(1, SYMBOLS + 1, (sequences, COPIED), generator=generator)
    given = torch.full((sequences, length + 2 * COPIED), BLANK)
    wanted = given.clone()
    given[:, :COPIED] = symbols
    given[:, COPIED + length - 1] = MARK
    wanted[:, -COPIED:] = symbols
    return given, wanted


def nats(logits: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean cross-entropy of all steps."""
    return nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten())


def guessing(length: int) -> float:
    """Return the nats a step of who knows when to say the symbols, and not which."""
    return COPIED * math.log(SYMBOLS) / (length + 2 * COPIED)


def main() -> None:
    """Make the runs that are missing, or print the table."""
    parser = runs.arguments(__doc__, seeds=[0], quick="a few short sequences")
    parser.add_argument("--models", nargs="+", choices=UNITS, default=list(UNITS))
    parser.add_argument("--lengths", type=int, nargs="+", default=[200, 1000])
    options = parser.parse_args()
    out = runs.folder_of(options, RESULTS)
    torch.set_flush_denormal(True)  # gradients that vanish are slow numbers
    if not options.table:
        with runs.progress() as bar:
            for length in [QUICK.length] if options.quick else options.lengths:
                problem = Problem(Model, draw, nats, guessing(length) / 100)
                settings = (
                    QUICK if options.quick else msgspec.structs.replace(SETTINGS, length=length)
                )
                for model in options.models:
                    units = 8 if options.quick else UNITS[model]
                    for seed in options.seeds:
                        path = out / f"{length:04}-{model}-{units}-seed{seed}.json"
                        its = partial(make, problem, model, units, seed, settings, bar)
                        runs.once(path, its, said)
    print(table(out))


def table(folder: Path) -> str:
    """Write the runs of a folder as Markdown."""
    groups: dict[tuple[int, str, int], list[SyntheticRun]] = {}
    for run in runs.read(folder, SyntheticRun):
        groups.setdefault((run.settings.length, run.model, run.units), []).append(run)
    rows = [
        [
            f"T = {length:,}",
            f"{model.upper()}, {units} units",
            found[0].sizes,
            ", ".join(f"{run.test:.2g}" for run in found),
            f"{guessing(length):.3g}",
            f"{sum(run.test < guessing(length) / 100 for run in found)} of {len(found)}",
            BAI.get((length, model), ""),
            ", ".join(f"{run.steps:,}" for run in found),
            f"{sum(run.cpu_seconds for run in found) / len(found):,.0f}",
        ]
        for (length, model, units), found in groups.items()
    ]
    header = (
        *("silence", "model", "parameters, layer + output", "nats a step", "who guesses"),
        *("solved", "Bai 2018", "updates", "CPU seconds a seed"),
    )
    return runs.markdown(header, rows, words=2)


if __name__ == "__main__":
    runs.script(main)
