"""The parts of a configuration as files, for tables that do not fit into memory.

Schema, task and what a bundle tells of its training data are fitted on a sample of the training
part: whole sessions, drawn at random. A part that is no larger than that is the sample itself, and
all that comes of it is equal, to the bit, to what comes of `train.parts.prepare`.

The files are made once: a run of the same events and the same configuration of data, schema, split
and task finds them, also where the model or the settings of training changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate import __version__, answers, files, tasks
from tidegate.answers.ahead import placed_behind
from tidegate.data import splits
from tidegate.data.mapped import Growing, open_array
from tidegate.schema import Schema
from tidegate.spec import TaskSpec
from tidegate.tables import EventTable, naming_rows
from tidegate.tables.pieces import Pieces
from tidegate.tables.regrouping import Regrouped, changed, regroup
from tidegate.tables.sources import parquet_files
from tidegate.train import parts
from tidegate.train.config import TaskConfig, TrainConfig
from tidegate.train.kept import joined, load_table, save_table
from tidegate.train.sequences import Sequences

__all__ = ["Mapped", "prepare", "sha256_of"]

PARTS = ("train", "valid", "test")
"""The files of a part begin with its name."""

_LAYOUT = 2
"""Of the files. Another number when a file of the same version would hold something else."""


@dataclass(frozen=True, eq=False)
class Mapped:
    """What a configuration trains on, in files.

    Parameters
    ----------
    train, valid : Sequences
        What is learned from, and what decides.
    test : Sequences, optional
        What is measured once, at the end.
    sample : EventTable
        Sessions of the training part.
    schema : Schema
        Fitted on them.
    task : TaskSpec
        Fitted on them, too, but for its classes: those of the whole training part.
    notes : tuple of str
        What the reader of the table has to say.
    key : str
        Differs when the events or what is made of them differ.
    sha256 : str
        Of the events.
    """

    train: Sequences
    valid: Sequences
    test: Sequences | None
    sample: EventTable
    schema: Schema
    task: TaskSpec
    notes: tuple[str, ...]
    key: str
    sha256: str


class _About(msgspec.Struct, frozen=True):
    """What the folder holds beside arrays."""

    key: str
    schema: dict[str, Any]
    task: TaskSpec
    notes: tuple[str, ...]
    sessions: dict[str, list[str]]
    """Session ids of each part."""


def prepare(config: TrainConfig, folder: Path, *, fresh: bool = False) -> Mapped:
    """Read, split and encode the events of a configuration, with little of them in memory.

    Parameters
    ----------
    config : TrainConfig
        Its events are a .parquet file or a folder of them.
    folder : Path
        Where the files are, or are made. One that holds those of other events, or of another
        configuration, is made anew.
    fresh : bool
        Whether to make them anew in any case.

    Raises
    ------
    InputError
        From the table, the split, the schema or the task; ``cannot_write``; ``data_changed``: the
        events did, while they were read.
    """
    events = Path(config.data.events)
    pieces = Pieces(events, **parts.named(config))
    pieces.check()
    stamps, sha256 = _stamps(events), sha256_of(events)
    made_of = config.data.sample, parts.named(config), config.schema, config.split, config.task
    key = hashlib.sha256(msgspec.json.encode([__version__, _LAYOUT, sha256, *made_of])).hexdigest()
    about = None if fresh else _about(folder, key)
    if about is None:
        with files.new_folder(folder) as staged:
            about = _make(config, pieces, staged, key)
            if _stamps(events) != stamps:
                raise changed(events)
    schema = Schema.from_dict(about.schema)
    train, valid, *test = (
        _open(folder, name, about.sessions[name], schema, about.task)
        for name in PARTS
        if name in about.sessions
    )
    return Mapped(
        train,
        valid,
        test[0] if test else None,
        load_table(folder / "sample.msgpack"),
        schema,
        about.task,
        about.notes,
        key,
        sha256,
    )


def sha256_of(events: Path) -> str:
    """Return the hash of a file, or of the hashes and names of a folder's Parquet files."""
    if events.is_dir():
        listed = [f"{sha256_of(file)}  {file.name}\n" for file in parquet_files(events)]
        return hashlib.sha256("".join(listed).encode()).hexdigest()
    with events.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stamps(events: Path) -> list[tuple[str, int, int]]:
    """Return what tells that a file changed, of each file."""
    found = [(file.name, file.stat()) for file in parquet_files(events)]
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in found]


def _about(folder: Path, key: str) -> _About | None:
    try:
        about = msgspec.json.decode((folder / "about.json").read_bytes(), type=_About)
    except (OSError, msgspec.DecodeError):
        return None
    return about if about.key == key else None


