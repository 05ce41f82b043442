"""How much an Arrow stream says that it holds: looked up before any of it takes memory.

A few bytes of compressed zeros, or of columns without buffers, stand for any number of rows. What
says so is in each message's flatbuffer (Arrow's Message.fbs), which pyarrow has verified, but does
not show.
"""

from __future__ import annotations

import struct

from tidegate.errors import InputError

try:
    import pyarrow as pa
    import pyarrow.compute as pc
except ImportError as error:
    raise InputError(
        "arrow_missing",
        "this server cannot read Arrow",
        field="content-type",
        hint="send lines of JSON, or install it on the server: pip install 'tidegate[arrow]'",
    ) from error

__all__ = ["check", "pa", "pc"]

_HEADER = 2  # of a Message
_DATA = 1  # of a DictionaryBatch: a RecordBatch
_LENGTH, _COMPRESSION = 0, 3  # of a RecordBatch


def check(body: bytes, most_rows: int) -> None:
    """Refuse a stream that is compressed, or has too many rows.

    Parameters
    ----------
    body : bytes
        An Arrow IPC stream.
    most_rows : int
        What it may have.

    Raises
    ------
    InputError
        ``bad_arrow``; ``too_many_events``.
    pyarrow.ArrowException, OSError, struct.error
        It is no such stream.
    """
    rows = 0
    for message in pa.ipc.MessageReader.open_stream(body):
        kind = message.type
        if kind not in ("record batch", "dictionary"):
            continue
        data = memoryview(message.metadata)
        batch = _member(data, _root(data), _HEADER)
        if kind == "dictionary" and batch:
            batch = _member(data, batch, _DATA)
        if not batch:
            continue
        if _slot(data, batch, _COMPRESSION):
            raise InputError(
                "bad_arrow",
                "the stream is compressed",
                field="body",
                hint="nothing was applied; write it without compression",
            )
        length = _slot(data, batch, _LENGTH)
        if kind == "record batch" and length:
            rows += struct.unpack_from("<q", data, length)[0]
    if rows > most_rows:
        raise InputError(
            "too_many_events",
            f"the table holds more than {most_rows:,} events",
            field="body",
            hint="nothing of it was applied; send fewer events a table",
        )


def _root(data: memoryview) -> int:
    return int(struct.unpack_from("<I", data, 0)[0])


def _slot(data: memoryview, table: int, number: int) -> int:
    """Return where a table has a field; 0: it has its default."""
    fields = table - struct.unpack_from("<i", data, table)[0]
    size: int = struct.unpack_from("<H", data, fields)[0]
    at = 4 + 2 * number
    offset: int = struct.unpack_from("<H", data, fields + at)[0] if at < size else 0
    return table + offset if offset else 0


def _member(data: memoryview, table: int, number: int) -> int:
    """Return where the table is that a field of another refers to; 0: nowhere."""
    slot = _slot(data, table, number)
    return slot + int(struct.unpack_from("<I", data, slot)[0]) if slot else 0
