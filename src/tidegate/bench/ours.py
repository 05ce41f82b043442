"""tidegate's two entries: the kernel over the caller's arrays, and the engine with string ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from tidegate import core
from tidegate.engine import Engine
from tidegate.engine.native import NativeArithmetic
from tidegate.schema import Field, Schema, SchemaConfig
from tidegate.spec import ModelSpec

__all__ = ["PRECISIONS", "EngineEntry", "KernelEntry"]

PRECISIONS: tuple[str, ...] = get_args(core.Precision)


class KernelEntry:
    """`Model.step` over arrays of the caller; states side by side, in the order of the rows.

    Parameters
    ----------
    model : core.Model
        Packed.
    inputs : float32 array (turns, batch, input_size)
        One row for each call, in turn.
    isa : str
        Instruction set to use. It is one for the whole process: `run` sets it.
    """

    def __init__(self, model: core.Model, inputs: NDArray[np.float32], isa: str) -> None:
        batch = inputs.shape[1]
        self._isa = isa
        self._model, self._inputs = model, list(inputs)
        self._slots = np.arange(batch)
        self._states = np.zeros((batch, model.state_size), dtype=np.float32)
        self._outputs = np.empty((batch, 1), dtype=np.float32)

    def run(self, calls: int) -> None:
        """Step so many times."""
        core.use_isa(self._isa)
        step, inputs, turns = self._model.step, self._inputs, len(self._inputs)
        slots, states, outputs = self._slots, self._states, self._outputs
        for turn in range(calls):
            step(inputs[turn % turns], slots, states, outputs)
            outputs.item(0)

    def states(self) -> NDArray[np.float32]:
        """Return the states."""
        return self._states.copy()


class EngineEntry:
    """`Engine.step` with the sessions' ids.

    Parameters
    ----------
    spec : ModelSpec
        Of the model.
    model : core.Model
        Packed.
    inputs : float32 array (turns, batch, input_size)
        One row for each call, in turn.
    isa : str
        Instruction set to use. It is one for the whole process: `run` sets it.
    """

    def __init__(
        self, spec: ModelSpec, model: core.Model, inputs: NDArray[np.float32], isa: str
    ) -> None:
        self._isa = isa
        self._engine = Engine(spec, _schema(spec.row_size), NativeArithmetic(model))
        self._inputs, self._batch = list(inputs), inputs.shape[1]
        self._batches: Sequence[list[str]] = [[f"session-{i}" for i in range(self._batch)]]

    def run(self, calls: int) -> None:
        """Step so many times, a batch of sessions each."""
        core.use_isa(self._isa)
        step, inputs, turns = self._engine.step, self._inputs, len(self._inputs)
        batches, round_ = self._batches, len(self._batches)
        for turn in range(calls):
            step(batches[turn % round_], inputs[turn % turns]).item(0)

    def states(self) -> NDArray[np.float32]:
        """Return the states of the first batch."""
        return np.stack([self._engine.export_state(session).hidden for session in self._batches[0]])

    def crowd(self, sessions: int) -> None:
        """Begin so many sessions; from now on a call takes a batch of them in random order.

        The ids of a call lie side by side in memory, as those of a request that was just read do;
        the sessions' states do not.
        """
        for first in range(0, sessions, self._batch):
            ids = [f"session-{i}" for i in range(first, min(first + self._batch, sessions))]
            self._engine.step(ids, self._inputs[0][: len(ids)])
        order = np.random.default_rng(0).permutation(sessions)
        ids = [f"session-{i}" for i in order.tolist()]
        self._batches = [
            ids[first : first + self._batch]
            for first in range(0, sessions - self._batch + 1, self._batch)
        ]


def _schema(width: int) -> Schema:
    fields = {f"x{i}": Field("numeric", scale="none") for i in range(width)}
    columns = {name: np.zeros(1) for name in fields}
    return Schema.fit(SchemaConfig(fields), columns, np.zeros(1), np.array([0, 1]))
