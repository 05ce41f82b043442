"""Runs of plain lines: stepped beside the event loop, with their answers written there too."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from tidegate.errors import TidegateError
from tidegate.serve import wire
from tidegate.serve.plain import PlainEvents
from tidegate.serve.processor import Processor
from tidegate.serve.work import Work

if TYPE_CHECKING:
    from tidegate.core import Processed

__all__ = ["LEAST_LINES", "Bulk"]

LEAST_LINES = 64
"""Lines for which another thread is worth while."""


class Bulk:
    """Reads runs of lines for a model, and writes the lines that answer them.

    Parameters
    ----------
    processor : Processor
        Of the model.
    """

    def __init__(self, processor: Processor) -> None:
        self._processor = processor

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
        batch = self._processor.plain.read_lines(lines, count)
        if batch is None:
            return None
        numbers = range(first, first + count)
        return Work(self._processor, batch, failed, partial(self._write, numbers))

    def _write(
        self,
        numbers: Sequence[int],
        batch: PlainEvents,
        processed: Processed,
        errors: dict[int, TidegateError],
    ) -> bytes:
        """Return the lines that answer a batch."""
        if errors or processed.versions:
            results = self._processor.words.results(batch, processed, errors)
            return wire.encode_lines(results, numbers)
        return self._processor.plain.lines(batch, processed)
