"""What a model is: its layers, its inputs, its head and its task.

A `ModelSpec` is plain data. It travels in the bundle, the workshop builds a torch module from it
and every engine builds its arithmetic from it. What an engine cannot run it refuses by name: a spec
is never silently misread.

The gates are r, z, n for a GRU and i, f, g, o for an LSTM, stacked in that order along the first
axis of every weight. ``z``, the update gate, is the share of the old state that is KEPT:
``h = (1 - z) * n + z * h_prev``.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from tidegate.errors import InputError

__all__ = [
    "GATES",
    "LOG_SCALES",
    "MAX_SESSION_BYTES",
    "MOST_INDICES",
    "Activation",
    "Bias",
    "CategoryInput",
    "Cell",
    "LayerSpec",
    "ModelSpec",
    "Readout",
    "SurprisePart",
]

Cell = Literal["gru", "lstm", "rnn"]
Bias = Literal["double", "single", "none"]
Activation = Literal["tanh", "relu"]
Readout = Literal["outputs", "top", "surprise"]

GATES: dict[str, tuple[str, ...]] = {
    "gru": ("r", "z", "n"),
    "lstm": ("i", "f", "g", "o"),
    "rnn": ("h",),
}
"""The gates of each cell, in the order in which weights and biases stack them."""

MAX_SESSION_BYTES = 512
"""UTF-8 bytes of a session id at most, wherever it stands."""

LOG_SCALES = (-5.0, 5.0)
"""Bounds of the log of a standard deviation that a head predicts."""

MOST_INDICES = 1 << 24
"""Indices that are float32 numbers, each and every one."""


class LayerSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One recurrent layer.

    Parameters
    ----------
    cell : {"gru", "lstm", "rnn"}
        The kind of cell. An LSTM keeps two vectors (h, c), the others one.
    hidden_size : int
        Units of the layer.
    reset_after : bool
        GRU only. True: the reset gate acts on the recurrent product (torch, cuDNN); False: on the
        state before the product (Cho et al. 2014).
    bias : {"double", "single", "none"}
        Separate input and recurrent biases (torch), one of both, or none.
    activation : {"tanh", "relu"}
        RNN only.
    layer_norm : bool
        Normalise the input product and the recurrent product, each as one vector over all gates,
        before the biases are added; an LSTM also normalises c where it goes into h
        (Ba, Kiros, Hinton 2016). Where the reset gate comes first, the candidate's product is a
        vector of its own.
    residual : bool
        What goes up from the layer is its state plus its input, which has the same size.
    bidirectional : bool
        A second direction, from a session's last event to its first, with weights of its own under
        ``backward``; its outputs stand behind those of the first. Such a layer cannot step: only
        whole sessions can be scored.
    peephole : bool
        LSTM only. i and f see c as it was, o as it becomes, each unit its own
        (Gers, Schmidhuber 2000).
    learned_initial_state : bool
        A session begins with a state that was learned, not with zeros.
    zoneout, zoneout_cell : float
        Share of h, and of an LSTM's c, that stays as it was at each step (Krueger et al. 2017):
        training draws units, everywhere else each unit keeps that share of its old value. h is made
        from c as it would be without.
    """

    cell: Cell
    hidden_size: int
    reset_after: bool = True
    bias: Bias = "double"
    activation: Activation = "tanh"
    layer_norm: bool = False
    residual: bool = False
    bidirectional: bool = False
    peephole: bool = False
    learned_initial_state: bool = False
    zoneout: float = 0.0
    zoneout_cell: float = 0.0

    def __post_init__(self) -> None:
        if self.hidden_size < 1:
            raise InputError(
                "bad_spec",
                f"{self.hidden_size} is not a number of units",
                field="hidden_size",
                hint="use 1 or more",
            )
        for name in ("zoneout", "zoneout_cell"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise InputError(
                    "bad_spec",
                    f"{getattr(self, name)!r} is no share of a state",
                    field=name,
                    hint="use 0 or more, less than 1",
                )
        only = {"peephole": "lstm", "zoneout_cell": "lstm"}
        for name, cell in only.items():
            if getattr(self, name) and self.cell != cell:
                raise InputError(
                    "bad_spec", f"a {self.cell} has none", field=name, hint=f"only {cell} has it"
                )

    @property
    def directions(self) -> tuple[str, ...]:
        """Names of the directions, as weights have them."""
        return ("forward", "backward") if self.bidirectional else ("forward",)

    @property
    def output_size(self) -> int:
        """Numbers that go up: h of each direction."""
        return self.hidden_size * len(self.directions)

    @property
    def state_size(self) -> int:
        """Floats of one session's state in this layer: h, for an LSTM also c, of each direction."""
        return self.output_size * (2 if self.cell == "lstm" else 1)

    def weight_shapes(self, input_size: int) -> dict[str, tuple[int, ...]]:
        """Return the name and shape of each array of one direction."""
        H, rows = self.hidden_size, self.hidden_size * len(GATES[self.cell])
        shapes: dict[str, tuple[int, ...]] = {"input": (rows, input_size), "recurrent": (rows, H)}
        if self.bias != "none":
            shapes["b_input"] = (rows,)
        if self.bias == "double":
            shapes["b_recurrent"] = (rows,)
        if self.layer_norm:
            shapes |= {"norm_input": (rows,), "norm_recurrent": (rows,)}
        if self.layer_norm and self.cell == "lstm":
            shapes |= {"norm_cell": (H,), "b_cell": (H,)}
        if self.peephole:
            shapes["peephole"] = (3 * H,)
        if self.learned_initial_state:
            shapes["initial"] = (self.state_size // len(self.directions),)
        return shapes


class CategoryInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A column of the encoded row that holds an index into an embedding table.

    Parameters
    ----------
    column : int
        Which column of the row.
    size : int
        Number of indices, index 0 (out of vocabulary) included.
    embedding_size : int
        Width of the learned vector that stands for each index.
    """

    column: int
    size: int
    embedding_size: int


class SurprisePart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A column of the encoded row that the head predicts before it sees the row.

    Parameters
    ----------
    kind : {"gaussian", "categorical"}
        ``gaussian``: the column is a number x with mean ``outputs[output]`` and ``log s``, the log
        of its standard deviation, ``outputs[output + 1]``, clipped to `LOG_SCALES`. Its surprise is
        ``((x - mean) / s)**2 / 2 + log s + log(2 pi) / 2`` nats. ``categorical``: the column is an
        index, and ``outputs[output:output + size]`` are the logits of its values. Its surprise is
        ``log(sum(exp(logits))) - logits[index]`` nats.
    column : int
        Which column of the row. An index is a category column of as many values as `size`, or a
        column of numbers that are 0, 1, ... ``size - 1``.
    output : int
        The first of its outputs.
    size : int
        How many outputs are the part's: 2 of a gaussian.
    missing : int, optional
        A column of numbers; a row that has 1 there has no value, and surprises by 0.
    """

    kind: Literal["gaussian", "categorical"]
    column: int
    output: int
    size: int = 2
    missing: int | None = None


class ModelSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A stack of recurrent layers between an encoded row and a linear head.

    Parameters
    ----------
    row_size : int
        Columns of an encoded row.
    layers : tuple of LayerSpec
        From the input up; at least one.
    output_size : int
        Outputs of the head.
    categories : tuple of CategoryInput
        The columns of the row that are indices. All other columns are numbers. The first layer's
        input is the numbers, in row order, followed by the embeddings, in the order given here.
    readout : {"outputs", "top", "surprise"}
        Which numbers an event is answered with, `answer_size` of them. ``outputs``: the head's
        outputs. ``top``: the `top` largest of them, falling, equal ones by index, then their
        indices. ``surprise``: the head reads the last layer's h as it was before the event, and
        predicts the event's row; the answer is minus the log likelihood of the row, in nats: the
        sum over `parts`, then each part's.
    top : int
        ``top``: how many.
    parts : tuple of SurprisePart
        ``surprise``: what is predicted.
    skip : bool
        Whether the head also reads the row's numbers: ``head.skip @ numbers`` is added to its
        outputs. (Not of ``surprise``, which is not to see them.)

    Examples
    --------
    >>> spec = ModelSpec(row_size=5, layers=(LayerSpec("gru", 8), LayerSpec("lstm", 4)),
    ...                  output_size=1, categories=(CategoryInput(4, 10, 3),))
    >>> spec.input_sizes, spec.state_size, spec.answer_size
    ((7, 8), 16, 1)
    """

    row_size: int
    layers: tuple[LayerSpec, ...]
    output_size: int
    categories: tuple[CategoryInput, ...] = ()
    readout: Readout = "outputs"
    top: int = 0
    parts: tuple[SurprisePart, ...] = ()
    skip: bool = False

    def __post_init__(self) -> None:
        columns = [category.column for category in self.categories]
        rules = {
            "row_size": self.row_size >= 1,
            "layers": len(self.layers) >= 1,
            "output_size": self.output_size >= 1,
            "categories": len(set(columns)) == len(columns)
            and all(0 <= c < self.row_size for c in columns)
            and all(c.size >= 1 and c.embedding_size >= 1 for c in self.categories),
        }
        for field, holds in rules.items():
            if not holds:
                raise _bad_spec(
                    field,
                    f"{getattr(self, field)!r} does not make a model",
                    "a model has columns, layers and outputs, and distinct category columns",
                )
        for index, (layer, size) in enumerate(zip(self.layers, self.input_sizes, strict=True)):
            dense = index > 0 or not self.categories
            if layer.residual and not (dense and size == layer.output_size):
                raise _bad_spec(
                    f"layers.{index}.residual",
                    f"the input has {size} numbers and the state {layer.output_size}"
                    if dense
                    else "the input holds categories, which are no numbers to add",
                    "use residual where a layer's input and state have the same size",
                )
        self._check_readout()

    def _check_readout(self) -> None:
        most = min(self.output_size, MOST_INDICES)
        if not (1 <= self.top <= most if self.readout == "top" else self.top == 0):
            raise _bad_spec(
                "top",
                f"{self.top} of {self.output_size} outputs, with readout {self.readout!r}",
                f"use 1 to {most} with readout 'top', else 0",
            )
        if self.readout == "top" and self.output_size > MOST_INDICES:
            raise _bad_spec(
                "output_size",
                f"{self.output_size} indices are not all float32 numbers",
                f"use {MOST_INDICES} outputs at most with readout 'top'",
            )
        if bool(self.parts) != (self.readout == "surprise"):
            raise _bad_spec(
                "parts",
                f"there are {len(self.parts)}, with readout {self.readout!r}",
                "use one or more with readout 'surprise', else none",
            )
        if self.skip and (self.readout == "surprise" or not self.number_columns):
            raise _bad_spec(
                "skip",
                "the head would read the row that it predicts"
                if self.readout == "surprise"
                else "the row has no numbers",
                "leave skip out",
            )
        if self.readout == "surprise":
            self._check_parts()

    def _check_parts(self) -> None:
        for index, layer in enumerate(self.layers):
            last = index == len(self.layers) - 1
            for option in ("bidirectional", *(["residual"] if last else [])):
                if getattr(layer, option):
                    raise _bad_spec(
                        f"layers.{index}.{option}",
                        "with readout 'surprise' the head reads the state before the event alone",
                        f"leave {option} out",
                    )
        numbers = set(self.number_columns)
        indices = {category.column: category.size for category in self.categories}
        for index, part in enumerate(self.parts):
            is_index = part.kind == "categorical"
            rules = {
                "column": part.column in (numbers | indices.keys() if is_index else numbers),
                "missing": part.missing is None or part.missing in numbers,
                "size": part.size == indices.get(part.column, part.size) >= 1
                if is_index
                else part.size == 2,
                "output": 0 <= part.output <= self.output_size - part.size,
            }
            for field, holds in rules.items():
                if not holds:
                    raise _bad_spec(
                        f"parts.{index}.{field}",
                        f"{getattr(part, field)!r} does not fit the row and the outputs",
                        "a part has a column of numbers or, categorical, one of indices of its "
                        "size, and outputs of the head",
                    )

    @property
    def number_columns(self) -> tuple[int, ...]:
        """Columns of the row that are numbers, in row order."""
        indices = {category.column for category in self.categories}
        return tuple(c for c in range(self.row_size) if c not in indices)

    @property
    def input_sizes(self) -> tuple[int, ...]:
        """Input width of each layer."""
        numbers = self.row_size - len(self.categories)
        first = numbers + sum(c.embedding_size for c in self.categories)
        return (first, *(layer.output_size for layer in self.layers[:-1]))

    @property
    def streams(self) -> bool:
        """Whether events can be answered as they come.

        A layer of two directions sees a session's last event first: such a model can only score
        whole sessions.

        Examples
        --------
        >>> ModelSpec(2, (LayerSpec("gru", 4, bidirectional=True),), 1).streams
        False
        """
        return not any(layer.bidirectional for layer in self.layers)

    @property
    def answer_size(self) -> int:
        """Numbers that an event is answered with; see `readout`.

        Examples
        --------
        >>> ModelSpec(2, (LayerSpec("gru", 4),), 40, readout="top", top=5).answer_size
        10
        """
        if self.readout == "top":
            return 2 * self.top
        return 1 + len(self.parts) if self.readout == "surprise" else self.output_size

    @property
    def state_size(self) -> int:
        """Floats of one session's hidden state: layers in order; an LSTM's h, then its c."""
        return sum(layer.state_size for layer in self.layers)

    @property
    def parameters(self) -> int:
        """Numbers that the model has learned."""
        return sum(math.prod(shape) for shape in self.weight_shapes().values())

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the name and shape of every array of the bundle's weight layout.

        Examples
        --------
        >>> spec = ModelSpec(row_size=2, layers=(LayerSpec("gru", 3),), output_size=1)
        >>> for name, shape in spec.weight_shapes().items():
        ...     print(name, shape)
        layers.0.forward.input (9, 2)
        layers.0.forward.recurrent (9, 3)
        layers.0.forward.b_input (9,)
        layers.0.forward.b_recurrent (9,)
        head.weight (1, 3)
        head.bias (1,)
        """
        shapes: dict[str, tuple[int, ...]] = {
            f"embeddings.{c.column}": (c.size, c.embedding_size) for c in self.categories
        }
        for index, (layer, input_size) in enumerate(
            zip(self.layers, self.input_sizes, strict=True)
        ):
            for direction in layer.directions:
                for name, shape in layer.weight_shapes(input_size).items():
                    shapes[f"layers.{index}.{direction}.{name}"] = shape
        shapes["head.weight"] = (self.output_size, self.layers[-1].output_size)
        shapes["head.bias"] = (self.output_size,)
        if self.skip:
            shapes["head.skip"] = (self.output_size, len(self.number_columns))
        return shapes


def _bad_spec(field: str, what: str, hint: str) -> InputError:
    return InputError("bad_spec", what, field=field, hint=hint)
