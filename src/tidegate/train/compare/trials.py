"""One training of one contestant: what came of it, in a file that is not made twice."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate import answers, files
from tidegate.schema import Schema
from tidegate.spec import TaskSpec
from tidegate.tables import EventTable
from tidegate.train.compare.contestants import Contestant
from tidegate.train.compare.costs import Cost
from tidegate.train.compare.costs import measure as measure_cost
from tidegate.train.config import TrainConfig
from tidegate.train.parts import Prepared
from tidegate.train.progress import Listener
from tidegate.train.trained import train_model

__all__ = ["GROUPS", "Bin", "Plan", "Quality", "Trial", "Trials"]

GROUPS = 20
"""Groups of test sessions, drawn at random, of which each is measured alone."""

_BINS = 5


class Plan(msgspec.Struct, frozen=True):
    """Which training it is.

    Parameters
    ----------
    contestant : str
        Its name.
    learning_rate : float
        Its rate.
    seed : int
        Of weights, batches and dropout.
    fraction : float
        Share of the training part's sessions that it sees.
    """

    contestant: str
    learning_rate: float
    seed: int
    fraction: float = 1.0

    @property
    def file(self) -> str:
        """Name of its file."""
        return f"{self.contestant}-{self.fraction:g}-{self.learning_rate:.3g}-{self.seed}.json"


class Bin(msgspec.Struct, frozen=True):
    """A metric of some of the events.

    Parameters
    ----------
    low, high : int
        Range: of the sessions' lengths, or of the events' places in them, from 1.
    n : int
        Events that were measured.
    value : float, optional
        The metric; None where they do not define it.
    """

    low: int
    high: int
    n: int
    value: float | None


class Trial(msgspec.Struct, frozen=True):
    """What came of a training.

    Parameters
    ----------
    plan : Plan
        Which it is.
    key : str
        Tells data and configuration: results with another are not of this comparison.
    epochs, best_epoch : int
        Epochs that it took, and the one that was kept.
    seconds : float
        Of training, wall clock.
    valid, test : dict of str to float
        Metrics.
    groups : tuple of float or None
        The watched metric of each group of test sessions.
    by_length, by_place : tuple of Bin
        The watched metric by the length of a session, and by an event's place in its session.
    cost : Cost, optional
        Of a model that an engine streams.
    """

    plan: Plan
    key: str
    epochs: int
    best_epoch: int
    seconds: float
    valid: dict[str, float]
    test: dict[str, float] = msgspec.field(default_factory=dict)
    groups: tuple[float | None, ...] = ()
    by_length: tuple[Bin, ...] = ()
    by_place: tuple[Bin, ...] = ()
    cost: Cost | None = None


@dataclass(frozen=True)
class Trials:
    """Trains what was not trained before.

    Parameters
    ----------
    config : TrainConfig
        The configuration; contestants differ from it in model, learning rate and seed.
    prepared : Prepared
        Its data.
    contestants : sequence of Contestant
        Who may be trained.
    folder : Path
        Where results are kept, a file each.
    key : str
        See `Trial`.
    quality : Quality
        Measures answers to the test part; without one, to the validation part.
    """

    config: TrainConfig
    prepared: Prepared
    contestants: Sequence[Contestant]
    folder: Path
    key: str
    quality: Quality

    def known(self, plan: Plan) -> Trial | None:
        """Return a result that is there already."""
        try:
            found = msgspec.json.decode((self.folder / plan.file).read_bytes(), type=Trial)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None
        return found if found.key == self.key and found.plan == plan else None

    def run(self, plan: Plan, *, listeners: Sequence[Listener] = ()) -> Trial:
        """Train, or return what came of it before.

        Parameters
        ----------
        plan : Plan
            Which training.
        listeners : sequence of Listener
            Are told of its epochs.
        """
        found = self.known(plan)
        if found is not None:
            return found
        contestant = next(each for each in self.contestants if each.name == plan.contestant)
        settings = msgspec.structs.replace(
            self.config.train, seed=plan.seed, learning_rate=plan.learning_rate, diagnostics=False
        )
        began = time.perf_counter()
        trained = train_model(
            fewer(self.prepared.train, plan.fraction, plan.seed),
            self.prepared.valid,
            schema=self.prepared.schema,
            task=self.prepared.task,
            model=contestant.model,
            settings=settings,
            listeners=listeners,
        )
        seconds = time.perf_counter() - began
        result = trained.result
        trial = Trial(
            plan,
            self.key,
            len(result.history),
            result.best_epoch,
            seconds,
            trained.evaluate(self.prepared.valid),
            cost=measure_cost(trained) if contestant.streams and plan.fraction >= 1 else None,
        )
        settled = replace(self.quality, half=answers.open(trained.task))  # a threshold, margins
        trial = settled.fill(trial, trained.outputs(settled.table))
        self.folder.mkdir(parents=True, exist_ok=True)
        files.write_file(self.folder / plan.file, msgspec.json.encode(trial))
        return trial


@dataclass(frozen=True)
class Quality:
    """Measures answers to a table, as a whole and in parts.

    Parameters
    ----------
    half : Answers
        The task's answer half.
    table : EventTable
        What was answered.
    truth : float64 array (events,) or (events, n)
        What is right.
    watch : str
        The metric of the parts.
    """

    half: answers.Answers
    table: EventTable
    truth: NDArray[np.float64]
    watch: str

    @classmethod
    def of(cls, task: TaskSpec, schema: Schema, table: EventTable, watch: str) -> Quality:
        """Look up what is right."""
        half = answers.open(task)
        return cls(half, table, half.truth(table, schema), watch)

    def metrics(self, outputs: NDArray[np.float32]) -> dict[str, float]:
        """Return the task's metrics of the whole table."""
        return self.half.metrics(outputs, self.truth, self.table.offsets)

    def fill(self, trial: Trial, outputs: NDArray[np.float32]) -> Trial:
        """Return a trial with all that is measured of its answers."""
        table = self.table
        lengths = np.repeat(table.lengths, table.lengths)
        groups = np.repeat(group_of(len(table.sessions)), table.lengths)
        return msgspec.structs.replace(
            trial,
            test=self.metrics(outputs),
            groups=tuple(self._some(outputs, groups == each)[1] for each in range(GROUPS)),
            by_length=self._bins(outputs, table.lengths, lengths),
            by_place=self._bins(outputs, table.seqs, table.seqs),
        )

    def _bins(
        self, outputs: NDArray[np.float32], values: NDArray[np.int64], of: NDArray[np.int64]
    ) -> tuple[Bin, ...]:
        return tuple(
            Bin(low, high, *self._some(outputs, (of >= low) & (of <= high)))
            for low, high in _ranges(values)
        )

    def _some(
        self, outputs: NDArray[np.float32], chosen: NDArray[np.bool_]
    ) -> tuple[int, float | None]:
        """Return how many of some events were measured, and their metric."""
        truth = self.truth.copy()
        # A forecast's truth is its first number; the others say where it stands.
        truth[~chosen if truth.ndim == 1 else (~chosen, 0)] = np.nan
        found = self.half.metrics(outputs, truth, self.table.offsets)
        value = found.get(self.watch)
        return int(found.get("n", 0)), None if value is None else float(value)


def group_of(sessions: int) -> NDArray[np.int64]:
    """Return the group of each session: the same ones in every comparison of these data."""
    return np.random.default_rng(0).permutation(np.arange(sessions) % GROUPS)


def fewer(table: EventTable, fraction: float, seed: int) -> EventTable:
    """Return some of a table's sessions; those of a smaller share are among a larger one's."""
    if fraction >= 1:
        return table
    count = max(1, round(fraction * len(table.sessions)))
    drawn = np.random.default_rng([seed, 7]).permutation(len(table.sessions))[:count]
    return table.take(np.sort(drawn))


def _ranges(values: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return up to five ranges with about as many values each, side by side."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, _BINS + 1), method="higher"))
    ends = edges[1:] if len(edges) > 1 else edges
    starts = [int(edges[0]), *[int(end) + 1 for end in ends[:-1]]]
    return [(low, int(high)) for low, high in zip(starts, ends, strict=True)]
