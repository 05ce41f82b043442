"""The sessions of a store as a table, and back."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tidegate import core, files, record
from tidegate.errors import InputError, RecordError
from tidegate.store.keys import session_key, split_session_key
from tidegate.store.log import LogStore

__all__ = ["export", "import_sessions"]

_LIVE, _TOMBSTONE = 2, 3
_GROUP = 1000
_NEEDED = ("tenant", "model", "session", "record")


def export(path: Path, out: Path) -> int:
    """Write a store's sessions to a Parquet file, whole or not at all.

    Parameters
    ----------
    path : Path
        The store's folder. A server may have it open.
    out : Path
        The file. Its columns: ``tenant``, ``model``, ``session``, ``status``, ``seq``, ``time``,
        ``created``, ``updated`` (unix seconds), ``model_version``, ``fingerprint`` (hexadecimal),
        ``hidden`` (list of float32), ``encoder`` (list of float64), ``answers`` (how many are
        kept), and ``record``, the bytes, from which alone the session can be brought back.

    Returns
    -------
    int
        Sessions. One whose record is damaged has only its names and its bytes.

    Raises
    ------
    InputError
        ``missing_extra``: polars is not installed. ``cannot_write``.
    StoreError
        As `LogStore`, which is opened read only.
    """
    pl = _polars()
    store = LogStore(path, read_only=True)
    try:
        frame = pl.DataFrame(list(_rows(store)), schema=_schema(pl), orient="row")
    finally:
        store.close()
    content = io.BytesIO()
    frame.write_parquet(content)
    files.write_file(out, content.getbuffer())
    return len(frame)


def import_sessions(file: Path, path: Path) -> int:
    """Put the sessions of a file that `export` wrote into a store.

    Parameters
    ----------
    file : Path
        Columns ``tenant``, ``model``, ``session`` and ``record`` count.
    path : Path
        The store's folder, which nobody else has open. Sessions that it has are replaced.

    Returns
    -------
    int
        Sessions.

    Raises
    ------
    InputError
        ``bad_table``: it is no such file. Nothing was changed.
    RecordError
        A record is damaged. Nothing was changed.
    """
    rows = _read(file)
    for row in rows:
        record.decode(row[-1])
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
    return len(rows)


def _rows(store: LogStore) -> Iterator[tuple[Any, ...]]:
    for key, data in store.scan(b"s"):
        names = split_session_key(key)
        try:
            known = record.decode(data)
        except RecordError:
            yield (*names, *[None] * 10, data)
            continue
        times = known.time, known.created, known.updated
        states = known.hidden.tolist(), known.encoder.tolist(), len(known.answers)
        belongs = known.model_version, known.fingerprint.hex()
        yield (*names, known.status, known.seq, *times, *belongs, *states, data)


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


def _read(file: Path) -> list[tuple[str, str, str, bytes]]:
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
    return list(frame.iter_rows())


def _polars() -> Any:
    try:
        import polars as pl
    except ImportError as error:
        raise InputError(
            "missing_extra", "polars is not installed", hint="pip install 'tidegate[tables]'"
        ) from error
    return pl
