"""Whole sequences of one layer as operators that torch can trace and differentiate.

They take the inputs' product and give h of every event. What stands in the columns of a row is told
in native/train.h; in short, a GRU's candidate comes first (n, r, z), so that the gradients of both
products lie side by side without a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from inspect import signature
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from tidegate import _core
from tidegate.errors import InputError

__all__ = ["operator", "sequence"]


def sequence(*arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Take all events of some sessions; the arguments and results are those of `operator`.

    Traced, it is the operator; else a function of torch's autograd, which costs less to call.
    """
    take = operator if torch.compiler.is_compiling() else _Sequence.apply
    found = take(*arguments)
    return cast("tuple[Tensor, Tensor, Tensor, Tensor, Tensor]", found)


def _forward(
    cell: str,
    precision: str,
    a: Tensor,
    weight: Tensor,
    vectors: Tensor,
    h: Tensor,
    c: Tensor | None,
    mask: Tensor | None,
    keep: Tensor | None,
    keep_cell: Tensor | None,
    keep_rate: float,
    keep_cell_rate: float,
    lengths: Tensor,
    offsets: Tensor,
    norm: bool,
    peephole: bool,
    reverse: bool,
    padded: bool,
    save: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Take all events of some sessions.

    Parameters
    ----------
    cell, precision : str
        In the words of the C core.
    a : tensor (rows, gates * hidden_size)
        The inputs' product.
    weight : tensor (gates * hidden_size, hidden_size)
        Of the recurrent product.
    vectors : tensor (n,)
        Biases, then, with `norm`, the gains of the inputs' and of the recurrent product, and of an
        LSTM gain and bias of c; then, with `peephole`, its weights.
    h, c : tensor (B, hidden_size)
        Before the first step.
    mask, keep, keep_cell, keep_rate, keep_cell_rate
        As in `Noise`.
    lengths, offsets : int64 tensor (B,)
        As in `Rows`.
    norm, peephole, reverse : bool
        Options of the layer; from the last event to the first.
    padded : bool
        Whether some rows are no session's.
    save : bool
        Whether `kept` is wanted.

    Returns
    -------
    y : tensor (rows, hidden_size)
        h after each event.
    h, c : tensor (B, hidden_size)
        After the last step; c is empty where the cell has none.
    kept, moments : tensor (rows, n)
        What the backward pass reads; else empty.
    """
    call = _Call(locals())
    found = _outputs(locals())
    call.give(zip(("y", "h_end", "c_end", "kept", "moments"), found, strict=True))
    _core.sequence_forward(cell, precision, torch.get_num_threads(), call.given)
    return found


def _backward(
    cell: str,
    precision: str,
    dy: Tensor | None,
    dh_end: Tensor | None,
    dc_end: Tensor | None,
    a: Tensor | None,
    y: Tensor,
    kept: Tensor,
    moments: Tensor,
    weight: Tensor,
    vectors: Tensor,
    h: Tensor,
    c: Tensor | None,
    mask: Tensor | None,
    keep: Tensor | None,
    keep_cell: Tensor | None,
    keep_rate: float,
    keep_cell_rate: float,
    lengths: Tensor,
    offsets: Tensor,
    norm: bool,
    peephole: bool,
    reverse: bool,
    padded: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of `_forward`: d (see native/train.h), of h, c and the vectors."""
    call = _Call(locals())
    found = _gradients(locals())
    call.give(zip(("d", "dh", "dc", "sums"), found, strict=True))
    _core.sequence_backward(cell, precision, torch.get_num_threads(), call.given)
    return found


def _outputs(call: Mapping[str, Any]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    h, c, save, norm = call["h"], call["c"], call["save"], call["norm"]
    rows, size = call["a"].shape[0], h.shape[1]
    new = h.new_zeros if call["padded"] else h.new_empty
    return (
        new(rows, size),
        torch.empty_like(h),
        h.new_empty(0) if c is None else torch.empty_like(c),
        _large(h, call["padded"], rows, _layout(call["cell"], norm).kept * size, torch.float32)
        if save
        else h.new_empty(0),
        new(rows, _core.MOMENTS) if save and norm else h.new_empty(0),
    )


def _gradients(call: Mapping[str, Any]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    y, h, c = call["y"], call["h"], call["c"]
    width = _layout(call["cell"], call["norm"]).d * y.shape[1]
    return (
        _large(y, call["padded"], y.shape[0], width, _TYPES[call["precision"]]),
        torch.empty_like(h),
        h.new_empty(0) if c is None else torch.empty_like(c),
        torch.zeros_like(call["vectors"]),
    )


def _large(like: Tensor, padded: bool, rows: int, columns: int, dtype: torch.dtype) -> Tensor:
    """Return a new matrix: of zeros if `padded`; large ones from memory that steps share."""
    size = rows * columns * dtype.itemsize
    if padded:
        return like.new_zeros(rows, columns, dtype=dtype)
    if size < _LARGE or type(like) is not Tensor:  # of what torch traces there is no memory
        return like.new_empty(rows, columns, dtype=dtype)
    memory: Tensor = _core.block(size)
    return memory.view(dtype).view(rows, columns)


_LARGE = 1 << 20
"""Bytes from which on fresh memory costs more than a call to `_core.block`."""


_ARGUMENTS = tuple(signature(_forward).parameters)
_SAVED = ("weight", "vectors", "h", "c", "mask", "keep", "keep_cell", "lengths", "offsets")
_PLAIN = (
    "cell",
    "precision",
    "keep_rate",
    "keep_cell_rate",
    "norm",
    "peephole",
    "reverse",
    "padded",
)
"""Arguments that the backward pass takes too: tensors, and others."""


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    given = dict(zip(_ARGUMENTS, inputs, strict=True))
    y, _, _, kept, moments = output
    a = given["a"] if given["norm"] else None  # what was normalised is looked at again
    ctx.mark_non_differentiable(kept, moments)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(a, y, kept, moments, *(given[name] for name in _SAVED))
    ctx.plain = {name: given[name] for name in _PLAIN}


def _differentiate(
    backward: Callable[..., Any], ctx: Any, *given: Tensor | None
) -> tuple[Any, ...]:
    """Return the gradients of `_forward`'s arguments, from those of its results."""
    gradients = dict(zip(("dy", "dh_end", "dc_end"), given, strict=False))
    a, y, kept, moments, *saved = ctx.saved_tensors
    if y.numel() and not kept.numel():
        raise InputError(
            "nothing_kept",
            "the layer was exported where no gradients were wanted",
            field="export",
            hint="export it outside of torch.no_grad, or train the layer itself",
        )
    tensors, plain = dict(zip(_SAVED, saved, strict=True)), ctx.plain
    found = backward(
        **{name: None if d is None else d.contiguous() for name, d in gradients.items()},
        a=a,
        y=y,
        kept=kept,
        moments=moments,
        **tensors,
        **plain,
    )
    d, dh, dc, sums = found
    cell, size = plain["cell"], y.shape[1]
    layout = _layout(cell, plain["norm"])

    def columns(start: int, count: int) -> Tensor:
        part: Tensor = d[:, start * size : (start + count) * size]
        return part

    def of_weight() -> Tensor:
        h_in = columns(layout.operands, 1)
        if cell != "gru_before":
            return (columns(layout.raw, layout.a).T @ h_in).float()
        r_z = columns(layout.raw, 2).T @ h_in
        n = columns(layout.raw_candidate, 1).T @ columns(layout.operands + 1, 1)
        return torch.cat([r_z, n]).float()

    wanted = ctx.needs_input_grad[_ARGUMENTS.index("weight")]
    of_arguments = {
        "a": columns(0, layout.a),
        "weight": of_weight() if wanted else None,
        "vectors": sums,
        "h": dh,
        "c": None if tensors["c"] is None else dc,
    }
    return tuple(of_arguments.get(name) for name in _ARGUMENTS)


class _Sequence(torch.autograd.Function):
    """Without the operators' way through the dispatcher, which takes as long as a small layer."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, ...]:
        """Take the events; with its context at hand, torch looks at no signature."""
        found = _forward(*arguments)
        _setup(ctx, arguments, found)
        return found

    @staticmethod
    def backward(ctx: Any, *given: Tensor | None) -> tuple[Any, ...]:
        """Return the gradients; the C core has no derivatives of them."""
        if torch.is_grad_enabled():
            raise InputError(
                "no_second_derivative",
                "the C core has first derivatives only",
                field="create_graph",
                hint="convert the layer and its input to float64: the loop over the cell has more",
            )
        return _differentiate(_backward, ctx, *given)


def _operator(name: str, function: Callable[..., Any], outputs: Callable[..., Any]) -> Any:
    """Make an operator that torch can trace: what its outputs are follows from its arguments."""
    made = torch.library.custom_op(name, function, mutates_args=(), device_types="cpu")
    bind = signature(function).bind
    made.register_fake(lambda *given, **named: outputs(bind(*given, **named).arguments))
    return made


operator = _operator("tidegate::sequence", _forward, _outputs)
_backward_operator = _operator("tidegate::sequence_backward", _backward, _gradients)
operator.register_autograd(partial(_differentiate, _backward_operator), setup_context=_setup)


_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
"""Of the products' operands and results, by precision."""


class _Layout(NamedTuple):
    """Columns of a row, in hidden sizes."""

    a: int
    kept: int
    d: int
    bias: int
    raw: int
    raw_candidate: int
    operands: int


@cache
def _layout(cell: str, norm: bool) -> _Layout:
    return _Layout(*_core.sequence_layout(cell, norm))


class _Call:
    """The sizes and addresses of a call, of tensors that were looked at."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self.shapes = _shapes(arguments)
        wide = _TYPES[arguments["precision"]]
        self.types = {"lengths": torch.int64, "offsets": torch.int64, "a": wide, "d": wide}
        sessions, size = arguments["h"].shape
        rows = self.shapes["y"][0]
        self.given: dict[str, int | float | bool] = {
            "hidden_size": size,
            "sessions": sessions,
            "rows": rows,
        }
        for name in ("reverse", "norm", "peephole", "keep_rate", "keep_cell_rate"):
            self.given[name] = arguments[name]
        self.give((name, arguments.get(name)) for name in self.shapes)

    def give(self, tensors: Iterable[tuple[str, Tensor | None]]) -> None:
        for name, tensor in tensors:
            if tensor is None or not tensor.numel():
                continue
            dtype = self.types.get(name, torch.float32)
            if tensor.shape != self.shapes[name] or tensor.dtype != dtype:
                raise ValueError(f"{name}: not {dtype} of shape {self.shapes[name]}")
            if not tensor.is_contiguous():
                raise ValueError(f"{name}: not contiguous")
            self.given[name] = tensor.data_ptr()


def _shapes(arguments: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the shape that each tensor of a call must have."""
    cell, norm = arguments["cell"], arguments["norm"]
    sessions, size = arguments["h"].shape
    rows = len(arguments["y"] if "y" in arguments else arguments["a"])
    layout = _layout(cell, norm)
    gates = layout.a
    vectors = layout.bias + (2 * gates + (2 if cell == "lstm" else 0) if norm else 0)
    vectors += 3 if arguments["peephole"] else 0
    states = ("h", "c", "h_end", "c_end", "dh", "dc", "dh_end", "dc_end", "mask")
    return {
        **dict.fromkeys(states, (sessions, size)),
        **dict.fromkeys(("y", "dy", "keep", "keep_cell"), (rows, size)),
        **dict.fromkeys(("vectors", "sums"), (vectors * size,)),
        **dict.fromkeys(("lengths", "offsets"), (sessions,)),
        "a": (rows, gates * size),
        "weight": (gates * size, size),
        "kept": (rows, layout.kept * size),
        "d": (rows, layout.d * size),
        "moments": (rows, _core.MOMENTS),
    }
