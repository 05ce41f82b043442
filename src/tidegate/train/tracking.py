"""A training run in MLflow: settings, metrics, artifacts and the bundle."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from tidegate import __version__, files
from tidegate import mlflow as flavour
from tidegate.bundle import Bundle
from tidegate.errors import InputError
from tidegate.train.config import TrainConfig
from tidegate.train.history import Epoch
from tidegate.train.progress import Listener, scalars

__all__ = ["MLflow", "default_uri"]

PARAMETERS_AT_ONCE = 100
METRICS_AT_ONCE = 1000
LONGEST_VALUE = 6000
LONGEST_NAME = 250
"""What MLflow takes at most."""


def default_uri(folder: str | Path) -> str:
    """Return what the variable MLFLOW_TRACKING_URI says, else a database in a folder."""
    local = f"sqlite:///{Path(folder).absolute() / 'mlflow.db'}"
    return os.environ.get("MLFLOW_TRACKING_URI") or local


class MLflow(Listener):
    """Logs a training run to MLflow, and never stops it.

    When MLflow fails once, the epochs that follow are not sent. `finish` sends whatever is
    missing, and warns if it cannot.

    Parameters
    ----------
    uri : str
        Of the tracking store: ``sqlite:///mlflow.db``, ``http://...``.
    config : TrainConfig
        What is trained: its flattened keys are the parameters, its bundle's name is the
        experiment's and its version the run's.
    resume : bool
        Whether to go on with the run of an interrupted training: a file beside its checkpoint
        remembers which it is.
    warn : callable
        Is told what was not logged.

    Raises
    ------
    InputError
        ``missing_extra``: MLflow is not installed; ``bad_tracking_uri``: a folder, which the
        current MLflow refuses.
    """

    def __init__(
        self, uri: str, config: TrainConfig, *, resume: bool, warn: Callable[[str], None]
    ) -> None:
        if uri != "databricks" and ("://" not in uri or uri.startswith("file:")):
            raise InputError(
                "bad_tracking_uri",
                f"{uri!r} is a folder, and MLflow keeps runs in databases",
                field="mlflow",
                hint="use sqlite:///mlflow.db, or the http address of a server",
            )
        self._package = flavour.package()
        self._uri, self._config, self._warn = uri, config, warn
        self._place = _shown(uri)
        self._plain = msgspec.json.decode(msgspec.json.encode(config))
        out = Path(config.bundle.out)
        self._memo = out.with_name(f"{out.name}.mlflow")
        self._checkpoint = out.with_name(f"{out.name}.checkpoint")
        self._known = resume and self._checkpoint.exists()
        self._run: str | None = None
        self._logged: str | None = None
        self._answers = True
        self._finished = False
        self._try(self._begin)

    def epoch(self, epoch: Epoch, watch: str, best: bool) -> None:  # noqa: ARG002
        """Log the epoch's numbers, at its step."""
        self._try(lambda: self._metrics(scalars(epoch), epoch.epoch))

    def finish(self, made: Bundle) -> str | None:
        """Log what came of it: the bundle, its metrics, and epochs that could not be logged.

        Returns
        -------
        str or None
            The model's URI, if it was logged.
        """
        steps: dict[str, Callable[[], object]] = {
            "parameters": self._begin,
            "epochs": lambda: self._missing(made),
            "metrics": lambda: self._metrics(_final(made), 0),
            "config and card": lambda: self._artifacts(made),
            "model": lambda: self._model(made),
            "the run's end": lambda: self._client().set_terminated(self._run, "FINISHED"),
        }
        for done, step in enumerate(steps.values()):
            try:
                step()
            except Exception as error:
                unsaid = ", ".join([*steps][done:])
                self._warn(f"not logged to MLflow at {self._place}: {unsaid} ({_said(error)})")
                break
        self._finished = True
        self._memo.unlink(missing_ok=True)
        return self._logged

    def close(self) -> None:
        """Mark a run that has no bundle as killed; the same training goes on with it."""
        if self._run is not None and not self._finished:
            self._try(lambda: self._client().set_terminated(self._run, "KILLED"))
            if not self._checkpoint.exists():
                self._memo.unlink(missing_ok=True)

    def _try(self, call: Callable[[], object]) -> None:
        if not self._answers:
            return
        try:
            call()
        except Exception as error:
            self._answers = False
            self._warn(
                f"MLflow at {self._place} failed, and is tried again when the bundle is written: "
                f"{_said(error)}"
            )

    def _client(self) -> Any:
        return self._package.MlflowClient(tracking_uri=self._uri)

    def _begin(self) -> None:
        """Begin a run, or go on with one."""
        if self._run is not None:
            return
        client, name = self._client(), self._config.bundle.name
        if self._known and (found := _remembered(self._memo, self._place)):
            client.update_run(found, status="RUNNING")
            self._run = found
            return
        experiment = client.get_experiment_by_name(name)
        number = (
            client.create_experiment(name, artifact_location=_beside(self._uri))
            if experiment is None
            else experiment.experiment_id
        )
        begun = client.create_run(
            number, run_name=self._config.bundle.version, tags={"tidegate": __version__}
        ).info.run_id
        parameters = [
            self._package.entities.Param(key, str(value)[:LONGEST_VALUE])
            for key, value in _flat(self._plain).items()
        ]
        for first in range(0, len(parameters), PARAMETERS_AT_ONCE):
            client.log_batch(begun, params=parameters[first : first + PARAMETERS_AT_ONCE])
        self._run = begun
        memo = msgspec.json.encode({"place": self._place, "run": begun})
        files.write_file(self._memo, memo)

    def _metrics(self, values: Mapping[str, float], step: int) -> None:
        now = self._package.utils.time.get_current_time_millis()
        metrics = [
            self._package.entities.Metric(_name(key), float(value), now, step)
            for key, value in values.items()
        ]
        for first in range(0, len(metrics), METRICS_AT_ONCE):
            self._client().log_batch(self._run, metrics=metrics[first : first + METRICS_AT_ONCE])

    def _missing(self, made: Bundle) -> None:
        known = {each.step for each in self._client().get_metric_history(self._run, "loss/train")}
        for epoch in msgspec.convert(made.provenance["history"], list[Epoch]):
            if epoch.epoch not in known:
                self._metrics(scalars(epoch), epoch.epoch)

    def _artifacts(self, made: Bundle) -> None:
        client = self._client()
        client.log_dict(self._run, self._plain, "config.json")
        client.log_artifact(self._run, str(Path(str(made.path), "card.md")))

    def _model(self, made: Bundle) -> None:
        self._logged = flavour.log_model(str(made.path), run_id=self._run, tracking_uri=self._uri)


