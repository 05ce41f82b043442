"""Workers: trial after trial until the budget is spent, in this process or in some."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.process import parent_process
from pathlib import Path
from typing import Any

import optuna

from tidegate import answers
from tidegate.errors import InputError
from tidegate.train.tune import trial as one
from tidegate.train.tune.search import Search
from tidegate.train.tune.space import TuneSettings
from tidegate.train.tune.study import begun, cpu_seconds, join

__all__ = ["Budget", "Order", "work", "work_in_processes"]

_LOOK_S = 0.5
_PATIENCE_S = 60.0


@dataclass(frozen=True)
class Budget:
    """What a study may cost in all, interruptions included.

    Parameters
    ----------
    trials : int or None
        That are begun at most.
    cpu_minutes : float or None
        Processor minutes after which none is begun.
    """

    trials: int | None
    cpu_minutes: float | None

    def spent(self, study: optuna.Study) -> bool:
        """Say whether no trial may begin."""
        trials, minutes = self.trials, self.cpu_minutes
        return (trials is not None and begun(study) >= trials) or (
            minutes is not None and cpu_seconds(study) >= 60 * minutes
        )


@dataclass(frozen=True)
class Order:
    """What a worker needs to know.

    Parameters
    ----------
    path : Path
        The study's file.
    search : Search
        What to draw.
    data : Data
        What to learn from.
    settings : TuneSettings
        How to draw and prune.
    watch : str
        The metric of the validation part that trials are compared by.
    budget : Budget
        When to end.
    """

    path: Path
    search: Search
    data: one.Data
    settings: TuneSettings
    watch: str
    budget: Budget

    @property
    def maximize(self) -> bool:
        """Whether a higher value is better."""
        return self.watch in answers.HIGHER_IS_BETTER


def work(
    order: Order,
    study: optuna.Study,
    *,
    lock: AbstractContextManager[Any] | None = None,
    stop: Callable[[], bool] = lambda: False,
    heard: Callable[[], None] = lambda: None,
) -> None:
    """Run trials until the budget is spent.

    Parameters
    ----------
    order : Order
        What to do.
    study : optuna.Study
        From `study.begin` or `study.join`.
    lock : context manager, optional
        Held while a trial begins: workers neither draw alike nor overdraw the budget.
    stop : callable
        Says whether to end now.
    heard : callable
        Is called after each trial.
    """
    lock = nullcontext() if lock is None else lock
    while not stop():
        with lock:
            if order.budget.spent(study):
                return
            trial = study.ask()
            values = order.search.draw(trial)
        try:
            one.run(study, trial, values, order.search, order.data, stop)
        except one.Stopped:
            return
        heard()


def work_in_processes(order: Order, workers: int, heard: Callable[[], None]) -> None:
    """Run trials in several processes, which share the study's file.

    Raises
    ------
    InputError
        ``worker_died``.
    """
    context = multiprocessing.get_context("spawn")  # what torch has in threads survives no fork
    lock, ended = context.Lock(), context.Event()
    processes = [
        context.Process(target=_worker, args=(order, lock, ended), daemon=True)
        for _ in range(workers)
    ]
    try:
        for process in processes:
            process.start()
        while any(process.is_alive() for process in processes):
            connection.wait([p.sentinel for p in processes if p.is_alive()], _LOOK_S)
            heard()
            died = [process for process in processes if process.exitcode]
            if died:
                raise InputError(
                    "worker_died",
                    f"a worker ended with exit code {died[0].exitcode}",
                    field="--workers",
                    hint="fewer workers need less memory; the same command goes on",
                )
    finally:
        ended.set()
        for process in processes:
            if process.pid is not None:
                process.join(_PATIENCE_S)
                process.kill()
                process.join()


def _worker(order: Order, lock: AbstractContextManager[Any], ended: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the parent's to handle
    parent = parent_process()

    def stop() -> bool:
        return ended.is_set() or (parent is not None and not parent.is_alive())

    study = join(order.path, order.settings, maximize=order.maximize)
    work(order, study, lock=lock, stop=stop)
