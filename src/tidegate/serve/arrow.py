"""Arrow IPC in and out: a table of events, as columns from the wire to the kernels and back."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tidegate import answers, instants
from tidegate.errors import InputError, TidegateError
from tidegate.schema import faults
from tidegate.serve import arrow_bounds, bits
from tidegate.serve.arrow_bounds import pa, pc
from tidegate.serve.block import Block
from tidegate.serve.operations import MOST_SEQ
from tidegate.serve.work import Work
from tidegate.spec import MAX_SESSION_BYTES

if TYPE_CHECKING:
    import asyncio

    from tidegate.core import Processed
    from tidegate.schema import Schema
    from tidegate.serve.model import Model

__all__ = ["MOST_ROWS", "answer", "read"]

MOST_ROWS = 1_000_000
"""Events that one table may hold."""

_SESSION_BYTES = 2**26
"""Of the ids of all rows: a dictionary lets a small table name long ones again and again."""

_AHEAD = 2
_ROWS = 8192
"""Events a block: some milliseconds, for which others have to wait."""


_MEMBERS = ("session", "seq", "time", "start", "end")


async def answer(body: bytes, model: Model) -> bytes:
    """Step a table of events and return the table that answers it, a row each, in order.

    Parameters
    ----------
    body : bytes
        An Arrow IPC stream.
    model : Model
        Whose sessions.

    Raises
    ------
    InputError
        The body is no such stream, or a column is not what it should be: nothing was applied.
    OverloadError
        Nothing was applied.
    """
    blocks = read(body, model.bundle.schema)
    writer = _Writer(model)
    running: deque[asyncio.Future[Any]] = deque()
    failed: set[str] = set()
    for number, block in enumerate(blocks):
        work = Work(model.processor, block, failed, lambda *done: done)
        running.append(model.submit_block(work, admitted=number > 0))
        if len(running) > _AHEAD:
            writer.write(await running.popleft())
    while running:
        writer.write(await running.popleft())
    return writer.end()


def read(body: bytes, schema: Schema) -> Iterator[Block]:
    """Read an IPC stream into blocks of events; they are made one by one, as they are asked for.

    Raises
    ------
    InputError
        At once: ``bad_arrow``, ``too_many_events``, ``missing_column``, ``unknown_column``,
        ``wrong_type``, ``not_finite`` or ``bad_session_id``, naming the column.
    """
    try:
        arrow_bounds.check(body, MOST_ROWS)
        with pa.ipc.open_stream(body) as stream:
            columns = _check_names(stream.schema, schema)
            batches = [batch for batch in stream if batch.num_rows]
        for batch in batches:
            batch.validate(full=True)
    except (pa.ArrowException, OSError, struct.error) as error:
        raise InputError(
            "bad_arrow",
            str(error).splitlines()[0][:200],
            field="body",
            hint="send an Arrow IPC stream, as pyarrow.ipc.new_stream writes it",
        ) from error
    _check_sessions([batch.column("session") for batch in batches])
    for batch in batches:
        _check_columns(batch, columns, schema)
    return (
        _block(batch.slice(first, _ROWS), columns, schema)
        for batch in batches
        for first in range(0, batch.num_rows, _ROWS)
    )


def _check_names(found: Any, schema: Schema) -> tuple[str, ...]:
    names = found.names
    if len(set(names)) != len(names):
        raise _bad_column("unknown_column", "body", "two columns have the same name")
    if "session" not in names:
        raise _bad_column("missing_column", "session", "there is no such column")
    for name in names:
        if name not in _MEMBERS and name not in schema.names:
            raise _bad_column("unknown_column", name, "is no field of the model")
    for name in schema.names:
        field = schema.config.fields[name]
        if name not in names and field.missing == "refuse" and not field.constant:
            raise _bad_column("missing_column", name, "there is no such column")
    return tuple(name for name in schema.names if name in names)


def _block(batch: Any, columns: tuple[str, ...], schema: Schema) -> Block:
    size = batch.num_rows
    errors: dict[int, TidegateError] = {}
    typed: dict[str, Any] = {}
    for name in schema.names:
        field = schema.config.fields[name]
        column = batch.column(name) if name in columns else None
        required = field.missing == "refuse" and not field.constant
        if column is not None and required and column.null_count:
            for row in np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False)).tolist():
                errors.setdefault(row, faults.missing_field(name))
        if field.kind == "category":
            typed[name] = _texts(column, size)
        else:
            typed[name] = _numbers(name, column, size, errors)
    flags = _flags(batch, size)
    for row in errors:
        flags[row] |= bits.REFUSED
    return Block(
        sessions=_sessions(batch.column("session")),
        size=size,
        columns=typed,
        seqs=_seqs(batch),
        times=_times(batch),
        flags=flags if flags.any() else None,
        errors=errors,
    )


def _check_sessions(columns: list[Any]) -> None:
    """Refuse ids before they are decoded: of a dictionary, as often as its rows name them."""
    total = 0
    for column in columns:
        kind = column.type
        is_coded = pa.types.is_dictionary(kind)
        if not _is_text(kind.value_type if is_coded else kind):
            raise _bad_column("wrong_type", "session", f"is {kind}, not text")
        sizes = pc.binary_length(column.dictionary if is_coded else column)
        if is_coded:
            sizes = sizes.take(column.indices)
        if sizes.null_count:
            raise _bad_column("missing_column", "session", "has nulls: each names its session")
        found = sizes.to_numpy()
        wrong = np.flatnonzero((found < 1) | (found > MAX_SESSION_BYTES))
        if len(wrong):
            raise InputError(
                "bad_session_id",
                f"row {wrong[0] + 1} of a batch has an id of {found[wrong[0]]} bytes",
                field="session",
                hint=f"nothing was applied; an id has 1 to {MAX_SESSION_BYTES} bytes of UTF-8",
            )
        total += int(found.sum())
    if total > _SESSION_BYTES:
        raise InputError(
            "too_many_events",
            f"the ids of the events have {total:,} bytes together, {_SESSION_BYTES:,} may",
            field="session",
            hint="nothing was applied; send fewer rows a table",
        )


def _check_columns(batch: Any, columns: tuple[str, ...], schema: Schema) -> None:
    """Refuse what would not be events, before a block of them is applied."""
    for name in columns:
        _check_field(name, schema.config.fields[name].kind, batch.column(name))
    for name in ("start", "end"):
        column = _member(batch, name)
        if column is not None and not pa.types.is_boolean(column.type):
            raise _bad_column("wrong_type", name, f"is {column.type}, not true or false")
    seqs = _member(batch, "seq")
    if seqs is not None:
        if not pa.types.is_integer(seqs.type):
            raise _bad_column("wrong_type", "seq", f"is {seqs.type}, not a whole number")
        least, most = pc.min_max(seqs).values()
        if least.is_valid and least.as_py() < 1:
            raise _bad_column("wrong_type", "seq", "has a number below 1")
        if most.is_valid and most.as_py() > MOST_SEQ:
            raise _bad_column("wrong_type", "seq", f"has a number above {MOST_SEQ}")
    _check_times(batch)


def _check_times(batch: Any) -> None:
    column = _member(batch, "time")
    if column is None:
        return
    if not (pa.types.is_timestamp(column.type) or _is_number(column.type)):
        raise _bad_column("wrong_type", "time", f"is {column.type}, neither seconds nor an instant")
    if pa.types.is_floating(column.type) and pc.any(pc.invert(pc.is_finite(column))).as_py():
        raise _bad_column("not_finite", "time", "has a value that is not finite")
    times = _times(batch)
    assert times is not None
    if np.any(times < instants.EARLIEST) or np.any(times > instants.LATEST):
        raise _bad_column("wrong_type", "time", "has a value outside of the years 1 to 9999")


def _check_field(name: str, kind: str, column: Any) -> None:
    found = column.type
    if pa.types.is_null(found):
        return
    if kind == "category":
        fits = pa.types.is_integer(found) or _is_text(found)
        if pa.types.is_dictionary(found):
            fits = _is_text(found.value_type)
            if fits and column.dictionary.null_count:
                raise _bad_column("wrong_type", name, "has a null in its dictionary")
        if not fits:
            raise _bad_column("wrong_type", name, f"is {found}, the field is a category")
    elif not (pa.types.is_boolean(found) if kind == "boolean" else _is_number(found)):
        raise _bad_column("wrong_type", name, f"is {found}, the field is {kind}")


def _sessions(column: Any) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    wide = pa.types.is_large_string(column.type)
    kind = np.dtype(np.int64 if wide else np.int32)
    _, offsets, data = column.buffers()
    found = np.frombuffer(offsets, kind, len(column) + 1, column.offset * kind.itemsize)
    return found, np.frombuffer(data, np.uint8)


def _numbers(
    name: str, column: Any, size: int, errors: dict[int, TidegateError]
) -> NDArray[np.float64]:
    if column is None:
        return np.full(size, np.nan)
    values = column.cast(pa.float64(), safe=False)  # a large whole number is rounded, as in JSON
    nulls = values.null_count
    found = values.fill_null(np.nan) if nulls else values
    numbers: NDArray[np.float64] = found.to_numpy(zero_copy_only=False)
    if not np.isfinite(numbers).all():
        strange = ~np.isfinite(numbers)
        if nulls:
            strange &= ~values.is_null().to_numpy(zero_copy_only=False)
        for row in np.flatnonzero(strange).tolist():
            errors.setdefault(row, faults.not_finite(name, float(numbers[row])))
    return numbers


def _texts(column: Any, size: int) -> tuple[NDArray[np.int32], list[str]]:
    if column is None or pa.types.is_null(column.type):
        return np.full(size, -1, np.int32), []
    if pa.types.is_integer(column.type):
        column = column.cast(pa.string())
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    indices = column.indices.cast(pa.int32()).fill_null(-1).to_numpy(zero_copy_only=False)
    words = column.dictionary
    if len(words) > size:  # only those that the block uses: there may be a million of them
        used, inverse = np.unique(indices, return_inverse=True)
        missing = int(len(used) > 0 and used[0] < 0)
        indices, words = (inverse - missing).astype(np.int32), words.take(pa.array(used[missing:]))
    return indices, words.to_pylist()


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _seqs(batch: Any) -> NDArray[np.int64] | None:
    column = _member(batch, "seq")
    if column is None:
        return None
    seqs: NDArray[np.int64] = column.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    return seqs


def _times(batch: Any) -> NDArray[np.float64] | None:
    column = _member(batch, "time")
    if column is None:
        return None
    if pa.types.is_timestamp(column.type):
        micros = column.cast(pa.timestamp("us", tz="UTC"), safe=False).cast(pa.int64())
        column = pc.divide(micros.cast(pa.float64(), safe=False), 1e6)
    values = column.cast(pa.float64(), safe=False).fill_null(np.nan)
    times: NDArray[np.float64] = values.to_numpy(zero_copy_only=False)
    return times


def _flags(batch: Any, size: int) -> NDArray[np.uint8]:
    flags = np.zeros(size, np.uint8)
    for name, bit in (("start", bits.START), ("end", bits.END)):
        column = _member(batch, name)
        if column is not None:
            flags |= column.fill_null(False).to_numpy(zero_copy_only=False).astype(np.uint8) * bit
    return flags


def _member(batch: Any, name: str) -> Any:
    if name not in batch.schema.names:
        return None
    column = batch.column(name)
    return None if pa.types.is_null(column.type) else column


def _bad_column(code: str, name: str, message: str) -> InputError:
    return InputError(code, message, field=name, hint="nothing was applied; correct the column")


class _Writer:
    """Writes the stream that answers."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._columns = answers.open(model.bundle.task).columns
        self._sink = pa.BufferOutputStream()
        self._stream: Any = None

    def write(self, done: tuple[Block, Processed, dict[int, TidegateError]]) -> None:
        """Write the answers of a block."""
        block, processed, errors = done
        batch = self._batch(block, processed, errors)
        if self._stream is None:
            self._stream = pa.ipc.new_stream(self._sink, batch.schema)
        self._stream.write_batch(batch)

    def end(self) -> bytes:
        """Return the whole stream."""
        if self._stream is None:
            empty = pa.schema([("session", pa.string()), ("seq", pa.int64())])
            self._stream = pa.ipc.new_stream(self._sink, empty)
        self._stream.close()
        return bytes(self._sink.getvalue().to_pybytes())

    def _batch(self, block: Block, processed: Processed, errors: dict[int, TidegateError]) -> Any:
        size = block.size
        refused = np.zeros(size, bool)
        refused[list(errors)] = True
        mask = refused if errors else None
        assert isinstance(block.sessions, tuple)
        offsets, data = block.sessions
        kind = pa.large_string() if offsets.dtype == np.int64 else pa.string()
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
        columns = {
            "session": pa.Array.from_buffers(kind, size, buffers),
            "seq": pa.array(processed.seqs, mask=mask),
            "time": pa.array(processed.times, mask=mask),
            "model_version": self._versions(processed, size, mask),
            "duplicate": pa.array((processed.marks & bits.DUPLICATE) != 0),
            "session_reset": pa.array((processed.marks & bits.RESET) != 0),
        }
        for name, values in self._columns(processed.outputs).items():
            if isinstance(values, tuple):
                indices = pa.array(values[0], mask=mask)
                columns[name] = pa.DictionaryArray.from_arrays(indices, [*values[1]])
            else:
                columns[name] = pa.array(values, mask=mask)
        columns |= _error_columns(errors, size)
        return pa.RecordBatch.from_pydict(columns)

    def _versions(self, processed: Processed, size: int, mask: NDArray[np.bool_] | None) -> Any:
        names = [self._model.bundle.version, *sorted({*processed.versions.values()})]
        indices = np.zeros(size, np.int32)
        for row, version in processed.versions.items():
            indices[row] = names.index(version, 1)
        return pa.DictionaryArray.from_arrays(pa.array(indices, mask=mask), names)


def _error_columns(errors: dict[int, TidegateError], size: int) -> dict[str, Any]:
    if not errors:
        none = pa.nulls(size, pa.string())
        texts = dict.fromkeys(("error_code", "error_message", "error_field"), none)
        return {**texts, "expected": pa.nulls(size, pa.int64())}
    rows = [errors.get(row) for row in range(size)]
    return {
        "error_code": pa.array([e and e.code for e in rows], pa.string()),
        "error_message": pa.array([e and e.message for e in rows], pa.string()),
        "error_field": pa.array([e and e.field for e in rows], pa.string()),
        "expected": pa.array([e and e.expected for e in rows], pa.int64()),
    }
