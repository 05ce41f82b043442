"""Whole sessions: what a layer of two directions needs, which sees the last event first."""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from tidegate import core
from tidegate.engine import refusals
from tidegate.engine.arithmetic import StatesModel
from tidegate.engine.native import packed
from tidegate.engine.readout import numbers
from tidegate.engine.reference import ReferenceModel
from tidegate.schema import Schema
from tidegate.spec import ModelSpec

__all__ = ["WholeSessions"]


class WholeSessions:
    """Runs a model over sessions from their first event to their last; nothing is remembered.

    Each direction of each layer is a model of one layer, which steps as in an `Engine`; what goes
    up between layers is float32.

    Parameters
    ----------
    spec : ModelSpec
        The model; of any layers.
    schema : Schema
        Turns raw events into rows.
    weights : mapping of str to array
        Of a bundle.
    precision : {"fp32", "bf16", "int8"} or None
        Of the C core's products; None takes the float64 reference instead.

    Raises
    ------
    EngineError
        ``bad_weights``: products of weights overflow.

    Examples
    --------
    >>> from tidegate.schema import Field, SchemaConfig
    >>> from tidegate.spec import LayerSpec
    >>> schema = Schema.fit(SchemaConfig({"x": Field("numeric")}), {"x": np.array([1.0, 2.0])},
    ...                     np.zeros(2), np.array([0, 2]))
    >>> spec = ModelSpec(1, (LayerSpec("gru", 4, bidirectional=True),), 1)
    >>> zeros = {name: np.zeros(shape, np.float32) for name, shape in spec.weight_shapes().items()}
    >>> WholeSessions(spec, schema, zeros).run(np.ones((3, 1), np.float32)).shape
    (3, 1)
    """

    def __init__(
        self,
        spec: ModelSpec,
        schema: Schema,
        weights: core.Weights,
        precision: core.Precision | None = "fp32",
    ) -> None:
        self.spec, self.schema = spec, schema
        self._directions = [
            [_direction(spec, index, name, weights, precision) for name in layer.directions]
            for index, layer in enumerate(spec.layers)
        ]
        self._head = {
            name: array.astype(np.float64)
            for name, array in weights.items()
            if name.startswith("head.")
        }

    def run(self, rows: NDArray[np.float32], session: str = "session") -> NDArray[np.float32]:
        """Score a session.

        Parameters
        ----------
        rows : float32 array (events, row_size)
            Its encoded rows, all of them, in order.
        session : str
            What an error calls it.

        Returns
        -------
        float32 array (events, answer_size)
            What each event is answered with.

        Raises
        ------
        InputError
            ``bad_rows``; ``not_finite_output``: an output would not be finite.
        """
        rows = x = refusals.numbers(rows, np.float32, "rows")
        if x.ndim != 2 or x.shape[1] != self.spec.row_size:
            wanted = f"(events, {self.spec.row_size})"
            raise refusals.bad_rows(f"shape {x.shape} is not (events, columns) = {wanted}")
        refusals.check_rows(self.spec, x)
        for layer, directions in zip(self.spec.layers, self._directions, strict=True):
            forward, *backward = directions
            both = [_steps(forward, x, layer.hidden_size)]
            both += [_steps(model, x[::-1], layer.hidden_size)[::-1] for model in backward]
            y = np.concatenate(both, axis=1)
            x = y + x if layer.residual else y
        if self.spec.readout == "surprise":
            begin = self._directions[-1][0].initial[: self.spec.layers[-1].hidden_size]
            x = np.concatenate([begin[None], x])[:-1]
        outputs = x.astype(np.float64) @ self._head["head.weight"].T + self._head["head.bias"]
        if self.spec.skip:
            outputs += rows[:, self.spec.number_columns] @ self._head["head.skip"].T
        scores = numbers(self.spec, outputs, rows).astype(np.float32)
        if not np.isfinite(scores).all():
            raise refusals.not_finite_output(session)
        return scores


def _direction(
    spec: ModelSpec,
    index: int,
    direction: str,
    weights: core.Weights,
    precision: core.Precision | None,
) -> StatesModel:
    """Return one direction of a layer as a model whose outputs are its h."""
    layer = replace(spec.layers[index], bidirectional=False, residual=False)
    first = index == 0
    alone = ModelSpec(
        spec.row_size if first else spec.input_sizes[index],
        (layer,),
        layer.hidden_size,
        spec.categories if first else (),
    )
    prefix = f"layers.{index}.{direction}."
    its = {
        f"layers.0.forward.{name.removeprefix(prefix)}": array
        for name, array in weights.items()
        if name.startswith(prefix)
    }
    if first:
        its |= {name: array for name, array in weights.items() if name.startswith("embeddings.")}
    its["head.weight"] = np.eye(layer.hidden_size, dtype=np.float32)
    its["head.bias"] = np.zeros(layer.hidden_size, dtype=np.float32)
    return ReferenceModel(alone, its) if precision is None else packed(alone, its, precision)


def _steps(model: StatesModel, rows: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Step a session from its beginning; return h after each event."""
    outputs = np.empty((len(rows), size), dtype=np.float32)
    slots = np.zeros(len(rows), dtype=np.int64)
    model.step(np.ascontiguousarray(rows), slots, model.initial[None].copy(), outputs)
    return outputs