def _make(config: TrainConfig, pieces: Pieces, folder: Path, key: str) -> _About:
    with closing(regroup(pieces, folder)) as found:
        if config.split.by == "session":
            of = splits.parts_by_session(
                len(found.sessions), config.split.fractions, config.split.seed
            )
        else:
            of = splits.parts_by_time(found.first_times, until=config.split.starts)
        sample, classes = _sample(config, found, of)
        with naming_rows(sample.source_rows):
            schema = Schema.fit(config.schema, sample.columns, sample.times, sample.offsets)
        task_config = msgspec.structs.replace(config.task, classes=classes)
        task = tasks.fit(task_config, config.data.label, sample, schema)
        names, lengths = PARTS[: of.max() + 1], np.diff(found.offsets)
        with ExitStack() as stack:
            makers = [
                stack.enter_context(
                    closing(_Maker(folder, name, lengths[of == part], schema, task))
                )
                for part, name in enumerate(names)
            ]
            for first, table in found.blocks():
                for part, maker in enumerate(makers):
                    chosen = np.flatnonzero(of[first : first + len(table.sessions)] == part)
                    if len(chosen):
                        maker.append(table.take(chosen))
        ids = np.array(found.sessions, dtype=object)
        sessions = {name: ids[of == part].tolist() for part, name in enumerate(names)}
        about = _About(key, schema.to_dict(), task, tuple(found.notes), sessions)
    save_table(sample, folder / "sample.msgpack")
    files.write_file(folder / "about.json", msgspec.json.encode(about))
    return about


def _sample(
    config: TrainConfig, found: Regrouped, of: NDArray[np.int64]
) -> tuple[EventTable, tuple[str, ...]]:
    """Return sessions of the training part, and all of its classes in the order of the task's."""
    lengths, train = np.diff(found.offsets), np.flatnonzero(of == 0)
    drawn = np.random.default_rng([config.split.seed, 0]).permutation(train)
    count = int(np.searchsorted(np.cumsum(lengths[drawn]), config.data.sample, side="right"))
    wanted = np.zeros(len(of), dtype=bool)
    wanted[drawn[: max(count, 1)]] = True
    taken, known = [], _Classes(config.task)
    for first, table in found.blocks():
        here = slice(first, first + len(table.sessions))
        if wanted[here].any():
            taken.append(table.take(np.flatnonzero(wanted[here])))
        known.see(table, of[here] == 0)
    return joined(taken), known.classes()


class _Classes:
    """The classes of the training part, which a sample might lack."""

    def __init__(self, config: TaskConfig) -> None:
        self._config = config
        self._asked = config.name in ("classify", "tag") and not config.classes
        self._seen: set[Any] = set()

    def see(self, table: EventTable, chosen: NDArray[np.bool_]) -> None:
        """Take note of the labels of some sessions."""
        labels = table.labels
        if not self._asked or labels is None:
            return
        if self._config.per == "session":
            labels = answers.session_labels(labels, table.offsets)
        labels = labels[np.repeat(chosen, table.lengths)]
        known = labels[~np.isnan(labels)] if labels.dtype == np.float64 else labels
        self._seen.update(known.tolist())

    def classes(self) -> tuple[str, ...]:
        """Return them in the order of the task's; those of the configuration, if it has some."""
        seen = self._seen - {None}
        # What is no class's name is refused where the row is known.
        if not seen or any(isinstance(value, float) and value % 1 for value in seen):
            return self._config.classes
        kind = object if isinstance(next(iter(seen)), str) else np.float64
        labels = np.array(list(seen), dtype=kind)
        return answers.fit_task("classify", "", "event", labels).classes


class _Maker:
    """Writes the arrays of a part."""

    def __init__(
        self, folder: Path, name: str, lengths: NDArray[np.int64], schema: Schema, task: TaskSpec
    ) -> None:
        self._path = partial(_path, folder, name)
        self._schema, self._answers, self._task = schema, answers.open(task), tasks.open(task)
        self._events = int(lengths.sum())
        self._done = (0, 0)
        self._arrays: dict[str, Growing] = {}
        np.save(self._path("offsets"), np.concatenate([[0], np.cumsum(lengths)]))

    def append(self, table: EventTable) -> None:
        """Encode some sessions."""
        with naming_rows(table.source_rows):
            rows = self._schema.encode(table.columns, table.times, table.offsets).rows
            labels = placed_behind(self._answers.truth(table, self._schema), *self._done)
        self._done = self._done[0] + table.n_events, self._done[1] + len(table.sessions)
        self._write("rows", rows)
        self._write("labels", labels)
        targets = self._task.targets(labels, rows)
        if isinstance(targets, np.ndarray):  # the others are made when they are asked for
            self._write("targets", targets)

    def close(self) -> None:
        """Sync and close the files."""
        for array in self._arrays.values():
            array.close()

    def _write(self, name: str, block: NDArray[Any]) -> None:
        if name not in self._arrays:
            shape = (self._events, *block.shape[1:])
            self._arrays[name] = Growing(self._path(name), shape, block.dtype)
        self._arrays[name].append(block)


def _open(
    folder: Path, name: str, sessions: Sequence[str], schema: Schema, task: TaskSpec
) -> Sequences:
    rows, labels = (open_array(_path(folder, name, array)) for array in ("rows", "labels"))
    offsets, kept = np.load(_path(folder, name, "offsets")), _path(folder, name, "targets")
    targets = open_array(kept) if kept.exists() else tasks.open(task).targets(labels, rows)
    return Sequences(rows, offsets, labels, targets, sessions, schema.columns, schema.measured)


def _path(folder: Path, part: str, array: str) -> Path:
    return folder / f"{part}.{array}.npy"
