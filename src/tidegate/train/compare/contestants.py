"""What is compared: layers of several kinds, with as many parameters as those configured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

import msgspec
import torch

from tidegate import tasks
from tidegate.errors import InputError
from tidegate.nn import Network
from tidegate.nn.peers import Kind, Peer
from tidegate.schema import Schema
from tidegate.spec import CategoryInput, LayerSpec, ModelSpec, TaskSpec
from tidegate.train.settings import ModelSettings

__all__ = ["NAMES", "Contestant", "PeerSettings", "line_up"]

NAMES = ("gru", "lstm", "rnn", "mingru", "transformer", "bigru")
"""Every kind that there is; ``bigru`` reads a session in both directions."""

_PEERS: dict[str, Kind] = {kind: kind for kind in get_args(Kind)}
_HEADS = 4
_MOST_UNITS = 8192


class PeerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The size of a network that is no recurrent one; used as `ModelSettings` are.

    Parameters
    ----------
    kind : {"mingru", "transformer"}
        Of its layers.
    hidden_size, num_layers : int
        Units and layers.
    dropout : float
        Share of the values that training sets to zero.
    """

    kind: Kind
    hidden_size: int
    num_layers: int = 1
    dropout: float = 0.0

    def spec(
        self, row_size: int, categories: tuple[CategoryInput, ...], output_size: int
    ) -> ModelSpec:
        """Return the spec of a network with the same rows, units and head."""
        layers = (LayerSpec("gru", self.hidden_size),) * self.num_layers
        return ModelSpec(row_size, layers, output_size, categories)

    def network(self, spec: ModelSpec) -> Network:
        """Return the network, with weights as they begin."""
        return Peer(spec, self.kind, self.dropout, heads=_HEADS)


@dataclass(frozen=True)
class Contestant:
    """One of those that are compared.

    Parameters
    ----------
    name : str
        Of `NAMES`.
    model : ModelSettings or PeerSettings
        Its size.
    parameters : int
        Numbers that it learns.
    body : int
        Those of its layers, without embeddings and head.
    answer_size : int
        Numbers with which it answers an event.
    """

    name: str
    model: ModelSettings | PeerSettings
    parameters: int
    body: int
    answer_size: int

    @property
    def streams(self) -> bool:
        """Whether an engine answers its events as they come."""
        return isinstance(self.model, ModelSettings) and not self.model.bidirectional


def line_up(
    names: Sequence[str], model: ModelSettings, schema: Schema, task: TaskSpec
) -> list[Contestant]:
    """Return contestants with about as many parameters in their layers as a model has.

    Units are counted up to where the layers come nearest; embeddings and head are what they are.

    Parameters
    ----------
    names : sequence of str
        Of `NAMES`.
    model : ModelSettings
        The model that they are to be like: its layers, its dropout, and the options that a kind of
        cell shares with it.
    schema : Schema
        Of the rows.
    task : TaskSpec
        Of the outputs.

    Raises
    ------
    InputError
        ``unknown_model``, naming it.
    """
    for name in names:
        if name not in NAMES:
            raise InputError(
                "unknown_model",
                f"{name!r} is none",
                field="models",
                hint=f"use {', '.join(NAMES)}",
            )
    goal = _count(model, schema, task).body
    return [_nearest(name, model, goal, schema, task) for name in dict.fromkeys(names)]


@dataclass(frozen=True)
class _Counts:
    whole: int
    body: int
    answer_size: int


def _count(settings: ModelSettings | PeerSettings, schema: Schema, task: TaskSpec) -> _Counts:
    spec = msgspec.structs.replace(
        settings.spec(schema.width, schema.categories, task.output_size),
        **tasks.open(task).readout(schema),
    )
    with torch.device("meta"):  # counted, not made
        network = settings.network(spec)
    whole = sum(p.numel() for p in network.parameters())
    outer = [network.head, *network.embeddings]
    rest = sum(p.numel() for module in outer for p in module.parameters())
    return _Counts(whole, whole - rest, spec.answer_size)


def _nearest(
    name: str, model: ModelSettings, goal: int, schema: Schema, task: TaskSpec
) -> Contestant:
    make, step = _family(name, model)

    def body(units: int) -> int:
        return _count(make(units * step), schema, task).body

    low, high = 1, 2
    while body(high) < goal and high * step < _MOST_UNITS:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if body(middle) < goal else (low, middle)
    units = min((low, high), key=lambda each: abs(body(each) - goal))
    settings = make(units * step)
    counts = _count(settings, schema, task)
    return Contestant(name, settings, counts.whole, counts.body, counts.answer_size)


def _family(
    name: str, model: ModelSettings
) -> tuple[Callable[[int], ModelSettings | PeerSettings], int]:
    """Return what makes the settings of a number of units, and what divides it."""
    kind = _PEERS.get(name)
    if kind is not None:
        layers, dropout = model.num_layers, model.dropout
        step = 2 * _HEADS if name == "transformer" else 1
        return lambda units: PeerSettings(kind, units, layers, dropout), step
    cell = "gru" if name == "bigru" else name
    own = {
        "gru": ("reset_after",),
        "lstm": ("peephole", "zoneout_cell"),
        "rnn": ("activation",),
    }
    defaults = {
        field.name: field.default
        for field in msgspec.structs.fields(ModelSettings)
        if any(field.name in names for of, names in own.items() if of != cell)
    }
    changes = {**defaults, "cell": cell, "bidirectional": name == "bigru"}
    if cell == "rnn":
        changes |= {"init": "default", "longest": None}
    return lambda units: msgspec.structs.replace(model, **changes, hidden_size=units), 1
