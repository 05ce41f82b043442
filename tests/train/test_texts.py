"""Tagging and language models from a configuration to answers, on texts that have a rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tidegate import answers, tables
from tidegate import bundle as bundles
from tidegate.answers.sampling import Sampling
from tidegate.engine import Engine, offline
from tidegate.engine.generation import generate
from tidegate.errors import InputError
from tidegate.train import load_config, run

TAGS = """
[data]
events = "names.parquet"
session = "sentence"
label = "entity"

[task]
name = "tag"

[split]
by = "session"
fractions = [0.6, 0.2, 0.2]

[schema.fields]
word = { kind = "category" }

[model]
hidden_size = 12
bidirectional = BOTH

[train]
epochs = 6
batch_tokens = 200
learning_rate = 0.05
warmup_steps = 5
diagnostics = false

[bundle]
name = "names"
version = "1"
out = "bundle"
"""
TEXT = """
[data]
events = "letters.parquet"
session = "text"

[task]
name = "language"

[split]
by = "session"
fractions = [0.6, 0.4]

[schema.fields]
letter = { kind = "category", embedding_size = 16 }

[model]
hidden_size = 16

[train]
mode = "lanes"
lanes = 4
chunk = 10
epochs = 25
learning_rate = 0.03
warmup_steps = 5
diagnostics = false

[bundle]
name = "letters"
version = "1"
out = "bundle"
"""


def names(sentences: int = 150, seed: int = 0) -> pl.DataFrame:
    """`mr` begins a person of one or two words; whether `of` goes on with it tells the word after.

    Only what comes later says it, so that a model of two directions alone can be right.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for at in range(sentences):
        for _ in range(rng.integers(1, 4)):
            if rng.random() < 0.5:
                rows += [(at, "mr", "B-PER"), (at, "of", "I-PER"), (at, "york", "I-PER")]
            else:
                rows += [(at, "mr", "B-PER"), (at, "of", "O"), (at, "course", "O")]
            rows.append((at, "said", "O"))
    return pl.DataFrame(
        [(str(at), word, label) for at, word, label in rows],
        schema=["sentence", "word", "entity"],
        orient="row",
    )


@pytest.mark.parametrize("both", [False, True])
def test_entities_are_tagged(both: bool, tmp_path: Path) -> None:
    frame = names()
    frame.write_parquet(tmp_path / "names.parquet")
    (tmp_path / "train.toml").write_text(TAGS.replace("BOTH", str(both).lower()))
    made = run(load_config(tmp_path / "train.toml"), quiet=True)
    metrics = made.provenance["metrics"]["test"]
    assert set(metrics) == {
        *("n", "log_loss", "brier", "accuracy", "ece", "entities"),
        *("precision", "recall", "f1", "f1 PER"),
    }
    # At `of`, one direction cannot know: half of the entities that go on are cut short, or all of
    # the others made too long.
    assert metrics["f1"] == 1.0 if both else 0.3 < metrics["f1"] < 0.8
    assert made.spec.streams == (not both)
    opened = answers.open(made.task)
    loaded = bundles.load(tmp_path / "bundle")
    table = tables.read(frame, session="sentence", fields={"word": "category"}, label="entity")
    outputs = offline.outputs(offline.open(loaded), table.columns, table.times, table.offsets)
    found = opened.metrics(outputs, opened.truth(table, made.schema), table.offsets)
    assert (found["accuracy"] == 1.0) == both


def test_a_label_that_training_never_saw_is_named(tmp_path: Path) -> None:
    frame = names(10)
    last = frame["sentence"].to_list().index("9")
    labels = frame["entity"].to_list()
    labels[last] = "B-LOC"
    frame.with_columns(entity=pl.Series(labels)).write_parquet(tmp_path / "names.parquet")
    text = TAGS.replace("BOTH", "false")
    for seed in range(10):  # until that sentence is in another part
        (tmp_path / "train.toml").write_text(text.replace("0.2]", f"0.2]\nseed = {seed}"))
        try:
            run(load_config(tmp_path / "train.toml"), quiet=True)
        except InputError as error:
            refused = error
            break
    assert (refused.code, refused.field) == ("unknown_class", "entity")
    assert "'B-LOC' is not among ['B-PER', 'I-PER', 'O']" in refused.message


def test_a_text_is_learned_and_goes_on(tmp_path: Path) -> None:
    """`ab`, `abb`, `abbb`, ... in turns: what comes next depends on letters far behind."""
    rounds = ["ab" * 1, "abb", "abbb"]
    rows = [(f"t{at}", letter) for at in range(10) for letter in "".join(rounds * 6) + "."]
    frame = pl.DataFrame(rows, schema=["text", "letter"], orient="row")
    frame.write_parquet(tmp_path / "letters.parquet")
    (tmp_path / "train.toml").write_text(TEXT)
    made = run(load_config(tmp_path / "train.toml"), quiet=True)
    metrics = made.provenance["metrics"]["valid"]
    assert metrics["n"] == 4 * (9 * 6)  # the last letter of a text foretells nothing
    assert metrics["perplexity"] < 1.15
    assert metrics["bits_per_character"] == pytest.approx(np.log2(metrics["perplexity"]))
    loaded = bundles.load(tmp_path / "bundle")
    assert np.array_equal(loaded.weights["embeddings.0"], loaded.weights["head.weight"])

    drawn = generate(loaded, "ababb", Sampling(0.0))
    assert "".join(next(drawn) for _ in range(12)) == "abbbababbabb"

    # What is streamed is what a table of whole sessions gives.
    table = tables.read(frame, session="text", fields={"letter": "category"})
    outputs = offline.outputs(offline.open(loaded), table.columns, table.times, table.offsets)
    engine, first = Engine.open(loaded), slice(0, int(table.offsets[1]))
    columns = {"letter": table.columns["letter"][first]}
    stepped = engine.step_events(["t0"] * len(columns["letter"]), columns, table.times[first])
    assert np.array_equal(stepped.outputs, outputs[first])
