"""The sessions of a store as a table, and back."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tidegate import core, files, record
from tidegate.errors import InputError, RecordError
from tidegate.store.keys import session_key, split_session_key
from tidegate.store.log import LogStore
from tidegate.store.verify import Damage, damages_of, look_at

__all__ = ["BadRow", "Exported", "Imported", "export", "import_sessions"]

_LIVE, _TOMBSTONE = 2, 3
_GROUP = 1000
_NEEDED = ("tenant", "model", "session", "record")


class Exported(msgspec.Struct, frozen=True):
    """What an export wrote.

    Parameters
    ----------
    sessions : int
        Rows of the file.
    damaged : list of Damage
        What could not be read, or is no record, and is not in the file; only with `salvage`.
    """

    sessions: int
    damaged: list[Damage]


class BadRow(msgspec.Struct, frozen=True):
    """A row that was not imported.

    Parameters
    ----------
    row : int
        From 1.
    session : list of str
        Tenant, model and session.
    what : str
        What is wrong with its record.
    """

    row: int
    session: tuple[str, str, str]
    what: str


class Imported(msgspec.Struct, frozen=True):
    """What an import brought in.

    Parameters
    ----------
    sessions : int
        Sessions that the store has now.
    damaged : list of BadRow
        Those that it has not; only with `salvage`.
    """

    sessions: int
    damaged: list[BadRow]


class _Row(NamedTuple):
    tenant: str
    model: str
    session: str
    record: bytes


def export(path: Path, out: Path, *, salvage: bool = False) -> Exported:
    """Write a store's sessions to a Parquet file, whole or not at all.

    Parameters
    ----------
    path : Path
        The store's folder. A server may have it open.
    out : Path
        The file. Its columns: ``tenant``, ``model``, ``session``, ``status``, ``seq``, ``time``,
        ``created``, ``updated`` (unix seconds), ``model_version``, ``fingerprint`` (hexadecimal),
        ``hidden`` (list of float32), ``encoder`` (list of float64), ``answers`` (how many are
        kept), and ``record``, the bytes, from which alone the session can be brought back. A
        session whose record is damaged has only its names and its bytes.
    salvage : bool
        Take what can be read of a damaged store, and tell the rest. Sessions whose records are
        damaged are left out.

    Returns
    -------
    Exported
        How many sessions, and what is damaged.

    Raises
    ------
    InputError
        ``missing_extra``: polars is not installed. ``cannot_write``.
    StoreError
        As `LogStore`, which is opened read only; ``store_damaged`` not with `salvage`, unless
        nothing at all can be read.

    Notes
    -----
    Where the header of a frame is damaged, nobody knows whose it was. If it was the newest of a
    session, that comes out as it was before, or comes back although it was deleted.
    """
    pl = _polars()
    store = LogStore(path, read_only=True, tolerant=salvage)
    damaged: list[Damage] = []
    try:
        rows = _sound_rows(store, damaged) if salvage else _rows(store)
        frame = pl.DataFrame(list(rows), schema=_schema(pl), orient="row")
    finally:
        store.close()
    content = io.BytesIO()
    frame.write_parquet(content)
    files.write_file(out, content.getbuffer())
    return Exported(len(frame), damaged)


def import_sessions(file: Path, path: Path, *, salvage: bool = False) -> Imported:
    """Put the sessions of a file that `export` wrote into a store.

    Parameters
    ----------
    file : Path
        Columns ``tenant``, ``model``, ``session`` and ``record`` count.
    path : Path
        The store's folder, which nobody else has open. Sessions that it has are replaced.
    salvage : bool
        Leave out the rows whose records are damaged, and tell them.

    Returns
    -------
    Imported
        How many sessions, and which rows were left out.

    Raises
    ------
    InputError
        ``bad_table``: it is no such file. Nothing was changed.
    RecordError
        A record is damaged; not with `salvage`. Nothing was changed.
    """
    rows, damaged = _sorted_out(_read(file), salvage)
    store = LogStore(path)
    try:
        group = core.Group()
        for i, (tenant, model, session, data) in enumerate(rows, 1):
            known = record.decode(data)
            kind = _LIVE if known.status == "live" else _TOMBSTONE
            group.add(session_key(tenant, model, session), data, kind, known.updated)
            if i % _GROUP == 0 or i == len(rows):
                store.wait(store.append(group))
    finally:
        store.close()
    return Imported(len(rows), damaged)


def _sorted_out(rows: list[_Row], salvage: bool) -> tuple[list[_Row], list[BadRow]]:
    good, bad = [], []
    for number, row in enumerate(rows, 1):
        try:
            record.decode(row.record)
        except RecordError as error:
            if not salvage:
                raise RecordError(
                    error.code,
                    f"session {'/'.join(row[:3])}: {error.message}",
                    field="file",
                    hint="`tidegate store import --salvage` leaves out what is damaged",
                    row=number - 1,
                ) from error
            bad.append(BadRow(number, row[:3], str(error)))
        else:
            good.append(row)
    return good, bad


def _rows(store: LogStore) -> Iterator[tuple[Any, ...]]:
    for key, data in store.scan(b"s"):
        try:
            yield _row(key, data)
        except RecordError:
            yield (*split_session_key(key), *[None] * 10, data)


def _sound_rows(store: LogStore, damaged: list[Damage]) -> Iterator[tuple[Any, ...]]:
    damaged += damages_of(store)
    for key, data, _kind, segment, offset, sound in store.frames(b"s"):
        damage = look_at(key, data, segment, offset, sound)
        if damage:
            damaged.append(damage)
        else:
            yield _row(key, data)


def _row(key: bytes, data: bytes) -> tuple[Any, ...]:
    known = record.decode(data)
    times = known.time, known.created, known.updated
    states = known.hidden.tolist(), known.encoder.tolist(), len(known.answers)
    belongs = known.model_version, known.fingerprint.hex()
    return (*split_session_key(key), known.status, known.seq, *times, *belongs, *states, data)


def _schema(pl: Any) -> dict[str, Any]:
    return {
        **dict.fromkeys(("tenant", "model", "session", "status"), pl.String),
        "seq": pl.UInt64,
        **dict.fromkeys(("time", "created", "updated"), pl.Float64),
        **dict.fromkeys(("model_version", "fingerprint"), pl.String),
        "hidden": pl.List(pl.Float32),
        "encoder": pl.List(pl.Float64),
        "answers": pl.UInt32,
        "record": pl.Binary,
    }


def _read(file: Path) -> list[_Row]:
    pl = _polars()
    try:
        frame = pl.read_parquet(file, columns=list(_NEEDED))
        schema = {**dict.fromkeys(_NEEDED[:3], pl.String), "record": pl.Binary}
        if dict(frame.schema) != schema or any(frame.null_count().row(0)):
            raise ValueError("its columns are not those of an export")
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise InputError(
            "bad_table",
            f"{file}: {error}",
            field="file",
            hint="give a file that `tidegate store export` wrote",
        ) from error
    return [_Row(*row) for row in frame.iter_rows()]


def _polars() -> Any:
    try:
        import polars as pl
    except ImportError as error:
        raise InputError(
            "missing_extra", "polars is not installed", hint="pip install 'tidegate[tables]'"
        ) from error
    return pl
