"""A whole training run: from a configuration to a bundle."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tidegate import bundle
from tidegate.bundle import Bundle
from tidegate.data.profile import LengthProfile
from tidegate.errors import InputError
from tidegate.tables import EventTable
from tidegate.train import mapped, parts
from tidegate.train.config import BundleConfig, SplitConfig, TrainConfig
from tidegate.train.package import save_bundle
from tidegate.train.progress import Listener, TensorBoard, Terminal
from tidegate.train.sequences import Sequences
from tidegate.train.trained import Trained, train_encoded, train_model

if TYPE_CHECKING:
    from tidegate.train.tracking import MLflow

__all__ = ["run"]


def run(
    config: TrainConfig,
    *,
    resume: bool = True,
    tensorboard: str | Path | None = None,
    mlflow: str | None = None,
    quiet: bool = False,
    listeners: Sequence[Listener] = (),
) -> Bundle:
    """Train what a configuration says and write its bundle.

    Parameters
    ----------
    config : TrainConfig
        From `load_config`.
    resume : bool
        Whether to go on with a run of this configuration that was interrupted. Its checkpoint lies
        beside the bundle's folder until the bundle is written.
    tensorboard : str or Path, optional
        Also write logs for TensorBoard to this folder.
    mlflow : str, optional
        Also log the run, and its bundle as a model, to MLflow at this URI, such as
        ``sqlite:///mlflow.db``. What cannot be logged is told and stops nothing.
    quiet : bool
        Print nothing.
    listeners : sequence of Listener
        More that are told of every batch and epoch.

    Returns
    -------
    Bundle
        As `bundle.load` gives it.

    Raises
    ------
    InputError
        From the table, the schema, the labels or the fit; from `bundle.check_target`, before
        anything is done, if the bundle could not be written.
    KeyboardInterrupt
        After Ctrl-C; the same call goes on.
    """
    out = Path(config.bundle.out)
    _check_target(config.bundle)
    told: list[Listener] = [*([] if quiet else [Terminal()]), *listeners]
    tracked: MLflow | None = None

    def warn(text: str) -> None:
        if quiet:
            warnings.warn(text, stacklevel=2)
        for listener in told:
            listener.note(text)

    try:
        told += [] if tensorboard is None else [TensorBoard(tensorboard)]
        if mlflow is not None:
            from tidegate.train.tracking import MLflow  # not everyone has the extra

            tracked = MLflow(mlflow, config, resume=resume, warn=warn)
            told.append(tracked)
        made = _run(config, out, told, resume)
        if tracked is not None and (model := tracked.finish(made)):
            for listener in told:
                listener.note(f"logged to MLflow: {model}")
        return made
    finally:
        for listener in told:
            listener.close()


def _run(config: TrainConfig, out: Path, listeners: Sequence[Listener], resume: bool) -> Bundle:
    way = _map if config.data.memory == "map" else _load
    trained, test, provenance = way(config, out, listeners, resume)
    if trained.task.temperature is not None:
        for listener in listeners:
            listener.note(f"calibrated: the head is divided by {trained.task.temperature:.3f}")
    made = save_bundle(
        trained,
        out,
        name=config.bundle.name,
        version=config.bundle.version,
        metrics={} if test is None else {"test": trained.evaluate(test)},
        provenance=provenance,
        overwrite=config.bundle.overwrite,
    )
    _checkpoint(out).unlink(missing_ok=True)
    return made


def _load(
    config: TrainConfig, out: Path, listeners: Sequence[Listener], resume: bool
) -> tuple[Trained, EventTable | Sequences | None, dict[str, Any]]:
    prepared = parts.prepare(config)
    # Now: training may take long enough for the file to change.
    provenance = _provenance(config, mapped.sha256_of(Path(config.data.events)))
    _tell(listeners, prepared.notes, prepared.train.lengths)
    trained = train_model(
        prepared.train,
        prepared.valid,
        schema=prepared.schema,
        task=prepared.task,
        model=config.model,
        settings=config.train,
        listeners=listeners,
        checkpoint=_checkpoint(out),
        resume=resume,
    )
    return trained, prepared.test, provenance


def _map(
    config: TrainConfig, out: Path, listeners: Sequence[Listener], resume: bool
) -> tuple[Trained, EventTable | Sequences | None, dict[str, Any]]:
    folder = out.with_name(f"{out.name}.cache")
    prepared = mapped.prepare(config, folder, fresh=not resume)
    provenance = _provenance(config, prepared.sha256)
    sample = prepared.sample
    told = f"{len(sample.sessions):,} sessions, {sample.n_events:,} events"
    where = f"encoded events are in {folder}; schema and task were fitted on {told}"
    _tell(listeners, [*prepared.notes, where], np.diff(prepared.train.offsets))
    trained = train_encoded(
        prepared.train,
        prepared.valid,
        sample=sample,
        schema=prepared.schema,
        task=prepared.task,
        model=config.model,
        settings=config.train,
        listeners=listeners,
        checkpoint=_checkpoint(out),
        resume=resume,
        data=[prepared.key.encode()],
    )
    provenance["sample"] = {"sessions": len(sample.sessions), "events": sample.n_events}
    return trained, prepared.test, provenance


def _checkpoint(out: Path) -> Path:
    return out.with_name(f"{out.name}.checkpoint")


def _tell(listeners: Sequence[Listener], notes: Sequence[str], lengths: NDArray[np.int64]) -> None:
    for listener in listeners:
        for note in notes:
            listener.note(note)
        listener.note(f"training part: {LengthProfile.of(lengths)}")


def _check_target(config: BundleConfig) -> None:
    try:
        bundle.check_target(config.out, config.name, config.version, overwrite=config.overwrite)
    except InputError as error:
        keys = {"name": "bundle.name", "version": "bundle.version"}
        field = keys.get(error.field or "", "bundle.out")
        raise InputError(error.code, error.message, field=field, hint=error.hint) from error


def _provenance(config: TrainConfig, sha256: str) -> dict[str, Any]:
    events = Path(config.data.events)
    return {
        "columns": {"session": config.data.session, "time": config.data.time},
        "data": {"file": events.name, "sha256": sha256},
        "split": _split_to_dict(config.split),
        "git": _git_revision(events.parent),
    }


def _split_to_dict(config: SplitConfig) -> dict[str, Any]:
    if config.by == "session":
        return {"by": "session", "fractions": config.fractions, "seed": config.seed}
    return {"by": config.by, "starts": config.starts}


def _git_revision(folder: Path) -> str | None:
    """Return the revision of a folder's repository, ending in -dirty if it has changes."""
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "describe", "--always", "--dirty", "--abbrev=40", "--match="]
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    return found.stdout.strip() or None
