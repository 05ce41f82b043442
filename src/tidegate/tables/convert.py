"""From a column's cells to what a session id, a number, a time, a label or a field has to be."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.errors import shown
from tidegate.instants import EARLIEST, LATEST, MICROSECONDS, TIME_HINT, microseconds, parse
from tidegate.spec import MAX_SESSION_BYTES
from tidegate.tables.cells import Cells

__all__ = ["booleans", "categories", "labels", "numbers", "seqs", "sessions", "times"]

_TRUTHS = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0}
_NUMERIC = ("integer", "number")


def numbers(cells: Cells) -> NDArray[np.float64]:
    """Return float64, NaN where missing."""
    if len(cells.values) and cells.family not in _NUMERIC:
        raise cells.refused(
            "wrong_type",
            _first_not(cells, int | float),
            "is not a number",
            "make the column numeric, and leave a cell empty (null) where the value is missing",
        )
    return cells.spread(_finite(cells), np.nan)


def booleans(cells: Cells) -> NDArray[np.float64]:
    """Return float64 of 0 and 1, NaN where missing."""
    values = np.full(len(cells.values), np.nan)
    if cells.family == "text":
        values = np.array([_TRUTHS.get(text.lower(), np.nan) for text in cells.values], dtype=float)
    elif cells.family == "boolean" or cells.family in _NUMERIC:
        found = cells.values.astype(np.float64)
        values = np.where((found == 0) | (found == 1), found, np.nan)
    broken = np.isnan(values)
    if broken.any():
        raise cells.refused(
            "wrong_type", int(broken.argmax()), "is not true or false", "use true and false"
        )
    return cells.spread(values, np.nan)


def categories(cells: Cells) -> NDArray[Any]:
    """Return objects of str, None where missing; integers become their decimal text."""
    return cells.spread(
        _names(cells, "is not text or an integer", "make the column text"), absent=None
    )


def labels(cells: Cells) -> NDArray[Any]:
    """Return float64 (NaN: none) of a column of numbers, else objects of str (None: none).

    True and false become text. A column without any label is float64.
    """
    if cells.family in _NUMERIC or len(cells.values) == 0:
        return cells.spread(_finite(cells), np.nan)
    if cells.family == "boolean":
        truths = np.where(cells.values, "true", "false").astype(object)
        return cells.spread(truths, absent=None)
    names = _names(cells, "is not a label", "make the column numeric or text")
    return cells.spread(names, absent=None)


def sessions(cells: Cells) -> list[str]:
    """Return one id a row, 1 to 512 bytes of UTF-8."""
    hint = f"an id is text of 1 to {MAX_SESSION_BYTES} bytes of UTF-8, or an integer"
    if cells.missing.any():
        raise cells.refused_missing("bad_session_id", hint)
    ids: list[str] = _names(cells, "is not a session id", hint, code="bad_session_id").tolist()
    sizes = {name: _utf8_size(name) for name in set(ids)}
    if broken := {name for name, size in sizes.items() if not 1 <= size <= MAX_SESSION_BYTES}:
        row = next(row for row, name in enumerate(ids) if name in broken)
        size = sizes[ids[row]]
        rule = f"has {size:,} bytes" if size >= 0 else "is not valid Unicode"
        raise cells.refused("bad_session_id", row, rule, hint)
    return ids


def seqs(cells: Cells, ids: list[str]) -> NDArray[np.float64]:
    """Return the place of each event in its session; the sessions are one id a row."""
    hint = "number the events of each session from 1, one more with each event"
    if cells.missing.any():
        raise cells.refused_missing("bad_seq", hint)
    if cells.family not in _NUMERIC:
        raise cells.refused("bad_seq", _first_not(cells, int | float), "is not a number", hint)
    index: dict[str, int] = {}
    codes = np.array([index.setdefault(name, len(index)) for name in ids])
    values = _finite(cells)
    order = np.lexsort((values, codes))
    starts = np.searchsorted(codes[order], np.arange(len(index)))
    due = np.arange(1, len(order) + 1) - starts[codes[order]]
    broken = values[order] != due
    if broken.any():
        place = int(broken.argmax())
        row = int(order[place])
        rule = f"is not the next number of session {shown(ids[row])}, {due[place]}"
        raise cells.refused("bad_seq", row, rule, hint)
    return values


def times(cells: Cells) -> tuple[NDArray[np.float64], int]:
    """Return unix seconds, and how many of them named no zone."""
    if cells.missing.any():
        raise cells.refused_missing("bad_time", "every event needs its time")
    unzoned = cells.unzoned
    if cells.family == "text":
        parsed = {text: parse(text) for text in set(cells.values.tolist())}
        unreadable = [parsed[text] is None for text in cells.values]
        if any(unreadable):
            raise cells.refused("bad_time", unreadable.index(True), "is no time", TIME_HINT)
        found = {text: microseconds(time) for text, time in parsed.items() if time is not None}
        whole = np.array([found[text] for text in cells.values], dtype=np.int64)
        values = whole / MICROSECONDS
        naive = {text for text, time in parsed.items() if time is not None and time.tzinfo is None}
        unzoned = sum(text in naive for text in cells.values) if naive else 0
    elif cells.family == "instant":
        values = cells.values / MICROSECONDS
    elif cells.family in _NUMERIC:
        values = cells.values.astype(np.float64)
    else:
        raise cells.refused("bad_time", 0, "is no time", TIME_HINT)
    broken = ~((values >= EARLIEST) & (values <= LATEST))  # NaN too
    if broken.any():
        index = int(broken.argmax())
        raise cells.refused("bad_time", index, "is outside the years 1 to 9999", TIME_HINT)
    return values, unzoned


def _finite(cells: Cells) -> NDArray[np.float64]:
    try:
        values = cells.values.astype(np.float64)
    except OverflowError:  # an integer beyond 1.8e308
        values = np.array([float(v) if abs(v) < 1 << 1023 else np.inf for v in cells.values])
    broken = ~np.isfinite(values)
    if broken.any():
        raise cells.refused(
            "not_finite",
            int(broken.argmax()),
            "is not a finite number",
            "leave the cell empty (null) where the value is missing",
        )
    return values


def _names(cells: Cells, rule: str, hint: str, *, code: str = "wrong_type") -> NDArray[Any]:
    if cells.family == "integer":
        return np.array([str(value) for value in cells.values.tolist()], dtype=object)
    if len(cells.values) and cells.family != "text":
        if cells.family == "number":
            hint += "; pandas turns integers with missing values into floats: use its Int64"
        raise cells.refused(code, _first_not(cells, str | int), rule, hint)
    return cells.values.astype(object)


def _first_not(cells: Cells, wanted: Any) -> int:
    """Return the place of the first value of another type: in a mixed column, not always 0."""
    if cells.family != "mixed":
        return 0
    fits = [isinstance(value, wanted) and not isinstance(value, bool) for value in cells.values]
    return fits.index(False) if False in fits else 0


def _utf8_size(text: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError:  # half of a surrogate pair
        return -1
