"""A layer's steps in the C core: from a cell's parameters to the operators of `sequence`."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from tidegate.nn.cells import CellBase, Gates, GRUCell, LSTMCell, RNNCell, State
from tidegate.nn.checks import transforms
from tidegate.nn.noise import Noise
from tidegate.nn.rows import Rows
from tidegate.nn.sequence import sequence

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
    if cell.recurrent.dtype != torch.float32 or transforms():
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
        cell.norm_recurrent is not None,
        isinstance(cell, LSTMCell) and cell.peephole is not None,
        reverse,
        rows.padded,
        save,
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
    return torch.cat([rows[2 * cell.hidden_size :], rows[: 2 * cell.hidden_size]])


def _biases(cell: CellBase) -> Tensor:
    """Return a bias for each sum: both products' in one, but for n's where r is between."""
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
    parts: list[Tensor | None] = [_biases(cell)]
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