def _remembered(memo: Path, place: str) -> str | None:
    """Return the run that an interrupted training logged to."""
    try:
        found = msgspec.json.decode(memo.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.MsgspecError):
        return None
    return found.get("run") if found.get("place") == place else None


def _beside(uri: str) -> str | None:
    """Return where a local database's artifacts go; a server knows that itself."""
    if not uri.startswith("sqlite:///"):
        return None
    return (Path(uri.removeprefix("sqlite:///")).absolute().parent / "mlartifacts").as_uri()


def _final(made: Bundle) -> dict[str, float]:
    return {
        f"final/{part}/{name}": value
        for part, values in made.provenance["metrics"].items()
        for name, value in values.items()
    }


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Return the members of nested tables, by dotted name; what is not set is left out.

    Examples
    --------
    >>> _flat({"data": {"time": None}, "train": {"epochs": 3, "clip": [1, 2]}})
    {'train.epochs': 3, 'train.clip': [1, 2]}
    """
    if not isinstance(value, dict):
        return {} if value is None else {_name(name): value}
    found: dict[str, Any] = {}
    for key, member in value.items():
        found |= _flat(member, f"{name}.{key}" if name else str(key))
    return found


def _name(name: str) -> str:
    """Return a name with what MLflow takes in one."""
    return re.sub(r"[^\w/.\- :]", "_", name)[:LONGEST_NAME]


def _said(error: Exception) -> str:
    return _shown((str(error).splitlines() or [type(error).__name__])[0])


def _shown(text: str) -> str:
    """Return a text with addresses in it that name no user and no password.

    Examples
    --------
    >>> _shown("https://ada:secret@mlflow.example:5000/api")
    'https://mlflow.example:5000/api'
    """
    return re.sub(r"//[^/\s]*@", "//", text)
