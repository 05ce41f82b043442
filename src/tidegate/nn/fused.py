"""A layer's steps in the C core, as operators that torch can trace and differentiate.

The operators take the inputs' product and give h of every event. What stands in the columns of a row is
told in native/train.h; in short, a GRU's candidate comes first (n, r, z), so that the gradients of both
products lie side by side without a copy.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from tidegate import _core
from tidegate.nn.cells import CellBase, Gates, GRUCell, LSTMCell, RNNCell, State
from tidegate.nn.noise import Noise
from tidegate.nn.rows import Rows

__all__ = ["run", "takes"]


def takes(cell: CellBase, x: Tensor) -> bool:
    """Say whether the C core can take the cell's steps over such an input.

    Parameters
    ----------
    cell : CellBase
        With float32 weights on a CPU, or not.
    x : tensor
        Events: float32, or under torch's autocast to bfloat16.
    """
    if x.device.type != "cpu" or cell.recurrent.device.type != "cpu":
        return False
    if cell.recurrent.dtype != torch.float32:
        return False
    if torch.is_autocast_enabled("cpu"):
        return torch.get_autocast_dtype("cpu") == torch.bfloat16
    return x.dtype == torch.float32


def run(
    cell: CellBase,
    x: Tensor,
    state: State,
    rows: Rows,
    noise: Noise,
    *,
    reverse: bool = False,
    recompute: bool = False,
    gates: bool = False,
) -> tuple[Tensor, State, Gates]:
    """Take all events of some sessions; see `composed.run`.

    Parameters
    ----------
    recompute : bool
        Make what the backward pass needs anew there, instead of keeping it.
    gates : bool
        Whether the gates' values are wanted; else none are returned.
    """

    def steps() -> tuple[Tensor, ...]:
        return _run(cell, x, state, rows, noise, reverse=reverse, save=gates or trains)

    trains = torch.is_grad_enabled()
    if recompute and trains:
        found = checkpoint(steps, use_reentrant=False, preserve_rng_state=False)
    else:
        found = steps()
    y, h, c, kept = found
    return y, (h, c)[: len(state)], _gates_of(cell, kept) if gates else ()


def _run(
    cell: CellBase, x: Tensor, state: State, rows: Rows, noise: Noise, *, reverse: bool, save: bool
) -> tuple[Tensor, ...]:
    h, *more = (each.float().contiguous() for each in state)
    return sequence(
        _kind(cell),
        "bf16" if torch.is_autocast_enabled("cpu") else "fp32",
        torch.nn.functional.linear(x, _candidate_first(cell, cell.input)),
        cell.recurrent if noise.weight is None else cell.recurrent * noise.weight,
        _vectors(cell),
        h,
        more[0] if more else None,
        noise.mask,
        *_keeps(noise),
        rows.lengths,
        rows.offsets,
        norm=cell.norm_recurrent is not None,
        peephole=isinstance(cell, LSTMCell) and cell.peephole is not None,
        reverse=reverse,
        padded=rows.padded,
        save=save,
    )[:4]


def _kind(cell: CellBase) -> str:
    """Return the cell's name in the C core."""
    if isinstance(cell, RNNCell):
        return f"rnn_{cell.activation}"
    return "gru_before" if isinstance(cell, GRUCell) and not cell.reset_after else cell.cell


def _candidate_first(cell: CellBase, rows: Tensor) -> Tensor:
    """Bring r, z, n into the order n, r, z; gates of other cells stay."""
    if not isinstance(cell, GRUCell):
        return rows
    r_z, n = rows.split([2 * cell.hidden_size, cell.hidden_size])
    return torch.cat([n, r_z])


def _biases(cell: CellBase) -> Tensor:
    """Return one bias for each sum: both products' where they are added, apart where r is between."""
    zero = cell.recurrent.new_zeros(len(cell.recurrent))
    of_input = zero if cell.b_input is None else cell.b_input
    of_recurrent = zero if cell.b_recurrent is None else cell.b_recurrent
    if not isinstance(cell, GRUCell):
        return of_input + of_recurrent
    if not cell.reset_after:
        return _candidate_first(cell, of_input + of_recurrent)
    size = cell.hidden_size
    r_z, n = (of_input[: 2 * size] + of_recurrent[: 2 * size]), of_input[2 * size :]
    return torch.cat([n, r_z, of_recurrent[2 * size :]])


def _vectors(cell: CellBase) -> Tensor:
    """Return bias, gains and peepholes, one behind the other."""
    parts = [_biases(cell)]
    if cell.norm_input is not None and cell.norm_recurrent is not None:
        parts += [_candidate_first(cell, cell.norm_input), cell.norm_recurrent]
    if isinstance(cell, LSTMCell):
        parts += [cell.norm_cell, cell.b_cell, cell.peephole]
    return torch.cat([part for part in parts if part is not None])


def _keeps(noise: Noise) -> tuple[Tensor | None, Tensor | None, float, float]:
    keeps = (noise.keep, noise.keep_cell)
    drawn = [keep if isinstance(keep, Tensor) else None for keep in keeps]
    rates = [0.0 if isinstance(keep, Tensor) else keep for keep in keeps]
    return drawn[0], drawn[1], rates[0], rates[1]


