"""The recurrent models: a GRU, an LSTM of its size, and two ways to take the GRU's memory away.

"Memory reset" is the trained GRU with hidden and encoder state zeroed before every question.
"Trained without memory" is the same net, trained that way. Both see each question alone: as the
only event of a session of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray
from rich.console import Console

from tidegate import answers, tables, train
from tidegate.bundle import Bundle
from tidegate.data import splits
from tidegate.engine import Engine, offline
from tidegate.tables import EventTable
from tidegate.train import Epoch, TrainConfig, Trained

__all__ = ["Models", "config_for", "questions_alone", "read", "scored", "train_models"]


@dataclass(frozen=True)
class Models:
    """What was trained."""

    bundle: Bundle
    lstm: Trained
    without_memory: Trained

    @property
    def histories(self) -> dict[str, Sequence[Epoch]]:
        """Each model's training, epoch by epoch."""
        gru = msgspec.convert(self.bundle.provenance["history"], list[Epoch])
        return {
            "GRU": gru,
            "LSTM": self.lstm.result.history,
            "GRU without memory": self.without_memory.result.history,
        }


def config_for(events: Path, out: Path) -> TrainConfig:
    """Return ``train.toml`` with these events and this folder for the bundle."""
    config = train.load_config(Path(__file__).with_name("flights.toml"))
    return msgspec.structs.replace(
        config,
        data=msgspec.structs.replace(config.data, events=str(events)),
        bundle=msgspec.structs.replace(config.bundle, out=str(out)),
    )


def read(config: TrainConfig, events: pl.DataFrame | Path) -> EventTable:
    """Read events as the configuration has it."""
    return tables.read(
        events,
        session=config.data.session,
        fields={name: field.kind for name, field in config.schema.fields.items()},
        time=config.data.time,
        label=config.data.label,
    )


def questions_alone(events: pl.DataFrame) -> pl.DataFrame:
    """Return the `scheduled` events, each as a session of its own: ``JFK/B6/2013-11-03#17``."""
    alone = pl.concat_str("session", "seq", separator="#")
    return events.filter(pl.col("kind") == "scheduled").with_columns(session=alone)


def train_models(config: TrainConfig, events: pl.DataFrame, console: Console) -> Models:
    """Train the GRU into its bundle, as ``tidegate train`` does, then the two others."""
    console.print("[bold]GRU")
    bundle = train.run(config, resume=False, quiet=True, listeners=[train.Terminal(console)])

    def other(events: pl.DataFrame, cell: str) -> Trained:
        learned, watched, _ = splits.by_time(read(config, events), config.split.starts)
        return train.train_model(
            learned,
            watched,
            schema=config.schema,
            task=bundle.task,
            model=msgspec.structs.replace(config.model, cell=cell),
            settings=config.train,
            listeners=[train.Terminal(console)],
        )

    console.print("[bold]LSTM of the same size")
    lstm = other(events, "lstm")
    console.print("[bold]GRU trained without memory")
    return Models(bundle, lstm, other(questions_alone(events), "gru"))


def scored(models: Models, config: TrainConfig, test: pl.DataFrame) -> pl.DataFrame:
    """Return what the models without a server say to each question.

    Returns
    -------
    polars.DataFrame
        ``session`` and ``seq`` of the question; the probability of "late" by ``gru_memory_reset``,
        ``gru_trained_without_memory`` and ``lstm``.
    """
    whole, alone = read(config, test), read(config, questions_alone(test))
    engine = Engine.open(models.bundle)
    reset = offline.outputs(engine, alone.columns, alone.times, alone.offsets)
    without = models.without_memory.outputs(alone)
    say = answers.open(models.bundle.task).scores
    lstm = _by_event(whole, "lstm", say(models.lstm.outputs(whole)))
    place = pl.col("session").str.split_exact("#", 1).struct.rename_fields(["session", "seq"])
    questions = pl.DataFrame(
        {
            "session": alone.sessions,
            "gru_memory_reset": say(reset),
            "gru_trained_without_memory": say(without),
        }
    ).with_columns(place.alias("place"))
    return (
        questions.drop("session")
        .unnest("place")
        .with_columns(pl.col("seq").cast(pl.Int64))
        .join(lstm, on=["session", "seq"])
    )


def _by_event(table: EventTable, name: str, values: NDArray[np.float64]) -> pl.DataFrame:
    sessions = np.repeat(np.array(table.sessions, dtype=object), table.lengths)
    return pl.DataFrame({"session": sessions, "seq": table.seqs, name: values}).with_columns(
        pl.col("session").cast(pl.String)
    )
