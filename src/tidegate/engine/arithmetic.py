"""What an engine asks of an arithmetic, and how any model that steps states fulfils it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from tidegate import core

if TYPE_CHECKING:
    from tidegate.errors import InputError
    from tidegate.schema import Columns, Schema
    from tidegate.spec import ModelSpec

__all__ = ["BAD_ROWS", "DONE", "Arithmetic", "PlainArithmetic", "Sessions", "StatesModel"]

Sessions = Sequence[str]

DONE = -1
"""All events were stepped."""

BAD_ROWS = -2
"""A row is not finite, or has an index outside its table."""


class Arithmetic(Protocol):
    """A model over the memory of sessions. Arrays have the right shapes and types."""

    @property
    def initial(self) -> NDArray[np.float32]:
        """The hidden state with which a session begins, (state_size,)."""

    def step(
        self,
        arena: core.Arena,
        sessions: Sessions,
        rows: NDArray[np.float32],
        outputs: NDArray[np.float32],
    ) -> int:
        """Step rows in order: `DONE`, or `BAD_ROWS` or an event that would not be finite.

        In the last two cases no session changes. TypeError or ValueError: rows or ids are not what
        they should be.
        """

    def step_top(
        self,
        arena: core.Arena,
        sessions: Sessions,
        rows: NDArray[np.float32],
        scores: NDArray[np.float32],
        indices: NDArray[np.int64],
    ) -> int:
        """Step rows; of many outputs, give the largest of each event and which they are."""

    def run(
        self,
        arena: core.Arena,
        session: str,
        rows: NDArray[np.float32],
        outputs: NDArray[np.float32],
    ) -> int:
        """Step rows of one session; the same."""

    def step_events(
        self,
        schema: Schema,
        arena: core.Arena,
        sessions: Sessions,
        columns: Columns,
        times: NDArray[np.float64],
        outputs: NDArray[np.float32],
    ) -> dict[int, InputError | None]:
        """Step raw events in order; return those that failed, which change nothing.

        None: the output or the state would not be finite.
        """


class StatesModel(Protocol):
    """A model over states that lie in an array."""

    @property
    def initial(self) -> NDArray[np.float32]:
        """The state with which a session begins, (state_size,)."""

    def step(
        self,
        rows: NDArray[np.float32],
        slots: NDArray[np.int64],
        states: NDArray[np.float32],
        outputs: NDArray[np.float32],
    ) -> None:
        """Step events in order; the states at their slots and the outputs are written."""


class PlainArithmetic:
    """Sessions stepped one round after the other, in Python: simple, and slow.

    Parameters
    ----------
    model : StatesModel
        The float64 reference, say.
    spec : ModelSpec
        Its shape.
    """

    def __init__(self, model: StatesModel, spec: ModelSpec) -> None:
        self._model = model
        self._lock = threading.RLock()
        self._categories = spec.categories
        self._answer_size = spec.answer_size
        self._row_size = spec.row_size

    @property
    def initial(self) -> NDArray[np.float32]:
        """The hidden state with which a session begins."""
        return self._model.initial

    def step(
        self,
        arena: core.Arena,
        sessions: Sessions,
        rows: NDArray[np.float32],
        outputs: NDArray[np.float32],
    ) -> int:
        """Step rows; see `Arithmetic`."""
        with self._lock:
            return self._step(arena, sessions, rows, outputs)

    def _step(
        self,
        arena: core.Arena,
        sessions: Sessions,
        rows: NDArray[np.float32],
        outputs: NDArray[np.float32],
    ) -> int:
        if not isinstance(sessions, Sequence):
            raise TypeError("sessions: not a sequence of str")
        arena.find(sessions)  # refuses ids that are none
        if getattr(rows, "dtype", None) != np.float32 or rows.shape != (
            len(sessions),
            self._row_size,
        ):
            raise TypeError("rows: not a float32 array (events, columns)")
        if not np.isfinite(rows).all():
            return BAD_ROWS
        for category in self._categories:
            index = rows[:, category.column]
            if not np.isin(index, np.arange(category.size)).all():
                return BAD_ROWS
        names = list(dict.fromkeys(sessions))
        slot = {name: index for index, name in enumerate(names)}
        memory = [arena.export_state(name) if name in arena else None for name in names]
        hidden = np.tile(self.initial, (len(names), 1))
        for place, known in enumerate(memory):
            if known is not None:
                hidden[place] = known[1]
        slots = np.array([slot[name] for name in sessions], dtype=np.int64)
        self._model.step(rows, slots, hidden, outputs)
        sound = [bool(np.isfinite(state).all()) for state in hidden]
        for event, (at, output) in enumerate(zip(slots.tolist(), outputs, strict=True)):
            if not (sound[at] and np.isfinite(output).all()):
                return event
        blank = np.full(arena.encoder_size, np.nan)
        for name, known, state in zip(names, memory, hidden, strict=True):
            arena.import_state(name, blank if known is None else known[0], state)
        return DONE

    def step_top(
        self,
        arena: core.Arena,
        sessions: Sessions,
        rows: NDArray[np.float32],
        scores: NDArray[np.float32],
        indices: NDArray[np.int64],
    ) -> int:
        """Step rows and sort all outputs; see `Arithmetic`."""
        outputs = np.empty((len(rows), self._answer_size), dtype=np.float32)
        found = self.step(arena, sessions, rows, outputs)
        order = np.argsort(-outputs, axis=1, kind="stable")[:, : scores.shape[1]]
        indices[:], scores[:] = order, np.take_along_axis(outputs, order, axis=1)
        return found

    def run(
        self,
        arena: core.Arena,
        session: str,
        rows: NDArray[np.float32],
        outputs: NDArray[np.float32],
    ) -> int:
        """Step rows of one session; see `Arithmetic`."""
        return self.step(arena, [session] * len(rows), rows, outputs)

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
        # Columns that are not the schema's are refused before anything is stepped.
        schema.encode_rows(columns, times, schema.initial_state(len(times)))
        errors: dict[int, InputError | None] = {}
        for event, session in enumerate(sessions):
            one = slice(event, event + 1)
            part = {name: column[one] for name, column in columns.items()}
            with self._lock:
                before = arena.export_state(session) if session in arena else None
                encoder = schema.initial_state(1) if before is None else before[0][None]
                encoded = schema.encode_rows(part, times[one], encoder)
                if encoded.errors:
                    errors[event] = encoded.errors[0]
                elif self.step(arena, [session], encoded.rows, outputs[one]) != DONE:
                    errors[event] = None
                else:
                    hidden = arena.export_state(session)[1]
                    arena.import_state(session, encoded.states[0], hidden)
        outputs[list(errors)] = np.nan
        return errors
