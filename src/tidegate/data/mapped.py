"""Arrays in files: read where they are needed, written a block at a time.

What is read of a mapped file counts as memory of the process until it is let go of, however much of
it the system would take back under pressure. So whoever goes through such an array lets go as he
goes; what is read again soon comes from the system's cache of files.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import DTypeLike, NDArray

__all__ = ["BLOCK", "Growing", "blocks", "let_go", "open_array"]

BLOCK = 65_536
"""Rows of an array that are looked at together."""


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
    ...     with Growing(Path(folder, "a.npy"), (3, 2), np.float32) as array:
    ...         array.append(np.ones((1, 2)))
    ...         array.append(np.zeros((2, 2)))
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

    def __enter__(self) -> Growing:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._file.close()


def open_array(path: Path) -> NDArray[Any]:
    """Map a .npy file; the array cannot be written to."""
    return np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)


def let_go(array: object) -> None:
    """Let go of what was read of a mapped array; of any other, nothing happens."""
    while isinstance(array, np.ndarray):
        array = array.base
    if isinstance(array, mmap.mmap):
        array.madvise(mmap.MADV_DONTNEED)


def blocks(array: NDArray[Any], size: int = BLOCK) -> Iterator[NDArray[Any]]:
    """Yield an array's rows, some at a time; a mapped one's are let go of behind them.

    Examples
    --------
    >>> [block.tolist() for block in blocks(np.arange(5), 2)]
    [[0, 1], [2, 3], [4]]
    """
    for begin in range(0, len(array), size):
        yield array[begin : begin + size]
        let_go(array)
