"""The C core over an arena: one call a batch, without the interpreter's lock."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tidegate import core
from tidegate.engine.arithmetic import BAD_ROWS, Sessions
from tidegate.errors import EngineError

if TYPE_CHECKING:
    from tidegate.errors import InputError
    from tidegate.schema import Columns, Schema
    from tidegate.spec import ModelSpec

__all__ = ["NativeArithmetic", "packed"]

_CONSTANT_MISSING = 5  # tg_fault of native/encode.h


def packed(
    spec: ModelSpec, weights: core.Weights, precision: core.Precision, *, threads: int = 1
) -> core.Model:
    """Lay a model's weights out for the C core; see `core.pack`.

    Raises
    ------
    EngineError
        ``bad_weights``: products of weights overflow.
    """
    try:
        return core.pack(spec, weights, precision, threads=threads)
    except ValueError as error:
        raise EngineError(
            "bad_weights",
            f"the weights make no model: {error}",
            field="weights",
            hint="make the bundle again, of weights that are not as large",
        ) from error


class NativeArithmetic:
    """A packed model.

    Parameters
    ----------
    model : core.Model
        From `core.pack`.
    """

    def __init__(self, model: core.Model) -> None:
        self.model = model
        self.initial = model.initial
        self.step = partial(core.step, model)

    def step_top(
        self,
        arena: core.Arena,
        sessions: Sessions,
        rows: NDArray[np.float32],
        scores: NDArray[np.float32],
        indices: NDArray[np.int64],
    ) -> int:
        """Step rows; the outputs of a large head are never all there at once."""
        return core.step(self.model, arena, sessions, rows, scores, indices)

    def run(
        self,
        arena: core.Arena,
        session: str,
        rows: NDArray[np.float32],
        outputs: NDArray[np.float32],
    ) -> int:
        """Step rows of one session: their input products are one."""
        found = core.run(self.model, arena, session, rows, outputs)
        return found if found in (-1, BAD_ROWS) else 0

    def step_events(
        self,
        schema: Schema,
        arena: core.Arena,
        sessions: Sessions,
        columns: Columns,
        times: NDArray[np.float64],
        outputs: NDArray[np.float32],
    ) -> dict[int, InputError | None]:
        """Step raw events; see `Arithmetic`."""
        faults = np.empty((len(times), 2), dtype=np.int32)
        fields = dict(columns)
        failed = core.step_events(
            self.model, schema.encoder, arena, sessions, fields, times, outputs, faults
        )
        if not failed:
            return {}
        errors: dict[int, InputError | None] = {}
        for event in np.flatnonzero(faults[:, 0]).tolist():
            errors[event] = None
            if faults[event, 0] not in (core.OUTPUT_NOT_FINITE, core.ROWS_BAD):
                first = bool(faults[event, 0] == _CONSTANT_MISSING)
                errors[event] = _fault(schema, arena, sessions[event], fields, times, event, first)
        return errors


def _fault(
    schema: Schema,
    arena: core.Arena,
    session: str,
    columns: Columns,
    times: NDArray[np.float64],
    event: int,
    first: bool,
) -> InputError:
    """Word what the schema says of an event: the C core knows only its kind.

    What lacked a constant was a session's first event: later ones may have brought it, so that the
    state by now would not show the fault; a new session's does.
    """
    one = slice(event, event + 1)
    states = [schema.initial_state(1)]
    if session in arena:
        states.insert(len(states) if first else 0, arena.export_state(session)[0][None])
    for state in states:
        part = {name: column[one] for name, column in columns.items()}
        errors = schema.encode_rows(part, times[one], state).errors
        if errors:
            return errors[0]
    raise AssertionError(f"event {event} was refused, and is none that the schema refuses")
