"""What the table says of a batch, in words: answers, and errors that name what was wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from tidegate import answers, core
from tidegate.engine.refusals import not_finite_output
from tidegate.errors import TidegateError
from tidegate.serve import bits, refusals, rules
from tidegate.serve.block import Batch
from tidegate.serve.operations import Answer, Result

if TYPE_CHECKING:
    from tidegate.bundle import Bundle
    from tidegate.core import Processed

__all__ = ["Words"]

_CODES = {name: code for code, name in enumerate(core.OUTCOMES)}
_ANSWERED = _CODES["repeat"]
"""Codes up to this one come with an answer."""
_DAMAGED = _CODES["record_damaged"]
_NOT_FINITE, _FAULT = _CODES["not_finite_output"], _CODES["schema_fault"]


class Words:
    """Words the results of a bundle's batches.

    Parameters
    ----------
    bundle : Bundle
        The model.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._answers = answers.open(bundle.task)

    def results(
        self, block: Batch, processed: Processed, errors: Mapping[int, TidegateError]
    ) -> list[Result]:
        """Return the result of each event of a block, in order."""
        version = self._bundle.version
        rows = zip(
            block.names(),
            processed.seqs.tolist(),
            processed.times.tolist(),
            processed.marks.tolist(),
            strict=True,
        )
        if not errors and not processed.versions:
            words = self._answers.answer(processed.outputs)
            return [
                Answer(
                    session,
                    seq,
                    time,
                    version,
                    answer,
                    mark & bits.DUPLICATE != 0,
                    mark & bits.RESET != 0,
                )
                for (session, seq, time, mark), answer in zip(rows, words, strict=True)
            ]
        answered = iter(self._answers.answer(processed.outputs[processed.codes <= _ANSWERED]))
        return [
            errors[index]
            if index in errors
            else Answer(
                session,
                seq,
                time,
                processed.versions.get(index, version),
                next(answered),
                mark & bits.DUPLICATE != 0,
                mark & bits.RESET != 0,
            )
            for index, (session, seq, time, mark) in enumerate(rows)
        ]

    def errors(self, block: Batch, processed: Processed) -> dict[int, TidegateError]:
        """Word what refused each event that has no answer."""
        codes = processed.codes
        if codes.max(initial=0) <= _ANSWERED:
            return {}
        refused = np.flatnonzero(codes > _ANSWERED).tolist()
        return {index: self._error(block, processed, index) for index in refused}

    def _error(self, block: Batch, processed: Processed, index: int) -> TidegateError:
        code = processed.codes[index]
        own = block.errors.get(index)
        if own is not None:  # says more than that an earlier event of the session failed, too
            return own
        if code == _DAMAGED:
            return refusals.record_damaged()
        if code == _NOT_FINITE:
            return not_finite_output(block.session(index))
        if code == _FAULT:
            return self._fault(block, processed, index)
        expected = int(processed.expected[index])
        verdict = rules.Verdict(
            cast("rules.Outcome", core.OUTCOMES[code]),
            int(processed.seqs[index]),
            expected if expected >= 0 else None,
        )
        after_failure = bool(processed.marks[index] & bits.AFTER_FAILURE)
        return rules.refusal(verdict, after_failure=after_failure)

    def _fault(self, block: Batch, processed: Processed, index: int) -> TidegateError:
        """Word what the schema says of an event: the C core knows only its kind."""
        state = processed.encoder_before[index][None]
        one = {name: _one(column, index) for name, column in block.columns.items()}
        errors = self._bundle.schema.encode_rows(one, processed.times[index : index + 1], state)
        error: TidegateError = errors.errors[0]
        return error


def _one(column: NDArray[Any] | tuple[NDArray[np.int32], Sequence[str]], row: int) -> NDArray[Any]:
    """Return a row of a column as a column of its own."""
    if not isinstance(column, tuple):
        return column[row : row + 1]
    indices, values = column
    return np.array([None if indices[row] < 0 else values[indices[row]]], dtype=object)
