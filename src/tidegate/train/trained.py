"""From tables of events to a trained model."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate import answers, tasks
from tidegate.errors import InputError
from tidegate.nn import Network
from tidegate.schema import Schema, SchemaConfig
from tidegate.spec import ModelSpec, TaskSpec
from tidegate.tables import EventTable, naming_rows
from tidegate.train.fit import FitResult, fit
from tidegate.train.predict import predict
from tidegate.train.progress import Listener
from tidegate.train.repeatable import repeatable
from tidegate.train.sequences import Sequences
from tidegate.train.settings import Architecture, ModelSettings, TrainSettings

__all__ = ["Trained", "train_encoded", "train_model"]


@dataclass(frozen=True)
class Trained:
    """A trained model and what it was trained on.

    Parameters
    ----------
    network : Network
        With the weights of the best epoch.
    schema : Schema
        Fitted on the training part.
    task : TaskSpec
        What the outputs mean.
    model : Architecture
        Its size.
    settings : TrainSettings
        How it was fitted.
    result : FitResult
        History and best epoch.
    train : EventTable
        What schema and task were fitted on: the training part, or a sample of a mapped one.
    valid : EventTable or Sequences
        What decided which epoch is best.
    """

    network: Network
    schema: Schema
    task: TaskSpec
    model: Architecture
    settings: TrainSettings
    result: FitResult
    train: EventTable
    valid: EventTable | Sequences

    @property
    def spec(self) -> ModelSpec:
        """The layers."""
        return self.network.spec

    def outputs(self, part: EventTable | Sequences) -> NDArray[np.float32]:
        """Return what events are answered with, (events, answer_size), in the part's order."""
        rows = part.rows if isinstance(part, Sequences) else _rows(part, self.schema)
        with repeatable(self.settings.seed, self.settings.threads):
            return predict(self.network, rows, part.offsets)

    def evaluate(
        self, part: EventTable | Sequences, outputs: NDArray[np.float32] | None = None
    ) -> dict[str, float]:
        """Return the task's metrics on a table or an encoded part, or of outputs for it."""
        outputs = self.outputs(part) if outputs is None else outputs
        if isinstance(part, EventTable):
            truth = _truth(part, self.schema, self.task)
            return answers.open(self.task).metrics(outputs, truth, part.offsets)
        return answers.open(self.task).metrics(outputs, part.labels, part.offsets)


def train_model(
    train: EventTable,
    valid: EventTable,
    *,
    schema: SchemaConfig | Schema,
    task: TaskSpec,
    model: Architecture | None = None,
    settings: TrainSettings | None = None,
    listeners: Sequence[Listener] = (),
    checkpoint: Path | None = None,
    resume: bool = True,
) -> Trained:
    """Train a model on tables that are already split.

    Parameters
    ----------
    train, valid : EventTable
        What is learned from, and what decides which epoch is best. Both with labels.
    schema : SchemaConfig or Schema
        What an event holds: a configuration is fitted on `train`.
    task : TaskSpec
        From `tasks.fit`, or `answers.fit_task`, of the training part.
    model : Architecture, optional
        The model's size.
    settings : TrainSettings, optional
        How to fit it.
    listeners : sequence of Listener
        Are told of every batch and epoch, `progress.Terminal` for one.
    checkpoint : Path, optional
        Where to keep what an interrupted run needs to go on; see `fit`.
    resume : bool
        Whether to go on from `checkpoint` if it is there.

    Returns
    -------
    Trained
        With the weights of the best epoch.

    Raises
    ------
    InputError
        ``bad_config``: the schema has time features, the table no times; from the schema, the
        labels or the fit.
    """
    model, settings = model or ModelSettings(), settings or TrainSettings()
    config = schema if isinstance(schema, SchemaConfig) else schema.config
    if config.time is not None and not train.times.any():
        raise InputError(
            "bad_config",
            "time features, and every event is at time 0: the table was read without times",
            field="schema.time",
            hint="name the time column when the table is read, or leave `time` out of the schema",
        )
    if isinstance(schema, SchemaConfig):
        with naming_rows(train.source_rows):
            schema = Schema.fit(schema, train.columns, train.times, train.offsets)
    learned, watched = (_sequences(table, schema, task) for table in (train, valid))
    trained = train_encoded(
        learned,
        watched,
        sample=train,
        schema=schema,
        task=task,
        model=model,
        settings=settings,
        listeners=listeners,
        checkpoint=checkpoint,
        resume=resume,
        data=(array for part in (learned, watched) for array in _contents(part)),
    )
    return dataclasses.replace(trained, valid=valid)


def train_encoded(
    train: Sequences,
    valid: Sequences,
    *,
    sample: EventTable,
    schema: Schema,
    task: TaskSpec,
    model: Architecture,
    settings: TrainSettings,
    listeners: Sequence[Listener] = (),
    checkpoint: Path | None = None,
    resume: bool = True,
    data: Iterable[memoryview | bytes] = (),
) -> Trained:
    """Train a model on parts that are already encoded; see `train_model`.

    Parameters
    ----------
    train, valid : Sequences
        What is learned from, and what decides which epoch is best.
    sample : EventTable
        What schema and task were fitted on.
    data : iterable of bytes
        Differ when the parts do: a checkpoint of other data is refused.
    """
    half = tasks.open(task)
    spec = msgspec.structs.replace(
        model.spec(schema.width, schema.categories, task.output_size), **half.readout(schema)
    )
    with repeatable(settings.seed, settings.threads):
        network = model.network(spec)
    half.furnish(network, schema)
    result = fit(
        network,
        task,
        train,
        valid,
        settings,
        listeners=listeners,
        checkpoint=checkpoint,
        resume=resume,
        key=_key([spec, task, model, settings], data) if checkpoint else "",
    )
    trained = Trained(network, schema, task, model, settings, result, sample, valid)
    settled = half.finish(network, trained.outputs(valid), valid.labels)
    return dataclasses.replace(trained, task=settled)


def _sequences(table: EventTable, schema: Schema, task: TaskSpec) -> Sequences:
    rows, labels = _rows(table, schema), _truth(table, schema, task)
    targets = tasks.open(task).targets(labels, rows)
    return Sequences(
        rows, table.offsets, labels, targets, table.sessions, schema.columns, schema.measured
    )


def _rows(table: EventTable, schema: Schema) -> NDArray[np.float32]:
    with naming_rows(table.source_rows):
        return schema.encode(table.columns, table.times, table.offsets).rows


def _truth(table: EventTable, schema: Schema, task: TaskSpec) -> NDArray[np.float64]:
    with naming_rows(table.source_rows):
        return answers.open(task).truth(table, schema)


def _contents(part: Sequences) -> Iterator[memoryview | bytes]:
    for array in (part.rows, part.offsets, part.labels):
        yield np.ascontiguousarray(array).data


def _key(settings: Sequence[object], data: Iterable[memoryview | bytes]) -> str:
    """Return a text that differs when what is trained on what differs."""
    digest = hashlib.sha256(msgspec.json.encode(settings))
    for content in data:
        digest.update(content)
    return digest.hexdigest()
