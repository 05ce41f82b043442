"""The adding problem: whether a layer remembers two numbers among hundreds, and adds them up.

    .venv/bin/python benchmarks/adding.py
    .venv/bin/python benchmarks/adding.py --table

A sequence is 600 pairs of a number in 0..1 and a mark, as in Bai et al. (2018). The mark is 1 once
in each half and 0 elsewhere; after the last step, the sum of the two marked numbers is asked for
(Hochreiter, Schmidhuber 1997). Who always answers 1 has a mean squared error of 1 / 6.

Both models have about 50 k parameters, Adam, gradients of norm 1 at most, and new sequences at each
step. A run ends when its error on 1,000 sequences for validation is below a tenth of what counts as
solved, 0.001, or after all its steps; then 1,000 others are the test. The GRU begins with gates for
long memory (chrono; Tallec, Ollivier 2018). An RNN has none; its matrix begins orthogonal.

Each run (model, seed) writes a file; those that are there are not made again, so Ctrl-C loses one
run at most.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import runs
import torch
from synthetic import Problem, Settings, SyntheticRun, make, said
from torch import Tensor, nn

from tidegate.nn import GRU, RNN

UNITS = {"gru": 128, "rnn": 223}
"""About 50 k parameters each."""
BAI = {"gru": "5.3e-5", "rnn": "0.177"}
"""Mean squared errors that the paper reports, of models of 70 k parameters."""
SOLVED = 1e-3
RESULTS = runs.RESULTS / "adding"


QUICK = Settings(length=20, steps=4, check=2, held_out=10)


class Model(nn.Module):
    """One recurrent layer, and a number made of its last state."""

    def __init__(self, model: str, units: int, length: int) -> None:
        super().__init__()
        if model == "gru":
            self.layer: nn.Module = GRU(2, units, init="chrono", longest=length)
        else:
            self.layer = RNN(2, units)
        self.out = nn.Linear(units, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Take sequences (B, T, 2); return their sums (B,)."""
        _, state = self.layer(x)
        sums: Tensor = self.out(state[-1])[:, 0]
        return sums

    def path(self, x: Tensor) -> str:
        """Say which way the layer goes."""
        return str(self.layer.path(x))


def main() -> None:
    """Make the runs that are missing, or print the table."""
    parser = runs.arguments(__doc__, seeds=[0], quick="a few short sequences")
    parser.add_argument("--models", nargs="+", choices=UNITS, default=list(UNITS))
    options = parser.parse_args()
    out = runs.folder_of(options, RESULTS)
    settings = QUICK if options.quick else Settings()
    # Gradients that vanish over hundreds of steps are numbers that processors are slow with.
    torch.set_flush_denormal(True)
    if not options.table:
        with runs.progress() as bar:
            for model in options.models:
                for seed in options.seeds:
                    units = 8 if options.quick else UNITS[model]
                    path = out / f"{model}-{units}-seed{seed}.json"
                    its = partial(make, ADDING, model, units, seed, settings, bar)
                    runs.once(path, its, said)
    print(table(out))


def draw(generator: torch.Generator, sequences: int, length: int) -> tuple[Tensor, Tensor]:
    """Return sequences (B, T, 2) and their sums (B,)."""
    numbers = torch.rand(sequences, length, generator=generator)
    marks = torch.zeros(sequences, length)
    half = length // 2
    every = torch.arange(sequences)
    marks[every, torch.randint(0, half, (sequences,), generator=generator)] = 1
    marks[every, torch.randint(half, length, (sequences,), generator=generator)] = 1
    return torch.stack([numbers, marks], dim=-1), (numbers * marks).sum(dim=1)


ADDING = Problem(Model, draw, nn.functional.mse_loss, SOLVED)


def table(folder: Path) -> str:
    """Write the runs of a folder as Markdown."""
    groups: dict[tuple[str, int], list[SyntheticRun]] = {}
    for run in runs.read(folder, SyntheticRun):
        groups.setdefault((run.model, run.units), []).append(run)
    rows = [
        [
            f"{model.upper()}, {units} units",
            found[0].sizes,
            ", ".join(f"{run.test:.2g}" for run in found),
            f"{sum(run.test < SOLVED for run in found)} of {len(found)}",
            BAI[model],
            ", ".join(f"{run.steps:,}" for run in found),
            f"{sum(run.cpu_seconds for run in found) / len(found):,.0f}",
            found[0].path,
        ]
        for (model, units), found in groups.items()
    ]
    header = (
        *("model", "parameters, layer + output", "test MSE", "solved", "Bai 2018"),
        *("updates", "CPU seconds a seed", "path"),
    )
    return runs.markdown(header, rows, words=1)


if __name__ == "__main__":
    runs.script(main)
