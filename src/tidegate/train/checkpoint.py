"""Checkpoints: all that an interrupted training run needs to go on to the same weights.

One file: tensors as safetensors, the rest as JSON in its header. Never pickle. It is replaced
atomically at the end of each epoch, so that a Ctrl-C, or a kill, costs the interrupted epoch alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors import torch as safetensors

from tidegate import files
from tidegate.errors import InputError
from tidegate.train.bad_batches import BadBatch
from tidegate.train.given import Given
from tidegate.train.history import Epoch
from tidegate.train.schedules import Plateau

__all__ = [
    "Checkpoint",
    "Position",
    "State",
    "load",
    "optimizer_state",
    "optimizer_tensors",
    "position",
    "save",
]

Tensors = Mapping[str, torch.Tensor]

State = Mapping[str, Tensors]
"""All that a step changes: the tensors of ``model``, ``optimizer``, ``ema`` and ``scaler``."""

_PARTS = ("model", "optimizer", "ema", "scaler", "best")
_DAMAGE = (SafetensorError, msgspec.MsgspecError, KeyError, TypeError)


class Position(msgspec.Struct):
    """How far a run is.

    Parameters
    ----------
    key : str
        Tells what is trained on what; only a run with the same key may go on.
    step : int
        Steps so far, skipped ones too.
    history : list of Epoch
        Finished epochs.
    best_epoch : int
        The one whose weights are kept; 0 before the first.
    best_value : float
        Its watched metric.
    plateau : Plateau
        Where the schedule stands, if it has a memory.
    bad_in_a_row : int
        Batches skipped since the last one that was learned from.
    returns : int
        Times that training went back to an epoch's beginning; each halved the learning rate.
    bad_batches : list of BadBatch
        The first batches that were skipped.
    given : Given, optional
        What the run was given.
    skipped, returned : int
        Batches skipped, and times that training went back, in the epoch that goes on.
    """

    key: str
    step: int = 0
    history: list[Epoch] = msgspec.field(default_factory=list)
    best_epoch: int = 0
    best_value: float = 0.0
    plateau: Plateau = Plateau()
    bad_in_a_row: int = 0
    returns: int = 0
    bad_batches: list[BadBatch] = msgspec.field(default_factory=list)
    given: Given | None = None
    skipped: int = 0
    returned: int = 0


@dataclass(frozen=True)
class Checkpoint:
    """A run at the end of an epoch.

    Parameters
    ----------
    position : Position
        How far it is.
    state : mapping of str to mapping of str to tensor
        Weights now, the optimiser's memory (`optimizer_tensors`), and what else a step changes.
    best : mapping of str to tensor
        Weights of the best epoch.
    rng : uint8 tensor
        State of torch's generator.
    """

    position: Position
    state: State
    best: Tensors
    rng: torch.Tensor


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint whole, or leave the file as it was.

    Raises
    ------
    InputError
        ``cannot_write``.
    """
    tensors = {"rng": checkpoint.rng}
    for part, named in {**checkpoint.state, "best": checkpoint.best}.items():
        for name, tensor in named.items():
            tensors[f"{part}/{name}"] = tensor.detach().clone(memory_format=torch.contiguous_format)
    header = {"tidegate": msgspec.json.encode(checkpoint.position).decode()}
    files.write_file(path, safetensors.save(tensors, header))


def load(path: Path, key: str) -> Checkpoint | None:
    """Read a checkpoint.

    Parameters
    ----------
    path : Path
        As given to `save`.
    key : str
        Of the run that wants to go on.

    Returns
    -------
    Checkpoint or None
        None: there is no such file.

    Raises
    ------
    InputError
        ``checkpoint_damaged``, or ``checkpoint_mismatch``: it belongs to another run.
    """
    if not path.exists():
        return None
    parts: dict[str, dict[str, torch.Tensor]] = {part: {} for part in _PARTS}
    try:
        with safe_open(path, framework="pt") as file:
            found = _position(file.metadata())
            rng = file.get_tensor("rng")
            for name in set(file.keys()) - {"rng"}:
                part, _, rest = name.partition("/")
                parts[part][rest] = file.get_tensor(name)
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    if found.key != key:
        raise InputError(
            "checkpoint_mismatch",
            f"{str(path)!r} is of a run with another configuration or other data",
            field="resume",
            hint="restore what was changed, delete the file, or begin anew without resuming",
        )
    best = parts.pop("best")
    return Checkpoint(found, parts, best, rng)


def position(path: Path) -> Position:
    """Read how far a run is, whichever it is.

    Raises
    ------
    InputError
        ``checkpoint_damaged``.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return _position(file.metadata())
    except _DAMAGE as error:
        raise _damaged(path, error) from error


def _position(header: Mapping[str, str]) -> Position:
    return msgspec.json.decode(header["tidegate"], type=Position)


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(
        "checkpoint_damaged",
        f"{str(path)!r} is no checkpoint: {error}",
        field="resume",
        hint="delete it, or begin anew without resuming",
    )


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Return the optimiser's memory: a tensor for each name and parameter."""
    return {
        f"{index}/{name}": tensor
        for index, memory in optimizer.state_dict()["state"].items()
        for name, tensor in memory.items()
        if tensor is not None  # SGD without momentum remembers nothing
    }


def optimizer_state(optimizer: torch.optim.Optimizer, tensors: Tensors) -> None:
    """Give an optimiser its memory back; its settings stay as they are."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        index, _, name = key.partition("/")
        state.setdefault(int(index), {})[name] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
