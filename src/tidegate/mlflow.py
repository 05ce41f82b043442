"""Bundles in MLflow (the extra ``mlflow``): logged as a model flavour, loaded as a pyfunc.

What is logged is the bundle's folder as it is. Loading it needs no torch.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate import __version__, bundle, scoring
from tidegate.engine import offline
from tidegate.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Scores", "load_model", "log_model", "package", "tracking"]


def log_model(
    path: str | Path,
    *,
    name: str = "model",
    run_id: str | None = None,
    registered_model_name: str | None = None,
    tracking_uri: str | None = None,
) -> str:
    """Log a bundle as a model.

    Parameters
    ----------
    path : str or Path
        The bundle's folder.
    name : str
        Of the logged model.
    run_id : str, optional
        The run that it belongs to, and that then is finished; by default the active one, if there
        is one.
    registered_model_name : str, optional
        Also register it as a version of this model.
    tracking_uri : str, optional
        Where to, such as ``sqlite:///mlflow.db``; by default where MLflow logs to.

    Returns
    -------
    str
        The model's URI, for `load_model`.

    Raises
    ------
    InputError
        ``missing_extra``: MLflow is not installed.
    BundleError
        From `bundle.load`: only a bundle that is whole is logged.
    """
    mlflow = package()
    loaded = bundle.load(path)
    with tracking(tracking_uri), _active(run_id):
        logged = mlflow.pyfunc.log_model(
            name=name,
            registered_model_name=registered_model_name,
            metadata={"fingerprint": loaded.fingerprint.hex(), "version": loaded.version},
            loader_module=__name__,
            data_path=str(path),
            pip_requirements=[f"tidegate[mlflow]=={__version__}"],
        )
    uri: str = logged.model_uri
    return uri


def load_model(uri: str, *, tracking_uri: str | None = None) -> Any:
    """Load a bundle that was logged.

    Parameters
    ----------
    uri : str
        Such as ``models:/flights/3``, or what `log_model` returned.
    tracking_uri : str, optional
        Where from; by default where MLflow logs to.

    Returns
    -------
    mlflow.pyfunc.PyFuncModel
        ``predict(frame)`` answers events as `tidegate score` does: see `Scores.predict`.

    Raises
    ------
    InputError
        ``missing_extra``: MLflow is not installed.
    """
    mlflow = package()
    with tracking(tracking_uri):
        return mlflow.pyfunc.load_model(uri)


class Scores:
    """What MLflow calls: a bundle that answers frames of events."""

    def __init__(self, path: str | Path) -> None:
        self.bundle = bundle.load(path)
        self._scorer = offline.open(self.bundle)

    def predict(self, events: Any) -> pd.DataFrame:
        """Answer events, every session from its beginning.

        Parameters
        ----------
        events : frame
            pandas, polars or Arrow, with the columns of training: the fields, the session and, if
            training had one, the time.

        Returns
        -------
        pandas.DataFrame
            One row an event, in the order of the input, with the columns of `tidegate score`.

        Raises
        ------
        InputError
            From the table and the schema, naming column and row.
        """
        import pandas as pd

        table = scoring.read(self.bundle, events)
        return pd.DataFrame(scoring.answer(self.bundle, self._scorer, table))


def _load_pyfunc(path: str) -> Scores:
    return Scores(path)


def package() -> Any:
    """Return the package mlflow.

    Raises
    ------
    InputError
        ``missing_extra``: it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own code, as it is imported
            import mlflow
            import mlflow.models
            import mlflow.pyfunc
            import mlflow.store.tracking.sqlalchemy_store  # needs what mlflow-skinny leaves out
    except ImportError as error:
        raise InputError(
            "missing_extra",
            f"MLflow is not installed: {error}",
            field="mlflow",
            hint="pip install 'tidegate[mlflow]', or leave the option out",
        ) from error
    return mlflow


@contextmanager
def _active(run_id: str | None) -> Iterator[None]:
    if run_id is None:
        yield
        return
    # A model goes to the experiment of the active run, and nowhere else.
    with package().start_run(run_id=run_id, nested=True):
        yield


@contextmanager
def tracking(uri: str | None) -> Iterator[None]:
    """Let MLflow log to `uri` inside, if one is given."""
    if uri is None:
        yield
        return
    mlflow = package()
    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)
