"""One trial: train with what was drawn, and report each epoch."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import optuna
from optuna.trial import TrialState

from tidegate.errors import InputError
from tidegate.spec import TaskSpec
from tidegate.tables import EventTable
from tidegate.train import parts
from tidegate.train.config import TrainConfig
from tidegate.train.history import Epoch
from tidegate.train.progress import Listener
from tidegate.train.trained import train_model
from tidegate.train.tune.sampler import REASON
from tidegate.train.tune.search import Search
from tidegate.train.tune.space import Value
from tidegate.train.tune.study import CPU

__all__ = ["Data", "Stopped", "run"]


class Stopped(Exception):  # noqa: N818 - nothing is wrong
    """Another process wants this one to stop."""


@dataclass(frozen=True, eq=False)
class Data:
    """What trials learn from, and what decides between them. There is no test part here.

    Parameters
    ----------
    train, valid : EventTable
        The two parts.
    task : TaskSpec
        Fitted on the first.
    """

    train: EventTable
    valid: EventTable
    task: TaskSpec

    @classmethod
    def read(cls, config: TrainConfig) -> Data:
        """Read what a configuration names, and let go of the test part."""
        prepared = parts.prepare(config)
        return cls(prepared.train, prepared.valid, prepared.task)

    def value(self, config: TrainConfig, listener: Listener) -> float:
        """Train, on one thread, and return the watched metric of the best epoch."""
        trained = train_model(
            self.train,
            self.valid,
            schema=config.schema,
            task=self.task,
            model=config.model,
            settings=msgspec.structs.replace(config.train, threads=1, diagnostics=False),
            listeners=[listener],
        )
        return trained.result.metrics[trained.result.watch]


def run(
    study: optuna.Study,
    trial: optuna.Trial,
    values: dict[str, Value],
    search: Search,
    data: Data,
    stop: Callable[[], bool],
) -> None:
    """Train a trial and record what came of it.

    Raises
    ------
    Stopped
        `stop` said so; the trial is left as it is.
    """
    listener = _Reports(trial, stop)
    try:
        value = data.value(search.config(values), listener)
    except optuna.TrialPruned:
        listener.clock()
        study.tell(trial, state=TrialState.PRUNED)
    except InputError as error:
        listener.clock()
        trial.set_user_attr(REASON, str(error))
        study.tell(trial, state=TrialState.FAIL)
    else:
        listener.clock()
        study.tell(trial, value)


class _Reports(Listener):
    """Reports each epoch to a study, and ends the training that it thinks little of."""

    def __init__(self, trial: optuna.Trial, stop: Callable[[], bool]) -> None:
        self._trial, self._stop = trial, stop
        self._began = time.process_time()
        self._epochs = 0

    def begin(self, epochs: int, done: int, events: int) -> None:  # noqa: ARG002
        """Hear which epoch is the last: nothing is saved by ending a trial after it."""
        self._epochs = epochs

    def batch(self, events: int, loss: float, gradient_norm: float) -> None:  # noqa: ARG002
        """Stop if asked to."""
        if self._stop():
            raise Stopped

    def epoch(self, epoch: Epoch, watch: str, best: bool) -> None:  # noqa: ARG002
        """Report, and end the trial if its values are worse than most."""
        self._trial.report(epoch.metrics[watch], epoch.epoch)
        self.clock()
        if epoch.epoch < self._epochs and self._trial.should_prune():
            raise optuna.TrialPruned

    def clock(self) -> None:
        """Record the processor seconds so far."""
        self._trial.set_user_attr(CPU, round(time.process_time() - self._began, 3))
