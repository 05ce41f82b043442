"""The structure of a CSV file (RFC 4180): records, cells and quotes, checked before it is parsed.

Parsers are lenient: polars fills a row that is too short with nulls, and does not look beyond the
last column that was asked for. A row of the wrong length is damage, and this finds it.
Vectorised over blocks, so that it costs a fraction of the parsing.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tidegate.errors import InputError

__all__ = ["check_layout", "check_utf8", "header_end", "line_of"]

COMMA, LINE_FEED, RETURN, QUOTE = b',\n\r"'
BLOCK = 1 << 22


def check_utf8(data: bytes, name: str) -> None:
    """Raise ``bad_csv`` for bytes that are not UTF-8, naming the line."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(data), BLOCK):
        pending = len(decoder.getstate()[0])
        block = data[start : start + BLOCK]
        try:
            decoder.decode(block, final=start + BLOCK >= len(data))
        except UnicodeDecodeError as error:
            line = _line_at(data, start - pending + error.start)
            raise InputError(
                "bad_csv", f"line {line} is not UTF-8", field=name, hint="write it again in UTF-8"
            ) from None


def check_layout(data: bytes, name: str) -> int:
    r"""Check that every record has as many cells as the first, and that quotes are paired.

    Parameters
    ----------
    data : bytes
        The file, without empty lines at its end.
    name : str
        Of the file, for errors.

    Returns
    -------
    int
        Records, the header included.

    Raises
    ------
    InputError
        ``ragged_row`` or ``bad_quotes``, naming the first broken line.

    Examples
    --------
    >>> check_layout(b'a,b\n1,"2,\n"\n3,4', "x.csv")
    3
    """
    width = -1
    records = 0
    for ends, commas in _records(data, name):
        if width < 0 and len(commas):
            width = int(commas[0])
        broken = np.flatnonzero(commas != width)
        if len(broken):
            start = _record_start(data, name, records + int(broken[0]))
            empty = data[start : ends[broken[0]]] in (b"", b"\r")
            found = 0 if empty else int(commas[broken[0]]) + 1
            raise InputError(
                "ragged_row",
                f"line {_line_at(data, start)} has {found} cells, the header has {width + 1}",
                field=name,
                hint="repair the line; a cell that holds a comma or a line break needs quotes",
            )
        records += len(ends)
    return records


def header_end(data: bytes, name: str) -> int:
    """Return where the first record ends."""
    return _record_start(data, name, 1) - 1


def line_of(data: bytes, name: str, record: int) -> int:
    """Return the line of the file, from 1, that a record begins in; record 0 is the header."""
    return _line_at(data, _record_start(data, name, record))


def _records(data: bytes, name: str) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield, block by block, where records end and how many separators each has."""
    all_bytes = np.frombuffer(data, dtype=np.uint8)
    quotes = commas = 0  # so far; commas of the record that is open
    for start in range(0, len(data), BLOCK):
        block = all_bytes[start : start + BLOCK]
        at = np.flatnonzero((block == COMMA) | (block == LINE_FEED) | (block == QUOTE))
        kinds = block[at]
        is_quote = kinds == QUOTE
        if quotes or is_quote.any():
            count = quotes + np.cumsum(is_quote)
            _check_quotes(all_bytes, start + at[is_quote], count[is_quote] % 2 == 1, name)
            kinds = np.where(count % 2 == 1, 0, kinds)  # inside quotes, nothing separates
            quotes = int(count[-1]) if len(count) else quotes
        ends = kinds == LINE_FEED
        seen = commas + np.cumsum(kinds == COMMA)
        upto = seen[ends]
        commas = int((seen[-1] if len(seen) else commas) - (upto[-1] if len(upto) else 0))
        yield start + at[ends], np.diff(upto, prepend=0)
    if quotes % 2 == 1:
        raise _bad_quotes(data, data.rindex(b'"'), name)
    yield np.array([len(data)]), np.array([commas])


def _check_quotes(
    data: NDArray[np.uint8], at: NDArray[np.int64], opens: NDArray[np.bool_], name: str
) -> None:
    """Raise unless quotes open where a cell begins and close where it ends (or are doubled)."""
    before = np.where(at > 0, data[at - 1], LINE_FEED)
    after = data[np.minimum(at + 1, len(data) - 1)]
    after = np.where(at + 1 < len(data), after, LINE_FEED)
    good = np.where(
        opens,
        np.isin(before, [COMMA, LINE_FEED, QUOTE]),
        np.isin(after, [COMMA, LINE_FEED, RETURN, QUOTE]),
    )
    if not good.all():
        broken = int(np.flatnonzero(~good)[0])
        position = int(at[broken])
        if not opens[broken]:  # what is wrong began with the quote that this one closes
            position = data[:position].tobytes().rindex(b'"')
        raise _bad_quotes(data.tobytes(), position, name)


def _bad_quotes(data: bytes, position: int, name: str) -> InputError:
    return InputError(
        "bad_quotes",
        f"line {_line_at(data, position)} has a quote that does not enclose a whole cell",
        field=name,
        hint='quote whole cells, and write a quote inside one as ""',
    )


def _record_start(data: bytes, name: str, record: int) -> int:
    """Return the position of a record's first byte; the length of the data behind the last."""
    before = record
    for ends, _ in _records(data, name):
        if before <= len(ends):
            return int(ends[before - 1]) + 1 if before else 0
        before -= len(ends)
    return len(data)


def _line_at(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1
