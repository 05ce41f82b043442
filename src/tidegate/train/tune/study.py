"""A study in a file: trials that finished, and which study the file belongs to."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from tidegate import files
from tidegate.errors import InputError
from tidegate.train.tune.sampler import REASON, SteadySampler, counts
from tidegate.train.tune.space import TuneSettings, Value

__all__ = [
    "CPU",
    "Trial",
    "alone",
    "begin",
    "begun",
    "cpu_seconds",
    "forget_cut_off",
    "join",
    "trials",
]

CPU = "cpu_s"
"""The attribute of a trial with its processor seconds so far."""

_NAME = "tidegate"
_BACKGROUND = "key"
_FIRST_EPOCH = 2
"""After which a trial may be ended early: the first is the learning rate's warm-up."""


class Trial(msgspec.Struct, frozen=True):
    """What came of one trial.

    Parameters
    ----------
    number : int
        From 0, in the order of their beginnings.
    state : {"done", "pruned", "failed"}
        Trained to its end; ended early; refused, or not finite.
    values : dict
        Of the keys that were drawn.
    value : float or None
        The watched metric on the validation part: of the best epoch; if it was ended early, of the
        last.
    epochs : int
        That were trained.
    cpu_s : float
        Processor seconds that they took.
    reason : str
        Why it failed.
    """

    number: int
    state: Literal["done", "pruned", "failed"]
    values: dict[str, Value]
    value: float | None
    epochs: int
    cpu_s: float
    reason: str = ""


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keep a study's file from other processes that tune, and mend what a kill left of it.

    Raises
    ------
    InputError
        ``study_in_use`` or ``cannot_write``.
    """
    with files.refusals(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab+")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                "study_in_use",
                f"{str(path)!r} is being tuned by another process",
                field="study",
                hint="wait for it, or tune more quickly with --workers",
            ) from error
        file.seek(0)
        whole = file.read()
        file.truncate(whole.rfind(b"\n") + 1)  # of a line that a kill tore, Optuna reads no more
        Path(f"{path}.lock").unlink(missing_ok=True)  # Optuna's own, of a process that is no more
        yield


def begin(
    path: Path, settings: TuneSettings, *, maximize: bool, background: Mapping[str, str]
) -> optuna.Study:
    """Open a study, or go on with it.

    Parameters
    ----------
    path : Path
        Its file.
    settings : TuneSettings
        How to draw and prune.
    maximize : bool
        Whether a higher value is better.
    background : mapping of str to str
        A digest of each thing that must be as it was for values to be compared.

    Raises
    ------
    InputError
        ``study_damaged``; ``study_mismatch``, saying what is not as it was.
    """
    try:
        study = join(path, settings, maximize=maximize)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            "study_damaged",
            f"{str(path)!r} is no study: {error}",
            field="study",
            hint="name another file, or begin anew with --fresh",
        ) from error
    found = study.user_attrs.get(_BACKGROUND)
    if found is None:
        study.set_user_attr(_BACKGROUND, dict(background))
        return study
    changed = [name for name, digest in background.items() if found.get(name) != digest]
    if changed:
        raise InputError(
            "study_mismatch",
            f"{str(path)!r} is of another study: not the same {', '.join(changed)}",
            field="study",
            hint="restore what was changed, name another folder, or begin anew with --fresh",
        )
    return study


def join(path: Path, settings: TuneSettings, *, maximize: bool) -> optuna.Study:
    """Open a study in a worker."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = (
        optuna.pruners.MedianPruner(settings.startup, n_warmup_steps=_FIRST_EPOCH)
        if settings.prune
        else optuna.pruners.NopPruner()
    )
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(path))),
        sampler=SteadySampler(settings.seed, settings.startup),
        pruner=pruner,
        study_name=_NAME,
        direction="maximize" if maximize else "minimize",
        load_if_exists=True,
    )


def forget_cut_off(study: optuna.Study) -> None:
    """End the trials that nobody trains any more: they count as if they had never begun."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)


def begun(study: optuna.Study) -> int:
    """Return how many trials there are, without those that were cut off."""
    return sum(counts(one) for one in study.get_trials(deepcopy=False))


def cpu_seconds(study: optuna.Study) -> float:
    """Return the processor seconds of all trials, cut off or not."""
    seconds: list[float] = [
        one.user_attrs.get(CPU, 0.0) for one in study.get_trials(deepcopy=False)
    ]
    return sum(seconds)


def trials(study: optuna.Study) -> list[Trial]:
    """Return the finished trials, in the order of their beginnings."""
    return [
        _trial(one)
        for one in study.get_trials(deepcopy=False)
        if one.state.is_finished() and counts(one)
    ]


_STATES: dict[TrialState, Literal["done", "pruned", "failed"]] = {
    TrialState.COMPLETE: "done",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


def _trial(found: FrozenTrial) -> Trial:
    attributes: dict[str, Any] = found.user_attrs
    return Trial(
        found.number,
        _STATES[found.state],
        dict(found.params),
        found.value,
        len(found.intermediate_values),
        attributes.get(CPU, 0.0),
        attributes.get(REASON, ""),
    )
