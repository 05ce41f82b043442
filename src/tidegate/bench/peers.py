"""The peers: torch's modules and cells, and ONNX Runtime, each called in its fastest public way.

They compute the recurrent layers alone; tidegate's entries compute the head as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tidegate.bench.contestant import Weights
from tidegate.spec import ModelSpec

__all__ = ["OnnxBound", "OnnxRun", "TorchCell", "TorchModule", "onnx_model", "onnx_session"]

_ONNX_GATES = {"gru": (1, 0, 2), "lstm": (0, 3, 1, 2), "rnn": (0,)}
"""ONNX stacks z, r, h and i, o, f, c; we stack r, z, n and i, f, g, o."""

_PARTS = {
    "weight_ih": "input",
    "weight_hh": "recurrent",
    "bias_ih": "b_input",
    "bias_hh": "b_recurrent",
}


class TorchModule:
    """torch.nn.GRU, LSTM or RNN over a sequence of one step.

    Parameters
    ----------
    spec : ModelSpec
        Layers of one kind and size.
    weights : Weights
        Of the model.
    inputs : float32 array (turns, batch, input_size)
        One row for each call, in turn.
    """

    def __init__(self, spec: ModelSpec, weights: Weights, inputs: NDArray[np.float32]) -> None:
        layer, depth = spec.layers[0], len(spec.layers)
        kind = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM, "rnn": torch.nn.RNN}[layer.cell]
        self._module = kind(spec.row_size, layer.hidden_size, num_layers=depth)
        for index in range(depth):
            _load(self._module, weights, index, f"_l{index}")
        self._inputs = [torch.from_numpy(rows[None]) for rows in inputs]
        zeros = torch.zeros(depth, inputs.shape[1], layer.hidden_size)
        self._two = layer.cell == "lstm"
        self._state: Any = (zeros, zeros) if self._two else zeros

    def run(self, calls: int) -> None:
        """Step so many times."""
        module, inputs, turns, state = self._module, self._inputs, len(self._inputs), self._state
        with torch.inference_mode():
            for turn in range(calls):
                output, state = module(inputs[turn % turns], state)
                output.numpy().item(0)
        self._state = state

    def states(self) -> NDArray[np.float32]:
        """Return the states."""
        return _side_by_side(self._state if self._two else (self._state,))


class TorchCell:
    """torch.nn.GRUCell, LSTMCell or RNNCell, one a layer. Parameters as of `TorchModule`."""

    def __init__(self, spec: ModelSpec, weights: Weights, inputs: NDArray[np.float32]) -> None:
        layer = spec.layers[0]
        kind = {"gru": torch.nn.GRUCell, "lstm": torch.nn.LSTMCell, "rnn": torch.nn.RNNCell}
        self._cells = [kind[layer.cell](size, layer.hidden_size) for size in spec.input_sizes]
        for index, cell in enumerate(self._cells):
            _load(cell, weights, index, "")
        self._inputs = [torch.from_numpy(rows) for rows in inputs]
        zeros = torch.zeros(inputs.shape[1], layer.hidden_size)
        self._two = layer.cell == "lstm"
        self._state: list[Any] = [(zeros, zeros) if self._two else zeros for _ in self._cells]

    def run(self, calls: int) -> None:
        """Step so many times."""
        inputs, turns, two, state = self._inputs, len(self._inputs), self._two, self._state
        cells = list(enumerate(self._cells))
        with torch.inference_mode():
            for turn in range(calls):
                x = inputs[turn % turns]
                for index, cell in cells:
                    after = cell(x, state[index])
                    state[index] = after
                    x = after[0] if two else after
                x.numpy().item(0)

    def states(self) -> NDArray[np.float32]:
        """Return the states."""
        layers = self._state if self._two else [(state,) for state in self._state]
        return _side_by_side([torch.stack(part) for part in zip(*layers, strict=True)])


class OnnxRun:
    """ONNX Runtime's `InferenceSession.run`. Parameters as of `TorchModule`."""

    def __init__(self, spec: ModelSpec, weights: Weights, inputs: NDArray[np.float32]) -> None:
        self._session = onnx_session(onnx_model(spec, weights, inputs.shape[1]))
        self._inputs = list(inputs[:, None])
        self._names = [value.name for value in self._session.get_inputs()][1:]
        shape = (1, inputs.shape[1], spec.layers[0].hidden_size)
        self._state = [np.zeros(shape, dtype=np.float32) for _ in self._names]

    def run(self, calls: int) -> None:
        """Step so many times."""
        run, inputs, turns, names = self._session.run, self._inputs, len(self._inputs), self._names
        state = self._state
        for turn in range(calls):
            state = run(None, {"X": inputs[turn % turns], **dict(zip(names, state, strict=True))})
            state[0].item(0)
        self._state = state

    def states(self) -> NDArray[np.float32]:
        """Return the states."""
        return np.concatenate([part[0] for part in self._state], axis=1)


