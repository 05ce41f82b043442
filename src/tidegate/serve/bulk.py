"""Runs of plain lines: columns from the wire to the kernels and back, without an object an event.

What `core.LinePlan` takes for plain is read and worded here; `wire` has the rest. A client sees no
difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate import answers, core, instants
from tidegate.errors import TidegateError
from tidegate.serve import bits, wire
from tidegate.serve.block import Block
from tidegate.serve.operations import MOST_SEQ
from tidegate.serve.processor import Processor
from tidegate.serve.work import Work

if TYPE_CHECKING:
    from tidegate.core import Processed

__all__ = ["LEAST_LINES", "Bulk"]

LEAST_LINES = 64
"""Lines for which another thread is worth while."""

_MARKS = [
    b"",
    b',"duplicate":true',
    b',"session_reset":true',
    b',"duplicate":true,"session_reset":true',
]


class Bulk:
    """Reads runs of lines for a model, and writes the lines that answer them.

    Parameters
    ----------
    processor : Processor
        Of the model.
    """

    def __init__(self, processor: Processor) -> None:
        bundle = processor.bundle
        self._processor = processor
        self._plan = core.LinePlan(
            bundle.schema.field_specs, instants.EARLIEST, instants.LATEST, MOST_SEQ
        )
        self._answers = answers.open(bundle.task)
        self._version = msgspec.json.encode(bundle.version)

    def read(self, lines: bytes, first: int, count: int, failed: set[str]) -> Work[bytes] | None:
        """Read whole lines.

        Parameters
        ----------
        lines : bytes
            The lines.
        first, count : int
            Number of the first, and how many there are.
        failed : set of str
            Sessions of which an earlier event of the same request failed; shared by its parts.

        Returns
        -------
        Work of bytes, optional
            Steps them and returns their answers; None if they are not all plain.
        """
        found = self._plan.read(lines, count)
        if found is None:
            return None
        sessions, seqs, times, flags, columns = found
        block = Block(sessions, count, columns, seqs, times, flags)
        numbers = range(first, first + count)
        return Work(self._processor, block, failed, partial(self._write, numbers))

    def _write(
        self,
        numbers: Sequence[int],
        block: Block,
        processed: Processed,
        errors: dict[int, TidegateError],
    ) -> bytes:
        """Return the lines that answer a block."""
        if errors or processed.versions:
            return wire.encode_lines(
                self._processor.words.results(block, processed, errors), numbers
            )
        offsets, ids = cast("tuple[NDArray[np.int32], NDArray[np.uint8]]", block.sessions)
        marks = (processed.marks & bits.DUPLICATE != 0) + 2 * (processed.marks & bits.RESET != 0)
        return core.write_rows(
            block.size,
            [
                *(b'{"session":"', (offsets, ids), b'","seq":', processed.seqs),
                *(b',"time":', processed.times, b',"model_version":' + self._version),
                *(b',"answer":', *self._answers.json(processed.outputs)),
                *((marks.astype(np.int32), _MARKS), b"}\n"),
            ],
        )
