"""The base of the estimators: from X and y to a trained model, and from X to its answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from tidegate import answers, tasks, toml
from tidegate import bundle as bundles
from tidegate.answers import Answers
from tidegate.bundle import Bundle
from tidegate.engine.embed import headless
from tidegate.errors import InputError
from tidegate.estimators import events, served, signatures
from tidegate.estimators.events import Layout
from tidegate.estimators.parameters import checked, plain
from tidegate.schema import Field, Schema, SchemaConfig
from tidegate.spec import LABELLED, Cell
from tidegate.tables import EventTable
from tidegate.tasks import TaskConfig
from tidegate.train import ModelSettings, Trained, TrainSettings, make_bundle, train_model

__all__ = ["RecurrentEstimator"]


class RecurrentEstimator(BaseEstimator):  # type: ignore[misc]
    """A recurrent model with the face of a scikit-learn estimator.

    A subclass says what is learned, and how numbers become answers. Its own parameters stand in its
    ``__init__``, before ``**shared``, which takes those of this class.

    Parameters
    ----------
    cell : {"gru", "lstm", "rnn"}
        The kind of every layer.
    hidden_size, num_layers : int
        Units of a layer; layers.
    bidirectional : bool
        Also from the last event to the first. Such a model scores whole sequences; it cannot be
        served event by event.
    dropout : float
        Share of the values that training sets to zero behind each layer.
    learning_rate : float
        Of AdamW, after the warm-up; it decays as a cosine over all epochs.
    epochs : int
        Passes over the training part at most.
    batch_tokens : int
        Events of one batch at most, padding included.
    weight_decay : float
        Of weight matrices.
    patience : int
        Epochs without improvement on the validation part after which training stops.
    validation_fraction : float
        Share of the sequences that decides which epoch is best, and of a classifier's
        temperature. 0: the training part decides.
    session, time : str
        Of a long frame: the columns of the session ids and, if there is one, of the times, by which
        events are ordered.
    schema : SchemaConfig, optional
        Of a long frame: its fields, and what stands for missing values. By default all other
        columns are fields: numbers, truths, and else categories.
    task, model, train : dict, optional
        More options of `TaskConfig`, `ModelSettings` and `TrainSettings`, by name.
    random_state : int, RandomState instance or None
        Of the weights, the order of batches, dropout, and the choice of the validation part.

    Attributes
    ----------
    trained_ : Trained
        The model, its schema and its history.
    n_features_in_ : int
        Columns of X; features of an event, where X is no array of two dimensions.
    """

    _stratified = True
    """Whether each class of last labels, where there are labels, keeps its share in both parts."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Let the signature of a subclass name the parameters of this class, too."""
        super().__init_subclass__(**options)
        signatures.name_shared(cls)

    def __init__(
        self,
        *,
        cell: Cell = "gru",
        hidden_size: int = 32,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        learning_rate: float = 1e-2,
        epochs: int = 50,
        batch_tokens: int = 256,
        weight_decay: float = 0.0,
        patience: int = 10,
        validation_fraction: float = 0.1,
        session: str = "session",
        time: str | None = None,
        schema: SchemaConfig | None = None,
        task: dict[str, Any] | None = None,
        model: dict[str, Any] | None = None,
        train: dict[str, Any] | None = None,
        random_state: Any = None,
    ) -> None:
        self.cell = cell
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.batch_tokens = batch_tokens
        self.weight_decay = weight_decay
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.session = session
        self.time = time
        self.schema = schema
        self.task = task
        self.model = model
        self.train = train
        self.random_state = random_state

    def to_bundle(
        self, path: str | Path, name: str, version: str, *, overwrite: bool = False
    ) -> Bundle:
        """Write the model as a bundle, for `tidegate serve` and all else that runs one.

        Its answers are those of `predict`: both come of the same engine. Of a model of frames, the
        command line knows the columns of sessions and times; features of arrays are the fields
        ``x0``, ``x1`` and so on.

        Parameters
        ----------
        path : str or Path
            Folder of the bundle.
        name, version : str
            Of the model.
        overwrite : bool
            Whether a bundle that is there already may be replaced.

        Raises
        ------
        InputError
            From `train.save_bundle`.
        """
        return bundles.save(self.made_bundle(name, version), path, overwrite=overwrite)

    def made_bundle(self, name: str, version: str) -> Bundle:
        """Return the bundle that `to_bundle` writes, not on disk yet."""
        check_is_fitted(self)
        # As frames are called, so that the command line need not be told.
        columns = {"session": self.session, "time": self.time}
        provenance = {"columns": columns} if self._layout.kind == "frame" else {}
        return make_bundle(self.trained_, name=name, version=version, provenance=provenance)

    def _fit(self, X: Any, y: NDArray[Any], task: dict[str, Any]) -> None:
        """Train on X and y, of which a part decides which epoch is best.

        Parameters
        ----------
        X : frame, list of arrays, or array
            As in `events`.
        y : array (sequences,) or (events,)
            Labels as `EventTable.labels` has them.
        task : dict
            Options of `TaskConfig`, beside those of the user.
        """
        config, table = self._read(X, reset=True)
        labels, self._per = events.place_labels(table, y)
        self._learn(config, replace(table, labels=labels), task | {"per": self._per})

    def _learn(self, config: SchemaConfig, table: EventTable, task: dict[str, Any]) -> None:
        """Train on a table, of which a part decides which epoch is best.

        Parameters
        ----------
        config : SchemaConfig
            Fields of the table.
        table : EventTable
            With labels, if the task has some.
        task : dict
            Options of `TaskConfig`, beside those of the user.
        """
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        train, valid = self._parts(table, seed)
        schema = Schema.fit(config, train.columns, train.times, train.offsets)
        label = None if table.labels is None else _label_name(config)
        model = self._model_settings()
        wanted = TaskConfig(**plain(_known("task", self.task, TaskConfig) | task))
        _refuse_backward(wanted.name, model)
        self.trained_ = train_model(
            train,
            valid,
            schema=schema,
            task=tasks.fit(wanted, label, train, schema),
            model=model,
            settings=self._train_settings(seed),
        )

    def _model_settings(self) -> ModelSettings:
        own = {
            "cell": self.cell,
            "hidden_size": self.hidden_size,
            "num_layers": self.num_layers,
            "bidirectional": self.bidirectional,
            "dropout": self.dropout,
        }
        given = _known("model", self.model, ModelSettings)
        return checked(ModelSettings, own | given)

    def _train_settings(self, seed: int) -> TrainSettings:
        own = {
            "learning_rate": self.learning_rate,
            "epochs": self.epochs,
            "batch_tokens": self.batch_tokens,
            "weight_decay": self.weight_decay,
            "patience": self.patience,
            "warmup_steps": 10,
            "diagnostics": False,
            "seed": seed,
        }
        given = _known("train", self.train, TrainSettings)
        return checked(TrainSettings, own | self._train_defaults() | given)

    def _train_defaults(self) -> dict[str, Any]:
        """Return what else of `TrainSettings` suits the task, unless the user says otherwise."""
        return {}

    def _answers(self, X: Any) -> NDArray[np.float32]:
        """Return what a served model answers: (sequences, answer_size) or (events, answer_size)."""
        table, found = self._run(X)
        return served.arranged(table, found, self._per)

    def _run(self, X: Any, bundle: Bundle | None = None) -> tuple[EventTable, NDArray[np.float32]]:
        """Return X as a table, and what each event of the table is answered with.

        Parameters
        ----------
        X : frame, list of arrays, or array
            As in `events`.
        bundle : Bundle, optional
            What answers, if not the model itself.
        """
        check_is_fitted(self)
        _, table = self._read(X, reset=False)
        return table, served.outputs(bundle or served.bundle_of(self.trained_), table)

    def _measured(self, table: EventTable, found: NDArray[np.float32], metric: str) -> float:
        """Return a metric of what `_run` returned, as `tidegate evaluate` prints it.

        Raises
        ------
        InputError
            ``no_labels``: nothing in X can be measured.
        """
        half = self._half
        truth = half.truth(table, self.trained_.schema)
        measured = half.metrics(found, truth, table.offsets)
        if metric not in measured:
            raise InputError(
                "no_labels",
                f"there is nothing to measure the {metric} of",
                field="X",
                hint="give sequences with labels or, of what comes next, some that go on",
            )
        return measured[metric]

    def states(self, X: Any, per: Literal["event", "session"] = "event") -> NDArray[np.float32]:
        """Return the state in which the model keeps what it has read, as `tidegate embed` does.

        Parameters
        ----------
        X : frame, list of arrays, or array
            As `predict` takes it.
        per : {"event", "session"}
            After each event, or after each sequence's last one.

        Returns
        -------
        float32 array (events, units) or (sequences, units)
            As many numbers as the last layer has units, twice as many of a bidirectional one.

        Raises
        ------
        InputError
            ``out_of_range``: no such `per`; what makes no sequences.
        """
        check_is_fitted(self)
        if per not in ("event", "session"):
            raise InputError(
                "out_of_range",
                f"{per!r} has no states",
                field="per",
                hint='use "event" or "session"',
            )
        table, found = self._run(X, headless(served.bundle_of(self.trained_)))
        return served.arranged(table, found, per)

    @property
    def _half(self) -> Answers:
        trained: Trained = self.trained_
        return answers.open(trained.task)

    def _read(self, X: Any, *, reset: bool) -> tuple[SchemaConfig, EventTable]:
        """Check X and return it as a table, with the schema of its fields."""
        named = self.time is not None or self.schema is not None or self.session != "session"
        if named and events.is_frame(X):
            events.require(X, {self.session: "session"})
        if events.is_frame(X, self.session):
            if reset:
                self._schema: SchemaConfig | None = self.schema or self._schema_of(X)
            schema = self._schema
            self._keep(Layout("frame", len(schema.fields) if schema else 0), reset=reset)
            assert schema is not None  # or this is not what it was fitted on
            return schema, events.of_frame(X, schema, self.session, self.time)
        if reset:
            self._schema = None
        sequences = events.sequences(X)
        if sequences is not None:
            self._keep(Layout("steps", sequences[0].shape[-1]), reset=reset)
        else:
            flat = validate_data(self, X, reset=reset, dtype=np.float64)
            self._keep(Layout("flat", flat.shape[1]), reset=reset)
            sequences = flat[:, :, None]
        table = events.of_arrays(sequences)
        return SchemaConfig({name: Field("numeric") for name in table.columns}), table

    def _schema_of(self, X: Any) -> SchemaConfig:
        """Return the fields of a long frame, where the user names none."""
        return events.schema_of(X, self.session, self.time)

    def _keep(self, layout: Layout, *, reset: bool) -> None:
        """Remember what X is like, or see that it is like that again."""
        if reset:
            self._layout = layout
            self.n_features_in_ = layout.size
        elif layout != self._layout:
            raise InputError(
                "bad_input",
                f"{layout}, and it was fitted on {self._layout}",
                field="X",
                hint="give what `fit` was given: an array of two dimensions, sequences, or a frame",
            )

    def _parts(self, table: EventTable, seed: int) -> tuple[EventTable, EventTable]:
        """Return the training and the validation part."""
        if self.validation_fraction == 0:
            return table, table
        if table.labels is None or not self._stratified:
            return events.parts(table, self.validation_fraction, seed)
        chosen = events.held_out(
            table.labels[table.offsets[1:] - 1], self.validation_fraction, seed
        )
        return table.take(np.flatnonzero(~chosen)), table.take(np.flatnonzero(chosen))


def _label_name(config: SchemaConfig) -> str:
    name = "label"
    while name in config.fields:
        name += "_"
    return name


def _known(name: str, given: dict[str, Any] | None, kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the options of a parameter, if `kind` knows all of them."""
    known = [field.name for field in msgspec.structs.fields(kind)]
    for key in given or {}:
        if key not in known:
            raise InputError(
                "unknown_key", "unknown key", field=f"{name}.{key}", hint=toml.nearest(key, known)
            )
    return given or {}


def _refuse_backward(task: str, model: ModelSettings) -> None:
    if model.bidirectional and task not in LABELLED:
        raise InputError(
            "bad_config",
            "a backward direction would read what is to be foretold",
            field="bidirectional",
            hint="leave it out",
        )