class OnnxBound:
    """ONNX Runtime's `InferenceSession.run_with_iobinding`: nothing is copied or allocated.

    One binding for each input, made beforehand; two sets of states take turns as what is read and
    what is written. Parameters as of `TorchModule`, an even number of turns.
    """

    def __init__(self, spec: ModelSpec, weights: Weights, inputs: NDArray[np.float32]) -> None:
        self._session = onnx_session(onnx_model(spec, weights, inputs.shape[1]))
        self._inputs = np.ascontiguousarray(inputs[:, None])
        before = [value.name for value in self._session.get_inputs()][1:]
        after = [value.name for value in self._session.get_outputs()]
        shape = (1, inputs.shape[1], spec.layers[0].hidden_size)
        self._states = [[np.zeros(shape, dtype=np.float32) for _ in before] for _ in range(2)]
        self._bindings = []
        for turn, rows in enumerate(self._inputs):
            binding = self._session.io_binding()
            read, written = self._states[turn % 2], self._states[1 - turn % 2]
            for name, array in zip(["X", *before], [rows, *read], strict=True):
                binding.bind_input(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
            for name, array in zip(after, written, strict=True):
                binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
            self._bindings.append((binding, written[0]))

    def run(self, calls: int) -> None:
        """Step so many times, an even number."""
        run, bindings, turns = self._session.run_with_iobinding, self._bindings, len(self._bindings)
        for turn in range(calls):
            binding, written = bindings[turn % turns]
            run(binding)
            written.item(0)

    def states(self) -> NDArray[np.float32]:
        """Return the states."""
        return np.concatenate([part[0] for part in self._states[0]], axis=1)


def onnx_model(spec: ModelSpec, weights: Weights, batch: int) -> onnx.ModelProto:
    """Build one step of a model: input X (1, batch, row_size) and each layer's state.

    Outputs are the states after the step, in the order of the states before it. Shapes are fixed,
    so that the runtime may plan its memory. With a sequence of one step a layer's state, too, is
    (1, batch, hidden_size) and goes straight into the next layer.
    """
    nodes, initial, before, after = [], [], [], []
    x = "X"
    for index, layer in enumerate(spec.layers):
        arrays = {
            "W": _stacked(weights, index, layer.cell, ["input"]),
            "R": _stacked(weights, index, layer.cell, ["recurrent"]),
            "B": _stacked(weights, index, layer.cell, ["b_input", "b_recurrent"]),
        }
        initial += [numpy_helper.from_array(a[None], f"{n}{index}") for n, a in arrays.items()]
        parts = ["h", "c"] if layer.cell == "lstm" else ["h"]
        options: dict[str, Any] = {"linear_before_reset": 1} if layer.cell == "gru" else {}
        nodes.append(
            helper.make_node(
                layer.cell.upper(),
                [x, f"W{index}", f"R{index}", f"B{index}", "", *(f"{p}{index}" for p in parts)],
                ["", *(f"Y_{p}{index}" for p in parts)],
                hidden_size=layer.hidden_size,
                **options,
            )
        )
        shape = (1, batch, layer.hidden_size)
        before += [_value(f"{p}{index}", shape) for p in parts]
        after += [_value(f"Y_{p}{index}", shape) for p in parts]
        x = f"Y_h{index}"
    inputs = [_value("X", (1, batch, spec.row_size)), *before]
    graph = helper.make_graph(nodes, "step", inputs, after, initial)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    model.ir_version = 8  # that of opset 14: any runtime since reads it
    onnx.checker.check_model(model)
    return model


def onnx_session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """Open a model on one thread, with every optimisation."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _stacked(weights: Weights, index: int, cell: str, parts: list[str]) -> NDArray[np.float32]:
    """Return a layer's arrays, one after the other, with the gates in ONNX's order."""
    order = _ONNX_GATES[cell]
    gates = [np.split(weights[f"layers.{index}.forward.{part}"], len(order)) for part in parts]
    return np.concatenate([blocks[gate] for blocks in gates for gate in order])


def _value(name: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _load(module: torch.nn.Module, weights: Weights, index: int, suffix: str) -> None:
    with torch.no_grad():
        for name, part in _PARTS.items():
            found = torch.from_numpy(weights[f"layers.{index}.forward.{part}"])
            module.get_parameter(f"{name}{suffix}").copy_(found)


def _side_by_side(parts: Iterable[torch.Tensor]) -> NDArray[np.float32]:
    """Turn h (layers, batch, hidden), and c, into (batch, state_size): a layer's h, then its c."""
    stacked = np.stack([part.detach().numpy() for part in parts], axis=1)  # layers, parts, batch, H
    layers, kinds, batch, hidden = stacked.shape
    return stacked.transpose(2, 0, 1, 3).reshape(batch, layers * kinds * hidden)