def _gates_of(cell: CellBase, kept: Tensor) -> Gates:
    """Return the gates' values in the order of `tidegate.spec.GATES`."""
    columns = {"gru": (1, 2, 0), "lstm": (0, 1, 2, 3), "rnn": (0,)}[cell.cell]
    size = cell.hidden_size
    return tuple(kept[:, at * size : (at + 1) * size] for at in columns)


# -- The operators ------------------------------------------------------------------------------------


@torch.library.custom_op("tidegate::sequence", mutates_args=(), device_types="cpu")
def sequence(
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
    found = _outputs(cell, a, h, c, norm=norm, padded=padded, save=save)
    call.give(zip(("y", "h_end", "c_end", "kept", "moments"), found, strict=True))
    _core.sequence_forward(cell, precision, torch.get_num_threads(), call.given)
    return found


@torch.library.custom_op("tidegate::sequence_backward", mutates_args=(), device_types="cpu")
def sequence_backward(
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
    """Return the gradients of `sequence`: d (see native/train.h), of h, c and the vectors."""
    call = _Call(locals())
    found = _gradients(cell, precision, y, h, c, vectors, norm=norm, padded=padded)
    call.give(zip(("d", "dh", "dc", "sums"), found, strict=True))
    _core.sequence_backward(cell, precision, torch.get_num_threads(), call.given)
    return found


def _outputs(
    cell: str, a: Tensor, h: Tensor, c: Tensor | None, *, norm: bool, padded: bool, save: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    rows, size = a.shape[0], h.shape[1]
    new = h.new_zeros if padded else h.new_empty
    return (
        new(rows, size),
        torch.empty_like(h),
        h.new_empty(0) if c is None else torch.empty_like(c),
        new(rows, _layout(cell, norm).kept * size) if save else h.new_empty(0),
        new(rows, 6) if save and norm else h.new_empty(0),
    )


def _gradients(
    cell: str,
    precision: str,
    y: Tensor,
    h: Tensor,
    c: Tensor | None,
    vectors: Tensor,
    *,
    norm: bool,
    padded: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rows, size = y.shape
    dtype = _TYPES[precision]
    new = y.new_zeros if padded else y.new_empty
    return (
        new(rows, _layout(cell, norm).d * size, dtype=dtype),
        torch.empty_like(h),
        h.new_empty(0) if c is None else torch.empty_like(c),
        torch.zeros_like(vectors),
    )


@sequence.register_fake
def _(cell, precision, a, weight, vectors, h, c, *more):  # type: ignore[no-untyped-def]
    norm, _, _, padded, save = more[-5:]
    return _outputs(cell, a, h, c, norm=norm, padded=padded, save=save)


@sequence_backward.register_fake
def _(  # type: ignore[no-untyped-def]
    cell, precision, dy, dh_end, dc_end, a, y, kept, moments, weight, vectors, h, c, *more
):
    norm, _, _, padded = more[-4:]
    return _gradients(cell, precision, y, h, c, vectors, norm=norm, padded=padded)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    y, _, _, kept, moments = output
    a = inputs[2] if inputs[14] else None  # what was normalised is looked at again
    ctx.mark_non_differentiable(kept, moments)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(a, y, kept, moments, *inputs[3:10], *inputs[12:14])
    ctx.words, ctx.rates, ctx.flags = inputs[:2], inputs[10:12], inputs[14:]


def _backward(
    ctx: Any, dy: Tensor | None, dh_end: Tensor | None, dc_end: Tensor | None, *_: Any
) -> tuple[Any, ...]:
    a, y, kept, moments, weight, vectors, h, c, *noise, lengths, offsets = ctx.saved_tensors
    cell, norm, size = ctx.words[0], ctx.flags[0], h.shape[1]
    common = (weight, vectors, h, c, *noise, *ctx.rates, lengths, offsets, *ctx.flags[:4])
    d, dh, dc, sums = sequence_backward(
        *ctx.words,
        *(None if each is None else each.contiguous() for each in (dy, dh_end, dc_end)),
        a,
        y,
        kept,
        moments,
        *common,
    )
    layout = _layout(cell, norm)

    def columns(start: int, count: int) -> Tensor:
        return d[:, start * size : (start + count) * size]

    h_in = columns(layout.operands, 1)
    if cell == "gru_before":
        d_weight = torch.cat(
            [
                columns(layout.raw, 2).T @ h_in,
                columns(layout.raw_candidate, 1).T @ columns(layout.operands + 1, 1),
            ]
        )
    else:
        d_weight = columns(layout.raw, layout.a).T @ h_in
    return (
        *(None, None, columns(0, layout.a), d_weight.float(), sums, dh, None if c is None else dc),
        *(None,) * 12,
    )


sequence.register_autograd(_backward, setup_context=_setup)


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
        self.given: dict[str, int | float | bool] = {"hidden_size": size, "sessions": sessions}
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
        "moments": (rows, 6),
    }
