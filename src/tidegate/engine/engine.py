"""Sessions and their memory: the same face over every arithmetic."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from tidegate import core
from tidegate.engine import vectors
from tidegate.engine.reference import ReferenceModel
from tidegate.errors import InputError
from tidegate.spec import ModelSpec, refuse_unsupported

if TYPE_CHECKING:
    from tidegate.bundle import Bundle
    from tidegate.schema import Columns, Schema

__all__ = ["Backend", "Engine", "SessionState", "Stepped"]

Backend = Literal["native", "reference"]

_FIRST_CAPACITY = 64
_IMPLEMENTED = frozenset(
    {"cell", "hidden_size", "activation", "reset_after", "bias", "layer_norm", "residual"}
)
"""Fields of a layer of which engines run every value; of the others, the default."""


class Model(Protocol):
    """The arithmetic of a bundle: events in order, over states that the engine owns."""

    def step(
        self,
        rows: NDArray[np.float32],
        slots: NDArray[np.int64],
        states: NDArray[np.float32],
        outputs: NDArray[np.float32],
    ) -> None:
        """Step events in order; the states at their slots and the outputs are written."""


@dataclass(frozen=True)
class SessionState:
    """What an engine remembers of one session.

    Parameters
    ----------
    encoder : float64 array (schema.state_size,)
        Last values and last time; NaN where there is none yet.
    hidden : float32 array (spec.state_size,)
        Layers in order; an LSTM's h, then its c.
    """

    encoder: NDArray[np.float64]
    hidden: NDArray[np.float32]


@dataclass(frozen=True)
class Stepped:
    """Outputs of raw events, and the events that were refused.

    Parameters
    ----------
    outputs : float32 array (events, output_size)
        NaN in the rows of refused events.
    errors : dict of int to InputError
        Refused events by position. Their sessions' memory is as it was before them.
    """

    outputs: NDArray[np.float32]
    errors: dict[int, InputError]


class Engine:
    """Runs a bundle for many sessions, step by step.

    A session's outputs depend on its own events alone: bit for bit, whatever else shares the call.
    Sessions are begun by their first event and kept until `forget`. Calls from several threads wait
    for each other.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    schema : Schema
        Turns raw events into rows; its encoder states live in the engine.
    model : Model
        The arithmetic.

    Notes
    -----
    Use `Engine.open` to run a bundle: it picks the arithmetic and replays the test vectors.
    """

    def __init__(self, spec: ModelSpec, schema: Schema, model: Model) -> None:
        self.spec = spec
        self.schema = schema
        self._model = model
        self._lock = threading.Lock()
        self._slots: dict[str, int] = {}
        self._free: list[int] = []
        self._hidden = np.zeros((_FIRST_CAPACITY, spec.state_size), dtype=np.float32)
        self._encoder = schema.initial_state(_FIRST_CAPACITY)

    @classmethod
    def open(cls, bundle: Bundle, backend: Backend = "native", *, replay: bool = True) -> Engine:
        """Build an engine for a bundle and check that it reproduces the bundle's test vectors.

        Parameters
        ----------
        bundle : Bundle
            From `tidegate.bundle.load`.
        backend : {"native", "reference"}
            The C core, or float64 NumPy.
        replay : bool
            Whether to replay the test vectors.

        Returns
        -------
        Engine
            With no sessions.

        Raises
        ------
        EngineError
            ``unsupported_spec``: the model has an option that no engine implements;
            ``vectors_mismatch``: the outputs differ from the bundle's.
        """
        refuse_unsupported(bundle.spec, "engines", _IMPLEMENTED)
        model: Model
        if backend == "native":
            model = core.pack(bundle.spec, bundle.weights)
        elif backend == "reference":
            model = ReferenceModel(bundle.spec, bundle.weights)
        else:
            raise InputError(
                "unknown_backend",
                f"{backend!r} is not an engine",
                field="backend",
                hint="use 'native' or 'reference'",
            )
        if replay:
            vectors.replay(cls(bundle.spec, bundle.schema, model), bundle.vectors)
        return cls(bundle.spec, bundle.schema, model)

    def fresh(self) -> Engine:
        """Return an engine of the same model without any sessions."""
        return Engine(self.spec, self.schema, self._model)

    def __contains__(self, session: str) -> bool:
        return session in self._slots

    def __len__(self) -> int:
        return len(self._slots)

    def step(self, sessions: Sequence[str], rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Step encoded rows, one event each, in order.

        Parameters
        ----------
        sessions : sequence of str
            The session of each row; one may occur several times.
        rows : float32 array (events, row_size)
            Encoded rows, as `schema.encode_rows` gives them.

        Returns
        -------
        float32 array (events, output_size)
            Outputs of the head.

        Raises
        ------
        InputError
            ``bad_rows``: a wrong shape, a value that is not finite or a category index outside its
            vocabulary. ``not_finite_output``: an output or a state would not be finite. No session
            changes.
        """
        rows = self._checked(sessions, rows)
        with self._lock:
            begun = {session for session in sessions if session not in self._slots}
            slots = self._slots_of(sessions)
            hidden = self._hidden[slots]  # a copy, to go back to
            outputs = self._step(slots, rows)
            finite = self._finite(slots, outputs)
            if not finite.all():
                self._hidden[slots] = hidden
                for session in begun:
                    self._release(session)
                raise _not_finite_output(sessions[int(finite.argmin())])
            return outputs

    def step_events(
        self, sessions: Sequence[str], columns: Columns, times: NDArray[np.float64]
    ) -> Stepped:
        """Encode raw events with each session's encoder state, then step them, in order.

        Parameters
        ----------
        sessions : sequence of str
            The session of each event; one may occur several times.
        columns : mapping of str to array (events,)
            Typed raw fields, as `schema.stack` gives them.
        times : float64 array (events,)
            Effective times, unix seconds.

        Returns
        -------
        Stepped
            Outputs, and the events that were refused (a broken constant, an output that is not
            finite): these change nothing.
        """
        outputs = np.empty((len(sessions), self.spec.output_size), dtype=np.float32)
        errors: dict[int, InputError] = {}
        with self._lock:
            for events in _rounds(sessions):
                part = self._step_round(
                    [sessions[i] for i in events],
                    {name: column[events] for name, column in columns.items()},
                    times[events],
                )
                outputs[events] = part.outputs
                errors.update((int(events[k]), error) for k, error in part.errors.items())
        return Stepped(outputs, errors)

    def run(self, session: str, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Step many encoded rows of one session.

        Parameters
        ----------
        session : str
            The session.
        rows : float32 array (steps, row_size)
            Its rows, in order.

        Returns
        -------
        float32 array (steps, output_size)
            Outputs of the head after each step; equal to the bit to steps one by one.
        """
        return self.step([session] * len(rows), rows)

    def export_state(self, session: str) -> SessionState:
        """Return a copy of a session's memory.

        Raises
        ------
        InputError
            ``session_unknown``: the engine has no such session.
        """
        with self._lock:
            slot = self._slot(session)
            return SessionState(self._encoder[slot].copy(), self._hidden[slot].copy())

    def import_state(self, session: str, state: SessionState) -> None:
        """Put a session's memory back, replacing what the engine has of it.

        Raises
        ------
        InputError
            ``bad_state``: the arrays do not have this model's sizes. Nothing changes.
        """
        wanted = (self._encoder.shape[1:], self._hidden.shape[1:])
        if (state.encoder.shape, state.hidden.shape) != wanted:
            raise InputError(
                "bad_state",
                f"encoder and hidden state have shapes {state.encoder.shape} and "
                f"{state.hidden.shape}, the model's are {wanted[0]} and {wanted[1]}",
                field="state",
                hint="import states that were exported from the same model",
            )
        with self._lock:
            slot = self._slots_of([session])[0]
            self._encoder[slot] = state.encoder
            self._hidden[slot] = state.hidden

    def forget(self, session: str) -> None:
        """Drop a session's memory, if there is any."""
        with self._lock:
            self._release(session)

    def _step_round(
        self, sessions: Sequence[str], columns: Columns, times: NDArray[np.float64]
    ) -> Stepped:
        """Encode and step one event each of distinct sessions."""
        begun = [session for session in sessions if session not in self._slots]
        slots = self._slots_of(sessions)
        encoder, hidden = self._encoder[slots], self._hidden[slots]  # copies, to go back to
        encoded = self.schema.encode_rows(columns, times, encoder)
        errors = dict(encoded.errors)
        good = np.array([k for k in range(len(sessions)) if k not in errors], dtype=np.int64)
        outputs = np.full((len(sessions), self.spec.output_size), np.nan, dtype=np.float32)
        outputs[good] = self._step(slots[good], encoded.rows[good])
        self._encoder[slots] = encoded.states
        for k in np.flatnonzero(~self._finite(slots, outputs)).tolist():
            errors.setdefault(k, _not_finite_output(sessions[k]))
        if errors:
            bad = list(errors)
            outputs[bad] = np.nan
            self._encoder[slots[bad]], self._hidden[slots[bad]] = encoder[bad], hidden[bad]
            for session in {sessions[k] for k in bad}.intersection(begun):
                self._release(session)
        return Stepped(outputs, errors)

    def _finite(self, slots: NDArray[np.int64], outputs: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Say of each event whether its output and its session's state are finite."""
        states = self._hidden[slots]
        return np.asarray(np.isfinite(outputs).all(axis=1) & np.isfinite(states).all(axis=1))

    def _step(self, slots: NDArray[np.int64], rows: NDArray[np.float32]) -> NDArray[np.float32]:
        outputs = np.empty((len(rows), self.spec.output_size), dtype=np.float32)
        self._model.step(rows, slots, self._hidden, outputs)
        return outputs

    def _checked(self, sessions: Sequence[str], rows: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = np.ascontiguousarray(rows, dtype=np.float32)
        if rows.shape != (len(sessions), self.spec.row_size):
            raise _bad_rows(
                f"shape {rows.shape} is not (events, columns) = "
                f"({len(sessions)}, {self.spec.row_size})"
            )
        if not np.isfinite(rows).all():
            first = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
            raise _bad_rows(f"row {first} holds a value that is not finite")
        for category in self.spec.categories:
            index = rows[:, category.column]
            wrong = (index < 0) | (index >= category.size) | (index != np.floor(index))
            if wrong.any():
                first = int(np.flatnonzero(wrong)[0])
                raise _bad_rows(
                    f"row {first}, column {category.column}: {index[first]:g} is not an index "
                    f"below {category.size}"
                )
        return rows

    def _slot(self, session: str) -> int:
        try:
            return self._slots[session]
        except KeyError:
            raise InputError(
                "session_unknown",
                f"the engine has no session {session!r}",
                field="session",
                hint="step or import it first",
            ) from None

    def _slots_of(self, sessions: Sequence[str]) -> NDArray[np.int64]:
        known = self._slots
        for session in sessions:
            if session not in known:
                known[session] = self._take_slot()
        return np.fromiter((known[s] for s in sessions), dtype=np.int64, count=len(sessions))

    def _take_slot(self) -> int:
        if self._free:
            return self._free.pop()
        slot = len(self._slots)
        capacity = len(self._hidden)
        if slot == capacity:
            self._hidden = np.concatenate([self._hidden, np.zeros_like(self._hidden)])
            self._encoder = np.concatenate([self._encoder, self.schema.initial_state(capacity)])
        return slot

    def _release(self, session: str) -> None:
        slot = self._slots.pop(session, None)
        if slot is not None:
            self._hidden[slot] = 0.0
            self._encoder[slot] = self.schema.initial_state(1)[0]
            self._free.append(slot)


def _rounds(sessions: Sequence[str]) -> list[NDArray[np.int64]]:
    """Split events so that each session occurs at most once a round, in order."""
    if len(set(sessions)) == len(sessions):
        return [np.arange(len(sessions), dtype=np.int64)]
    seen: dict[str, int] = {}
    rounds: list[list[int]] = []
    for i, session in enumerate(sessions):
        occurrence = seen.get(session, 0)
        seen[session] = occurrence + 1
        if occurrence == len(rounds):
            rounds.append([])
        rounds[occurrence].append(i)
    return [np.array(events, dtype=np.int64) for events in rounds]


def _bad_rows(message: str) -> InputError:
    return InputError(
        "bad_rows", message, field="rows", hint="encode events with the bundle's schema"
    )


def _not_finite_output(session: str) -> InputError:
    return InputError(
        "not_finite_output",
        f"the model's output for session {session!r} is not finite",
        field="event",
        hint="the event was not applied; look at its values and at the session's history",
    )
