"""What a layer is given, looked at before anything is done with it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from tidegate.errors import InputError

__all__ = ["check_events", "check_lengths", "check_state", "transforms"]

_AUTOCAST = (torch.float32, torch.bfloat16, torch.float16)
"""What torch.autocast turns into one another."""


def check_events(
    x: object,
    input_size: int,
    weight: Tensor,
    *,
    axes: tuple[str, ...] = ("sessions", "steps"),
    name: str = "x",
) -> None:
    """Refuse events that are not (*axes, input_size) of the weights' type and device.

    Raises
    ------
    InputError
        ``bad_input``.
    """
    wanted = f"give ({', '.join(axes)}, {input_size})"
    if not isinstance(x, Tensor):
        packed = "the padded tensor, and lengths=" if isinstance(x, PackedSequence) else "a tensor"
        raise _bad("bad_input", name, f"is a {type(x).__name__}", f"give {packed}")
    if x.dim() != len(axes) + 1 or x.shape[-1] != input_size:
        raise _bad("bad_input", name, x.shape, wanted)
    _check_kind(x, weight, "bad_input", name)


def check_state(
    state: object, shapes: Sequence[tuple[int, ...]], weight: Tensor
) -> tuple[Tensor, ...]:
    """Refuse a state that has not a tensor of each shape, of the weights' type and device.

    Parameters
    ----------
    state : tensor or tuple of tensors
        A tensor alone counts as a tuple of one.
    shapes : sequence of tuple
        What each must have.
    weight : tensor
        One of the weights.

    Returns
    -------
    tuple of tensors
        The state.

    Raises
    ------
    InputError
        ``bad_state``.
    """
    parts = (state,) if isinstance(state, Tensor) else state
    wanted = f"give {', '.join(map(str, dict.fromkeys(shapes)))}, {len(shapes)} in all"
    if not isinstance(parts, (tuple, list)):
        raise _bad("bad_state", "state", f"is a {type(state).__name__}", wanted)
    if len(parts) != len(shapes):
        raise _bad("bad_state", "state", f"{len(parts)} tensors", wanted)
    for part, shape in zip(parts, shapes, strict=True):
        if not isinstance(part, Tensor):
            raise _bad("bad_state", "state", f"has a {type(part).__name__}", wanted)
        if part.shape != shape:
            raise _bad("bad_state", "state", part.shape, f"give {shape}")
        _check_kind(part, weight, "bad_state", "state")
    return tuple(parts)


def check_lengths(lengths: Tensor, sessions: int, steps: int) -> None:
    """Refuse lengths that do not fit a tensor of (sessions, steps, ...).

    Raises
    ------
    InputError
        ``bad_lengths``.

    Examples
    --------
    >>> check_lengths(torch.tensor([3, 9]), 2, 5)
    Traceback (most recent call last):
        ...
    tidegate.errors.InputError: lengths: session 1 has 9 steps, x has 5 (bad_lengths); lengths count
    real steps, from 0 to 5
    """
    given = isinstance(lengths, Tensor)
    whole = given and lengths.dtype in (torch.int64, torch.int32) and not lengths.is_meta
    if not whole or lengths.shape != (sessions,):
        raise InputError(
            "bad_lengths",
            f"{lengths.dtype} of shape {tuple(lengths.shape)} on {lengths.device}"
            if given
            else f"is a {type(lengths).__name__}",
            field="lengths",
            hint=f"give a tensor of one whole number for each of the {sessions} sessions",
        )
    if torch.compiler.is_compiling():
        return
    least, most = lengths.aminmax() if sessions else (0, 0)
    if least < 0 or most > steps:
        session = int(((lengths < 0) | (lengths > steps)).nonzero()[0])
        raise InputError(
            "bad_lengths",
            f"session {session} has {int(lengths[session])} steps, x has {steps}",
            field="lengths",
            hint=f"lengths count real steps, from 0 to {steps}",
        )


def transforms() -> bool:
    """Say whether torch.func looks on: it sees into torch's operators alone."""
    return torch._C._are_functorch_transforms_active()  # noqa: SLF001 - no other way


def _check_kind(x: Tensor, weight: Tensor, code: str, field: str) -> None:
    if x.device != weight.device:
        hint = "move both to one device"
        raise _bad(code, field, f"on {x.device}, the weights on {weight.device}", hint)
    if x.dtype != weight.dtype and not (x.dtype in _AUTOCAST and _mixes(x.device.type)):
        hint = f"convert it: {field}.to({weight.dtype})"
        raise _bad(code, field, f"{x.dtype}, the weights are {weight.dtype}", hint)


def _mixes(device: str) -> bool:
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def _bad(code: str, field: str, what: object, hint: str) -> InputError:
    found = f"of shape {tuple(what)}" if isinstance(what, torch.Size) else str(what)
    return InputError(code, found, field=field, hint=hint)
