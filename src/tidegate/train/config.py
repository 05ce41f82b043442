"""The configuration of a training run: a TOML file, checked to the last key."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any, Literal

import msgspec

from tidegate import tables, toml
from tidegate.data import splits
from tidegate.errors import InputError
from tidegate.schema import SchemaConfig
from tidegate.spec import LABELLED
from tidegate.tasks.config import TaskConfig
from tidegate.train.settings import ModelSettings, TrainSettings
from tidegate.train.tune.space import TuneSettings, check_key

__all__ = [
    "BundleConfig",
    "DataConfig",
    "SplitConfig",
    "TaskConfig",
    "TrainConfig",
    "load_config",
    "parse_config",
]


_FORETOLD: dict[str, str] = {
    "forecast": "values",
    "next_item": "items",
    "language": "tokens",
    "anomaly": "events",
}
"""What tasks are to say before it comes."""


class DataConfig(msgspec.Struct, frozen=True):
    """Section ``[data]``: where the events are.

    Parameters
    ----------
    events : str
        A .csv or .parquet file, or a folder of .parquet files; a relative path is relative to the
        configuration's folder.
    session : str
        Column of the session id.
    label : str or None
        Column of the label, if the task has one.
    time : str or None
        Column of the event time; None: events are in order and have no time.
    memory : {"load", "map"}
        Whether training holds the table in memory, or reads Parquet piece by piece and keeps
        encoded rows in files beside the bundle.
    sample : int
        ``map``: events of the training part at most, in whole sessions, that schema and task are
        fitted on.
    """

    events: str
    session: str
    label: str | None = None
    time: str | None = None
    memory: Literal["load", "map"] = "load"
    sample: int = 200_000

    def __post_init__(self) -> None:
        if self.sample < 1:
            raise InputError(
                "out_of_range",
                f"{self.sample} is not allowed",
                field="sample",
                hint="use 1 or more",
            )


class SplitConfig(msgspec.Struct, frozen=True):
    """Section ``[split]``: which sessions train, which validate, which test.

    Parameters
    ----------
    by : {"time", "session", "cut"}
        By the time of a session's first event, at random, or, for a forecast, each series cut at
        these times: a part knows what came before it, and is measured by what comes in it.
    valid_from, test_from : date, time, RFC 3339 text or unix seconds
        ``time`` and ``cut``: where the validation and the test part begin (UTC unless it says
        otherwise). Without `test_from` there is no test part.
    fractions : tuple of float
        ``session``: shares of the training, the validation and (if wanted) the test part.
    seed : int
        ``session``: of the random choice.
    """

    by: Literal["time", "session", "cut"]
    valid_from: Any = None
    test_from: Any = None
    fractions: tuple[float, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        needed = "fractions" if self.by == "session" else "valid_from"
        if not getattr(self, needed):
            raise InputError(
                "missing_key", "missing", field=needed, hint=f'by = "{self.by}" needs it'
            )
        unused = ("valid_from", "test_from") if self.by == "session" else ("fractions",)
        for name in unused:
            if getattr(self, name):
                raise InputError(
                    "unused_key", "is given", field=name, hint=f'by = "{self.by}" has no use for it'
                )
        if self.by == "session":
            splits.check_fractions(self.fractions)
            if len(self.fractions) not in (2, 3):
                raise InputError(
                    "out_of_range",
                    f"{len(self.fractions)} parts",
                    field="fractions",
                    hint="give two or three shares: training, validation and, if wanted, test",
                )
        if self.seed < 0:
            raise InputError(
                "out_of_range",
                f"{self.seed} is not allowed",
                field="seed",
                hint="use 0 or more",
            )
        starts = self.starts
        if list(starts) != sorted(set(starts)):
            raise InputError(
                "out_of_range",
                f"{self.test_from!r} is not later than {self.valid_from!r}",
                field="test_from",
                hint="the test part begins after the validation part",
            )

    @property
    def starts(self) -> tuple[float, ...]:
        """``time`` and ``cut``: where the validation and the test part begin, in unix seconds."""
        starts = []
        for name in ("valid_from", "test_from"):
            value = getattr(self, name)
            if value is None:
                continue
            if not isinstance(value, date | str | int | float) or value is True:
                raise InputError(
                    "wrong_type",
                    f"{value!r} is not an instant",
                    field=name,
                    hint="write 2013-10-01, 2013-10-01T00:00:00Z or unix seconds",
                )
            try:
                starts.append(tables.seconds(value))
            except InputError as error:
                raise InputError(error.code, error.message, field=name, hint=error.hint) from error
        return tuple(starts)


class BundleConfig(msgspec.Struct, frozen=True):
    """Section ``[bundle]``: what is made of it.

    Parameters
    ----------
    name, version : str
        Of the model; see `tidegate.bundle.check_target`.
    out : str
        Folder of the bundle; a relative path is relative to the configuration's folder.
    overwrite : bool
        Whether a bundle that is there already may be replaced.
    """

    name: str
    version: str
    out: str
    overwrite: bool = False


class TrainConfig(msgspec.Struct, frozen=True):
    """A whole configuration.

    Parameters
    ----------
    data : DataConfig
        Where the events are.
    schema : SchemaConfig
        What an event holds: ``[schema.fields.NAME]`` and ``[schema.time]``.
    split : SplitConfig
        Which sessions train, validate and test.
    task : TaskConfig
        What the model is for.
    bundle : BundleConfig
        What is made of it.
    model : ModelSettings
        The model's size.
    train : TrainSettings
        How to fit it.
    tune : TuneSettings
        How to look for better settings; training itself does not use it.
    """

    data: DataConfig
    schema: SchemaConfig
    split: SplitConfig
    task: TaskConfig
    bundle: BundleConfig
    model: ModelSettings = ModelSettings()
    train: TrainSettings = TrainSettings()
    tune: TuneSettings = TuneSettings()

    def __post_init__(self) -> None:
        for key in self.tune.space:
            check_key(key, type(self))
        if self.schema.time is not None and self.data.time is None:
            raise InputError(
                "bad_config",
                "time features of events that have no time",
                field="schema.time",
                hint="give data.time, or leave [schema.time] out",
            )
        varied = [*self.train.augment.of_numbers, *["warp"] * (self.train.augment.warp > 0)]
        if self.data.memory == "map" and self.split.by == "cut":
            raise InputError(
                "bad_config",
                "series that are cut in time are not split piece by piece",
                field="data.memory",
                hint='load the table: data.memory = "load"',
            )
        if self.data.memory == "map" and varied:
            raise InputError(
                "bad_config",
                "it makes a copy of all rows for each epoch, and they are not in memory",
                field=f"train.augment.{varied[0]}",
                hint='leave it out, or load the table: data.memory = "load"',
            )
        if self.train.mode == "lanes" and self.model.bidirectional:
            raise InputError(
                "bad_config",
                "lanes carry a state forward, and a backward direction needs whole sessions",
                field="model.bidirectional",
                hint='leave it out, or train with mode = "sessions"',
            )
        for key in ("session", "time"):
            if self.data.label is not None and self.data.label == getattr(self.data, key):
                raise InputError(
                    "bad_config",
                    f"{self.data.label!r} is the column of data.{key}",
                    field="data.label",
                    hint="name the column that holds what is to be learned",
                )
        if self.data.label is None and self.task.name in LABELLED:
            raise InputError(
                "missing_key",
                "missing",
                field="data.label",
                hint=f"{self.task.name} learns from a label column: name it",
            )
        if self.task.name in _FORETOLD and self.model.bidirectional:
            raise InputError(
                "bad_config",
                f"a backward direction would read the {_FORETOLD[self.task.name]} that are to be "
                "foretold",
                field="model.bidirectional",
                hint="leave it out",
            )
        if self.split.by == "cut" and (self.task.name != "forecast" or self.data.time is None):
            raise InputError(
                "bad_config",
                "only the series of a forecast are cut in time, and only if they have times",
                field="split.by",
                hint='use by = "time" or "session", or give data.time',
            )
        cut = self.train.max_length is not None and self.train.truncate != "tail"
        if cut and self.task.per == "session":
            raise InputError(
                "bad_config",
                "a session's label stands at its last event, outside of such a window",
                field="train.truncate",
                hint='use truncate = "tail", or leave max_length out',
            )


def load_config(path: str | Path) -> TrainConfig:
    """Read a configuration.

    Parameters
    ----------
    path : str or Path
        A .toml file.

    Returns
    -------
    TrainConfig
        Its relative paths are relative to the file's folder.

    Raises
    ------
    InputError
        ``missing_file``, ``not_toml``, ``unknown_key``, ``missing_key``, ``wrong_type`` or
        ``out_of_range``, naming the key as ``section.key``.
    """
    return _config(toml.read(path), Path(path).parent)


def parse_config(text: str, folder: str | Path = ".") -> TrainConfig:
    r"""Read a configuration from TOML text; see `load_config`.

    Examples
    --------
    >>> parse_config("[train]\nlearning_rat = 0.01")
    Traceback (most recent call last):
        ...
    tidegate.errors.InputError: train.learning_rat: unknown key (unknown_key); did you mean
    learning_rate?
    """
    return _config(toml.parse(text), Path(folder))


def _config(document: dict[str, Any], folder: Path) -> TrainConfig:
    config: TrainConfig = toml.convert(document, TrainConfig)
    return msgspec.structs.replace(
        config,
        data=msgspec.structs.replace(config.data, events=str(Path(folder, config.data.events))),
        bundle=msgspec.structs.replace(config.bundle, out=str(Path(folder, config.bundle.out))),
    )
