"""What is known of a run, and where it is found."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tidegate import bundle as bundles
from tidegate.bundle import Bundle
from tidegate.data.profile import LengthProfile
from tidegate.errors import InputError
from tidegate.train import checkpoint as checkpoints
from tidegate.train.bad_batches import BadBatch
from tidegate.train.fit import FitResult
from tidegate.train.given import Column, Given
from tidegate.train.history import Epoch
from tidegate.train.settings import TrainSettings

__all__ = ["Run", "of_bundle", "of_fit", "read"]


class Run(msgspec.Struct, frozen=True):
    """A training run, as it looks afterwards.

    Parameters
    ----------
    given : Given
        What it was given.
    history : tuple of Epoch
        Its finished epochs; empty if it gave up in the first.
    bad_batches : tuple of BadBatch
        The first ones that were skipped.
    finished : bool
        Whether it came to its end.
    """

    given: Given | None
    history: tuple[Epoch, ...]
    bad_batches: tuple[BadBatch, ...] = ()
    finished: bool = True


def of_fit(result: FitResult) -> Run:
    """Return the run of a `fit`, or of `Trained.result`."""
    return Run(result.given, result.history, result.bad_batches)


def read(path: str | Path) -> Run:
    """Read a run.

    Parameters
    ----------
    path : str or Path
        A bundle's folder; of an interrupted run the checkpoint beside it, or the folder's name,
        though there is no folder yet. ``NAME.bad_batches.json`` beside it is read too.

    Raises
    ------
    InputError
        ``no_run``: it is none of these; ``no_history``: the bundle has none;
        ``bad_batches_damaged``.
    BundleError
        From `bundle.load`.
    """
    path = Path(path)
    if path.is_dir():
        run = of_bundle(bundles.load(path))
        return msgspec.structs.replace(run, bad_batches=_bad_batches(_beside(path)))
    checkpoint = path if path.is_file() else path.with_name(f"{path.name}.checkpoint")
    if checkpoint.is_file():
        try:
            position = checkpoints.position(checkpoint)
        except InputError as error:
            raise InputError(
                "no_run",
                error.message,
                field="RUN",
                hint="give a bundle's folder, or the checkpoint of an interrupted run",
            ) from error
        bad = tuple(position.bad_batches)
        return Run(position.given, tuple(position.history), bad, finished=False)
    bad = _bad_batches(_beside(path))
    if not bad:
        raise InputError(
            "no_run",
            f"there is no {str(path)!r}, and no checkpoint of it",
            field="RUN",
            hint="give a bundle's folder, or the checkpoint of an interrupted run",
        )
    return Run(None, (), bad, finished=False)


def of_bundle(bundle: Bundle) -> Run:
    """Return the run that made a bundle.

    Raises
    ------
    InputError
        ``no_history``: it does not say.
    """
    provenance = bundle.provenance
    try:
        given = provenance.get("given", {})
        return Run(
            Given(
                bundle.spec,
                msgspec.convert(provenance["settings"]["train"], TrainSettings),
                msgspec.convert(provenance["lengths"], LengthProfile),
                msgspec.convert(given.get("columns", []), tuple[Column, ...]),
                msgspec.convert(given.get("constant_loss"), float | None),
            ),
            msgspec.convert(provenance["history"], tuple[Epoch, ...]),
        )
    except (KeyError, TypeError, AttributeError, msgspec.ValidationError) as error:
        raise InputError(
            "no_history",
            f"{bundle.name} {bundle.version} does not hold the history of its training: {error}",
            field="RUN",
            hint="give a bundle that `tidegate train` or `train.save_bundle` wrote",
        ) from error


def _beside(path: Path) -> Path:
    """Return where `run` has the skipped batches of a bundle's folder described."""
    return path.with_name(f"{path.name}.checkpoint").with_suffix(".bad_batches.json")


def _bad_batches(path: Path) -> tuple[BadBatch, ...]:
    if not path.is_file():
        return ()
    try:
        return msgspec.json.decode(path.read_bytes(), type=tuple[BadBatch, ...])
    except msgspec.MsgspecError as error:
        raise InputError(
            "bad_batches_damaged",
            f"{str(path)!r} is no list of bad batches: {error}",
            field="RUN",
            hint="delete it",
        ) from error
