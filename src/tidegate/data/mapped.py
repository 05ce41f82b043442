"""Arrays in files: read where they are needed, written a block at a time.

What is read of a mapped file counts as memory of the process until it is let go of, however much of
it the system would take back under pressure. So whoever goes through such an array lets go as he
goes; what is read again soon comes from the system's cache of files.
"""

from __future__ import annotations

import mmap
import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import DTypeLike, NDArray

from tidegate.errors import InputError

__all__ = ["Growing", "blocks", "fitting", "let_go", "open_array", "session_blocks", "taken"]

BYTES = 4 << 20
"""Of an array's rows that are looked at together."""


class Growing:
    """Writes a .npy file, a block behind the other.

    Parameters
    ----------
    path : Path
        The file.
    shape : tuple of int
        Of all blocks together.
    dtype : dtype
        Of the numbers.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     array = Growing(Path(folder, "a.npy"), (3, 2), np.float32)
    ...     array.append(np.ones((1, 2)))
    ...     array.append(np.zeros((2, 2)))
    ...     array.close()
    ...     open_array(Path(folder, "a.npy")).tolist()
    [[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]]
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self._dtype = np.dtype(dtype)
        self._file = path.open("wb")
        described = {
            "descr": npy.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": shape,
        }
        npy.write_array_header_1_0(self._file, described)

    def append(self, block: NDArray[Any]) -> None:
        """Write a block behind those that are there."""
        self._file.write(np.ascontiguousarray(block, self._dtype).data)

    def close(self) -> None:
        """Sync and close the file."""
        with self._file:
            self._file.flush()
            os.fsync(self._file.fileno())


class _Map(mmap.mmap):
    """A mapped file, and its descriptor to read from."""

    path: Path
    descriptor: int


def open_array(path: Path) -> NDArray[Any]:
    """Map a .npy file; the array cannot be written to."""
    with path.open("rb") as file:
        npy.read_magic(file)
        shape, _, dtype = npy.read_array_header_1_0(file)
        mapping = _Map(file.fileno(), 0, access=mmap.ACCESS_READ)
        mapping.path, mapping.descriptor = path, os.dup(file.fileno())
        weakref.finalize(mapping, os.close, mapping.descriptor)
        return np.ndarray(shape, dtype, buffer=mapping, offset=file.tell())


def taken(array: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
    """Return ``array[rows]``; of an array from `open_array`, read from its file.

    Reading costs less than mapping, and leaves nothing behind: of each place that is touched, the
    system maps up to some megabytes. Rows that follow one another are read together.
    """
    mapping = _mapping(array)
    if mapping is None or len(rows) == 0 or len(array) == 0:
        return array[rows]
    made = np.empty((len(rows), *array.shape[1:]), array.dtype)
    size, begin = made.nbytes // len(rows), array.ctypes.data - _address(mapping)
    cuts = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
    content = made.data.cast("B")
    for row, start, end in zip(rows[cuts[:-1]].tolist(), cuts, cuts[1:], strict=False):
        place = content[start * size : end * size]
        if os.preadv(mapping.descriptor, [place], begin + row * size) != len(place):
            raise InputError(
                "cannot_read",
                "the file ends too early",
                field=str(mapping.path),
                hint="begin again with --fresh",
            )
    return made


def let_go(array: object) -> None:
    """Let go of what was read of an array from `open_array`; of any other, nothing happens."""
    mapping = _mapping(array)
    if mapping is not None:
        mapping.madvise(mmap.MADV_DONTNEED)


def _mapping(array: object) -> _Map | None:
    while isinstance(array, np.ndarray):
        array = array.base
    return array if isinstance(array, _Map) else None


def _address(mapping: _Map) -> int:
    return np.frombuffer(mapping, np.uint8, 1).ctypes.data


def fitting(array: NDArray[Any]) -> int:
    """Return how many of an array's rows are to be looked at together."""
    return max(1, BYTES // max(1, array[:1].nbytes))


def blocks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield an array's rows, some at a time; a mapped one's are let go of behind them.

    Examples
    --------
    >>> [block.tolist() for block in blocks(np.arange(5))]
    [[0, 1, 2, 3, 4]]
    """
    size = fitting(array)
    for begin in range(0, len(array), size):
        yield array[begin : begin + size]
        let_go(array)


def session_blocks(offsets: NDArray[np.int64], size: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of neighbouring sessions that have so many events at most, or are one.

    Examples
    --------
    >>> list(session_blocks(np.array([0, 2, 3, 9, 10]), 4))
    [(0, 2), (2, 3), (3, 4)]
    """
    first = 0
    while first < len(offsets) - 1:
        within = int(np.searchsorted(offsets, offsets[first] + size, side="right")) - 1
        last = max(within, first + 1)
        yield first, last
        first = last
