"""Sessions and their memory: the same face over every arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from tidegate import core
from tidegate.engine import refusals, vectors
from tidegate.engine.arithmetic import BAD_ROWS, DONE, Arithmetic, PlainArithmetic
from tidegate.engine.native import NativeArithmetic, packed
from tidegate.engine.reference import ReferenceModel
from tidegate.engine.state import SessionState, Stepped
from tidegate.errors import EngineError, InputError
from tidegate.spec import ModelSpec

if TYPE_CHECKING:
    from tidegate.bundle import Bundle
    from tidegate.schema import Columns, Schema

__all__ = ["Backend", "Engine"]

Backend = Literal["native", "reference"]

MAX_THREADS = 256


class Engine:
    """Runs a bundle for many sessions, step by step.

    A session's outputs depend on its own events alone: bit for bit, whatever else shares the call.
    Sessions are begun by their first event and kept until `forget`. Calls from several threads wait
    for each other; while the C core works, other Python threads go on.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    schema : Schema
        Turns raw events into rows; its encoder states live in the engine.
    arithmetic : Arithmetic
        The model's weights at work.
    fingerprint : bytes
        The bundle's, by which records know their model; empty if it was never saved.

    Notes
    -----
    Use `Engine.open` to run a bundle: it picks the arithmetic and replays the test vectors.

    The memory of sessions lies in an arena of the C core. A session takes its hidden state (4 bytes
    a value, rounded up to 64), its encoder state (8 bytes a value), 25 bytes that hold its id and
    what is marked of it, and 11 to 21 bytes of index (32 while the index grows). An id of more than
    22 bytes of UTF-8 takes its length and up to 23 bytes more. `nbytes` is the sum: with ids of up
    to 40 bytes less than the sessions' records.
    """

    def __init__(
        self, spec: ModelSpec, schema: Schema, arithmetic: Arithmetic, fingerprint: bytes = b""
    ) -> None:
        self.spec = spec
        self.schema = schema
        self.fingerprint = fingerprint
        self._arithmetic = arithmetic
        self._width = spec.answer_size
        self._arena = core.Arena(spec.state_size, schema.state_size, arithmetic.initial)

    @classmethod
    def open(
        cls, bundle: Bundle, backend: Backend = "native", *, replay: bool = True, threads: int = 1
    ) -> Engine:
        """Build an engine for a bundle and check that it reproduces the bundle's test vectors.

        Parameters
        ----------
        bundle : Bundle
            From `tidegate.bundle.load`.
        backend : {"native", "reference"}
            The C core in the bundle's precision, or float64 NumPy.
        replay : bool
            Whether to replay the test vectors.
        threads : int
            How many threads a `step` or `top_k` of many sessions may use, the caller's included.
            (`step_events` steps 64 events at a time, on the caller's.)

        Returns
        -------
        Engine
            With no sessions.

        Raises
        ------
        EngineError
            ``unsupported_spec``: the model cannot stream (`ModelSpec.streams`); `offline.open`
            takes it, for whole sessions;
            ``bad_weights``: products of weights overflow;
            ``vectors_mismatch``: the outputs differ from the bundle's.
        """
        refusals.check_streams(bundle.spec)
        refusals.check_backend(backend)
        if not 1 <= threads <= MAX_THREADS:
            raise InputError(
                "bad_threads",
                f"{threads} is not a number of threads",
                field="threads",
                hint=f"use 1 to {MAX_THREADS}",
            )
        arithmetic: Arithmetic
        if backend == "native":
            model = packed(bundle.spec, bundle.weights, bundle.precision, threads=threads)
            arithmetic = NativeArithmetic(model)
        else:
            reference = ReferenceModel(bundle.spec, bundle.weights)
            arithmetic = PlainArithmetic(reference, bundle.spec)
        if replay:
            tolerance = vectors.tolerance_of(bundle.precision, backend, bundle.weights)
            vectors.replay(cls(bundle.spec, bundle.schema, arithmetic), bundle.vectors, tolerance)
        return cls(bundle.spec, bundle.schema, arithmetic, bundle.fingerprint)

    def fresh(self) -> Engine:
        """Return an engine of the same model without any sessions."""
        return Engine(self.spec, self.schema, self._arithmetic, self.fingerprint)

    def table(
        self,
        model_version: str,
        key_prefix: bytes,
        *,
        answers: int = 8,
        answer_bytes: int = 16_384,
        ttl_seconds: float = math.inf,
        tombstone_seconds: float = 86_400.0,
    ) -> core.Table:
        """Return a table of sessions for a server: with their numbers, answers and records.

        It shares the model, and no sessions.

        Parameters
        ----------
        model_version : str
            Version of the bundle, which answers and records name.
        key_prefix : bytes
            What stands before a session's id in the keys of a store.
        answers, answer_bytes : int
            How many answers of a session are kept for retries, and a bound on their bytes.
        ttl_seconds : float
            How long a session may be silent before it expires.
        tombstone_seconds : float
            How long an ended, deleted or expired session is remembered as such.

        Raises
        ------
        EngineError
            ``no_table``: only the native arithmetic has one.
        """
        if not isinstance(self._arithmetic, NativeArithmetic):
            raise EngineError(
                "no_table", "a reference engine serves no sessions", hint="open it as 'native'"
            )
        return core.Table(
            self._arithmetic.model,
            self.schema.encoder,
            self.fingerprint,
            model_version,
            key_prefix,
            answers=answers,
            answer_bytes=answer_bytes,
            ttl_seconds=ttl_seconds,
            tombstone_seconds=tombstone_seconds,
        )

    def __contains__(self, session: str) -> bool:
        with refusals.naming_ids():
            return session in self._arena

    def __len__(self) -> int:
        return len(self._arena)

    @property
    def nbytes(self) -> int:
        """Bytes that the memory of all sessions takes, with what it takes to find them."""
        return self._arena.bytes

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
        float32 array (events, answer_size)
            What each event is answered with; see `ModelSpec.readout`.

        Raises
        ------
        InputError
            ``bad_rows``: a wrong shape, a value that is not finite or a category index outside its
            vocabulary. ``bad_session_id``: an id that is not text of 1 to 512 bytes.
            ``not_finite_output``: an output or a state would not be finite. No session changes.
        """
        try:
            outputs = np.empty((len(sessions), self._width), np.float32)
            found = self._arithmetic.step(self._arena, sessions, rows, outputs)
        except (TypeError, ValueError):
            # Rows that are not read as they lie, or a bad id.
            rows = self._rows(rows, _count(sessions))
            outputs = np.empty((len(rows), self._width), dtype=np.float32)
            with refusals.naming_ids():
                found = self._arithmetic.step(self._arena, sessions, rows, outputs)
        if found != DONE:
            raise self._refused(np.asarray(rows), found, sessions[max(found, 0)])
        return outputs

    def top_k(
        self, sessions: Sequence[str], rows: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Step encoded rows, and give the largest outputs of each: the head of a catalogue.

        Parameters
        ----------
        sessions, rows
            As in `step`.
        k : int
            How many; 1 to ``spec.output_size``. The model has more than 7 outputs, and answers
            with them (its readout is ``outputs``).

        Returns
        -------
        scores : float32 array (events, k)
            The largest linear outputs of the head, falling; equal ones by index.
        indices : int64 array (events, k)
            Which outputs they are.

        Raises
        ------
        InputError
            ``bad_k``; or as `step`. No session changes.
        """
        many = self.spec.readout == "outputs" and self.spec.output_size > core.FEW_OUTPUTS
        if not (many and 1 <= k <= self.spec.output_size):
            raise InputError(
                "bad_k",
                f"the {k} largest of {self.spec.output_size} outputs are not to be had",
                field="k",
                hint=f"use 1 to output_size, of a model of more than {core.FEW_OUTPUTS} outputs",
            )
        rows = self._rows(rows, _count(sessions))
        scores = np.empty((len(rows), k), dtype=np.float32)
        indices = np.empty((len(rows), k), dtype=np.int64)
        with refusals.naming_ids():
            found = self._arithmetic.step_top(self._arena, sessions, rows, scores, indices)
        if found != DONE:
            raise self._refused(np.asarray(rows), found, sessions[max(found, 0)])
        return scores, indices

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

        Raises
        ------
        InputError
            ``bad_session_id``; or columns that are not the schema's. No session changes.
        """
        times = refusals.numbers(times, np.float64, "times")
        self._check_events(sessions, columns, times)
        outputs = np.empty((len(times), self._width), dtype=np.float32)
        try:
            failed = self._arithmetic.step_events(
                self.schema, self._arena, sessions, columns, times, outputs
            )
        except (TypeError, ValueError) as error:
            self.schema.check_columns(columns)
            raise refusals.bad_id(error) from None
        return Stepped(
            outputs,
            {k: error or refusals.not_finite_output(sessions[k]) for k, error in failed.items()},
        )

    def run(self, session: str, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Step many encoded rows of one session, with one input product for many of them.

        Parameters
        ----------
        session : str
            The session.
        rows : float32 array (steps, row_size)
            Its rows, in order.

        Returns
        -------
        float32 array (steps, answer_size)
            What each step is answered with; equal to the bit to steps one by one.

        Raises
        ------
        InputError
            As `step`. The session does not change.
        """
        rows = self._rows(rows, None)
        outputs = np.empty((len(rows), self._width), dtype=np.float32)
        with refusals.naming_ids():
            found = self._arithmetic.run(self._arena, session, rows, outputs)
        if found != DONE:
            raise self._refused(rows, found, session)
        return outputs

    def export_state(self, session: str) -> SessionState:
        """Return a copy of a session's memory.

        Raises
        ------
        InputError
            ``session_unknown``: the engine has no such session.
        """
        with refusals.naming_ids():
            return SessionState(*self._arena.export_state(session))

    def import_state(self, session: str, state: SessionState) -> None:
        """Put a session's memory back, replacing what the engine has of it.

        Raises
        ------
        InputError
            ``bad_state``: the arrays do not have this model's sizes. Nothing changes.
        """
        wanted = ((self.schema.state_size,), (self.spec.state_size,))
        encoder = refusals.numbers(state.encoder, np.float64, "encoder")
        hidden = refusals.numbers(state.hidden, np.float32, "hidden")
        if (encoder.shape, hidden.shape) != wanted:
            raise InputError(
                "bad_state",
                f"encoder and hidden state have shapes {encoder.shape} and {hidden.shape}, the "
                f"model's are {wanted[0]} and {wanted[1]}",
                field="state",
                hint="import states that were exported from the same model",
            )
        with refusals.naming_ids():
            self._arena.import_state(session, encoder, hidden)

    def forget(self, *sessions: str) -> None:
        """Drop the memory of sessions, where there is any."""
        with refusals.naming_ids():
            self._arena.drop(sessions)

    def _rows(self, rows: NDArray[np.float32], count: int | None) -> NDArray[np.float32]:
        """Return rows as the core reads them; `count` of them, or as many as there are."""
        given = refusals.numbers(rows, np.float32, "rows")
        wanted = (len(given) if count is None and given.ndim else count, self.spec.row_size)
        if given.shape != wanted:
            raise refusals.bad_rows(f"shape {given.shape} is not (events, columns) = {wanted}")
        return given

    def _refused(self, rows: NDArray[np.float32], found: int, session: str) -> InputError:
        if found != BAD_ROWS:
            return refusals.not_finite_output(session)
        refusals.check_rows(self.spec, rows)
        raise AssertionError("rows were refused, and none is bad")

    def _check_events(
        self, sessions: Sequence[str], columns: Columns, times: NDArray[np.float64]
    ) -> None:
        """Refuse columns that the C core would not take, with the schema's words."""
        count = (_count(sessions),)
        shapes = {name: getattr(columns.get(name), "shape", None) for name in self.schema.names}
        if times.shape != count or any(shape != count for shape in shapes.values()):
            self.schema.check_columns(columns)
            raise InputError(
                "wrong_shape",
                f"there are {len(sessions)} sessions, times of shape {times.shape} and columns of "
                f"shape {next(iter(shapes.values()), times.shape)}",
                field="sessions",
                hint="give one session, one time and one value of each field an event",
            )


def _count(sessions: Sequence[str]) -> int:
    try:
        return len(sessions)
    except TypeError:
        raise refusals.bad_sessions(f"{type(sessions).__name__} is no sequence of ids") from None
